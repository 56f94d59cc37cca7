//! A real browser with JavaScript: Chromium without a window, steered over WebDriver by `chromedriver`.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use fantoccini::{ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use crate::{
    folder::Folder,
    wait::{SOON, eventually},
};

/// What `chromedriver` says before the port that it listens on.
const STARTED: &str = "was started successfully on port ";

/// A browser with a profile of its own. It ends, with all of its processes, when it is dropped.
pub struct Chromium {
    client: fantoccini::Client,
    driver: Child,
    /// The page's text when it was last looked at.
    said: Mutex<String>,
    _profile: Folder,
}

impl Chromium {
    /// Starts one with a window of this width, in pixels.
    pub async fn start(width: u32) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver starts; `make setup` installs it");
        let said = BufReader::new(driver.stdout.take().expect("standard output is piped")).lines();
        let port = said.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once(STARTED)?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("chromedriver says its port");
        let profile = Folder::new();
        // Without the sandbox, which root may not have; what it shows is ours.
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            // A page that glides to an element moves it away from the click.
            "--force-prefers-reduced-motion".to_owned(),
            format!("--window-size={width},900"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({"goog:chromeOptions": {"args": arguments}});
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("it is an object").clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromium starts");
        Self { client, driver, said: Mutex::default(), _profile: profile }
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the address can be opened");
    }

    /// The address of the page that it shows.
    pub async fn address(&self) -> String {
        self.client.current_url().await.expect("it shows a page").to_string()
    }

    /// Waits until the page has what a CSS selector names.
    pub async fn find(&self, selector: &str) -> Element {
        eventually(SOON, selector, async || self.client.find(Locator::Css(selector)).await.ok()).await
    }

    /// Clicks.
    pub async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap_or_else(|error| panic!("{selector} takes no click: {error}"));
    }

    /// Types into a field, in place of what stands there.
    pub async fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap_or_else(|error| panic!("{selector} cannot be emptied: {error}"));
        field.send_keys(text).await.unwrap_or_else(|error| panic!("{selector} takes no text: {error}"));
    }

    /// Does something inside of a frame.
    pub async fn inside<T>(&self, frame: &str, act: impl AsyncFnOnce() -> T) -> T {
        self.find(frame).await.enter_frame().await.expect("a frame can be entered");
        let done = act().await;
        self.client.enter_parent_frame().await.expect("a frame has a parent");
        done
    }

    /// Waits until the page says this.
    pub async fn says(&self, words: &str) {
        eventually(SOON, words, async || {
            let body = self.client.find(Locator::Css("body")).await.ok()?;
            let text = body.text().await.ok()?;
            let says = text.contains(words);
            *self.said.lock().expect("nothing panics under the lock") = text;
            says.then_some(())
        })
        .await;
    }

    /// What a script answers about the page.
    pub async fn evaluate(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the page says:\n{}", self.said.get_mut().expect("nothing panics under the lock"));
        }
        // The browser is of the driver's group.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
