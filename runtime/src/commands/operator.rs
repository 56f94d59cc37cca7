//! What commands ask of a host that is running: it has the database to itself, so they ask it by its private port.
//!
//! The host writes the address of that port into its data directory. A command that finds nobody there opens the
//! database itself.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use reqwest::{Client, Method};

/// The file with the private address of the host that has the data directory open.
const FILE: &str = "private-address";
/// A header that no web page can make a browser send without asking first.
pub const HEADER: &str = "x-souk-operator";
/// How long a host may take to say that it is there.
const GREETING_MAX: Duration = Duration::from_secs(1);

/// Says, for as long as it lives, where a data directory's host is asked.
pub struct Announced(PathBuf);

impl Announced {
    /// Writes the address into the data directory.
    pub fn at(data: &Path, address: SocketAddr) -> Result<Self> {
        let path = data.join(FILE);
        fs::write(&path, address.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // A file that stays behind is found to lead nowhere.
        let _ = fs::remove_file(&self.0);
    }
}

/// The host that has a data directory open.
pub struct Running {
    client: Client,
    url: String,
}

impl Running {
    /// Finds the host, if there is one.
    pub async fn find(data: &Path) -> Option<Self> {
        let address: SocketAddr = fs::read_to_string(data.join(FILE)).ok()?.trim().parse().ok()?;
        let client = Client::builder().no_proxy().build().ok()?;
        let url = format!("http://{address}");
        let greeting = client.get(format!("{url}/healthz")).timeout(GREETING_MAX).send().await.ok()?;
        greeting.status().is_success().then_some(Self { client, url })
    }

    /// Asks it to do something; answers with what it has to say.
    pub async fn ask(&self, method: Method, path: &str) -> Result<String> {
        let request = self.client.request(method, format!("{}{path}", self.url)).header(HEADER, "1");
        let response = request.send().await.context("the running host does not answer")?;
        let status = response.status();
        let text = response.text().await?;
        anyhow::ensure!(status.is_success(), "the running host says {status}: {text}");
        Ok(text)
    }
}
