//! `souk seed`: plays a file of HTTP requests against a running server.
//!
//! Each line is one request in JSON. What an answer says can be saved under a name and used in later lines as
//! `{{name}}`; `{{secret:name}}` is a generated secret. This module knows nothing of what the requests are about.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use reqwest::{Client, Method, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::Outcome;
use crate::variables::read_table;

/// Requests under way at once among neighbors that allow it.
const PARALLEL_MAX: usize = 8;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of an unexpected answer that are shown.
const SHOWN_MAX: usize = 2_000;
/// Lines after which progress is shown.
const PROGRESS_EVERY: usize = 25;

/// What `souk seed` is told.
#[derive(Args, Clone, Debug)]
pub struct Seed {
    /// The requests, one JSON object per line; empty lines and lines that start with # are skipped.
    pub file: PathBuf,
    /// Where the server listens.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    pub url: String,
    /// Secrets that lines may use.
    #[arg(long, value_name = "FILE", default_value = ".souk/secrets.toml")]
    pub secrets: PathBuf,
}

/// One request of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Shown as progress and in errors.
    #[serde(default)]
    name: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Sent as JSON.
    body: Option<Value>,
    /// Sent as it is; a path relative to the file of requests.
    file: Option<PathBuf>,
    content_type: Option<String>,
    /// Statuses that are well; any 2xx when left out.
    #[serde(default)]
    expect: Vec<u16>,
    /// Names for values of the answer, each by its JSON pointer.
    #[serde(default)]
    save: BTreeMap<String, String>,
    /// May run at once with neighbors that say so too.
    #[serde(default)]
    parallel: bool,
}

/// A request that is ready to be sent.
struct Ready {
    number: usize,
    line: Line,
    path: String,
    headers: BTreeMap<String, String>,
    body: Option<(Vec<u8>, String)>,
}

/// Plays the file; stops at the first unexpected answer.
pub async fn run(seed: &Seed) -> Result<Outcome> {
    let text = std::fs::read_to_string(&seed.file).with_context(|| format!("cannot read {}", seed.file.display()))?;
    let lines = parse(&text)?;
    let mut values = BTreeMap::new();
    if seed.secrets.is_file() {
        for (name, value) in read_table(&seed.secrets)? {
            values.insert(format!("secret:{name}"), value);
        }
    }
    let client = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
    let dir = seed.file.parent().unwrap_or(Path::new(""));
    let total = lines.len();
    let mut done = 0;
    let mut running: JoinSet<Result<(usize, BTreeMap<String, String>)>> = JoinSet::new();
    for (number, line) in lines {
        let wait_for = if line.parallel { PARALLEL_MAX - 1 } else { 0 };
        while running.len() > wait_for {
            finished(&mut running, &mut values, &mut done, total).await?;
        }
        let alone = !line.parallel;
        let ready = prepare(number, line, &values, dir)?;
        running.spawn(send(client.clone(), seed.url.trim_end_matches('/').to_owned(), ready));
        while alone && !running.is_empty() {
            finished(&mut running, &mut values, &mut done, total).await?;
        }
    }
    while !running.is_empty() {
        finished(&mut running, &mut values, &mut done, total).await?;
    }
    println!("{done} passed, 0 failed");
    Ok(Outcome::Good)
}

async fn finished(
    running: &mut JoinSet<Result<(usize, BTreeMap<String, String>)>>,
    values: &mut BTreeMap<String, String>,
    done: &mut usize,
    total: usize,
) -> Result<()> {
    if let Some(answer) = running.join_next().await {
        let (_, saved) = answer??;
        values.extend(saved);
        *done += 1;
        if done.is_multiple_of(PROGRESS_EVERY) || *done == total {
            eprintln!("{done} of {total}");
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<(usize, Line)>> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(index, line)| {
            let line: Line = serde_json::from_str(line).with_context(|| format!("line {}", index + 1))?;
            ensure!(line.path.starts_with('/'), "line {}: the path starts with a slash", index + 1);
            ensure!(line.body.is_none() || line.file.is_none(), "line {}: write body or file, not both", index + 1);
            Ok((index + 1, line))
        })
        .collect()
}

fn prepare(number: usize, line: Line, values: &BTreeMap<String, String>, dir: &Path) -> Result<Ready> {
    let filled = || -> Result<_> {
        let path = fill(&line.path, values)?;
        let mut headers = BTreeMap::new();
        for (name, value) in &line.headers {
            headers.insert(name.clone(), fill(value, values)?);
        }
        let content_type = |default: &str| line.content_type.clone().unwrap_or_else(|| default.to_owned());
        let body = match (&line.body, &line.file) {
            (Some(body), _) => {
                let mut body = body.clone();
                fill_all(&mut body, values)?;
                Some((body.to_string().into_bytes(), content_type("application/json")))
            }
            (None, Some(file)) => {
                let file = dir.join(file);
                let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
                Some((bytes, content_type("application/octet-stream")))
            }
            (None, None) => None,
        };
        Ok((path, headers, body))
    };
    let (path, headers, body) = filled().with_context(|| format!("line {number} {}", line.name))?;
    Ok(Ready { number, line, path, headers, body })
}

/// Puts values in the place of `{{name}}`.
fn fill(template: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        filled.push_str(&rest[..start]);
        let after = &rest[start + 2..];
        let end = after.find("}}").context("`{{` has no `}}` after it")?;
        let name = after[..end].trim();
        let value = values.get(name).with_context(|| format!("nothing was saved as `{name}`"))?;
        filled.push_str(value);
        rest = &after[end + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn fill_all(value: &mut Value, values: &BTreeMap<String, String>) -> Result<()> {
    match value {
        Value::String(text) => *text = fill(text, values)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_all(item, values))?,
        Value::Object(fields) => fields.values_mut().try_for_each(|field| fill_all(field, values))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// Sends one request; answers what is to be saved.
async fn send(client: Client, url: String, ready: Ready) -> Result<(usize, BTreeMap<String, String>)> {
    let Ready { number, line, path, headers, body } = ready;
    let place = format!("line {number} {} ({} {path})", line.name, line.method);
    let method: Method = line.method.parse().with_context(|| place.clone())?;
    let mut request = client.request(method, format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some((bytes, content_type)) = body {
        request = request.header(CONTENT_TYPE, content_type).body(bytes);
    }
    let response = request.send().await.with_context(|| format!("{place}: is the server running at {url}?"))?;
    let status = response.status();
    let text = response.text().await.with_context(|| place.clone())?;
    let expected = if line.expect.is_empty() { status.is_success() } else { line.expect.contains(&status.as_u16()) };
    if !expected {
        let shown: String = text.chars().take(SHOWN_MAX).collect();
        bail!("{place}: unexpected {status}\n{shown}");
    }
    // A refusal that is expected ("it exists already") has nothing to save; a later line that needs it says so.
    if line.save.is_empty() || !status.is_success() {
        return Ok((number, BTreeMap::new()));
    }
    let document: Value = serde_json::from_str(&text).with_context(|| format!("{place}: the answer is not JSON"))?;
    let mut saved = BTreeMap::new();
    for (name, pointer) in &line.save {
        let value = document.pointer(pointer).with_context(|| format!("{place}: the answer has no {pointer}"))?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        saved.insert(name.clone(), text);
    }
    Ok((number, saved))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{fill_all, parse};

    #[test]
    fn lines_are_strict() {
        let good = "# a comment\n\n{\"method\": \"GET\", \"path\": \"/\"}\n";
        assert_eq!(parse(good).expect("good lines").len(), 1);
        for bad in [
            "{\"method\": \"GET\"}",
            "{\"method\": \"GET\", \"path\": \"x\"}",
            "{\"method\": \"GET\", \"path\": \"/\", \"bdy\": 1}",
            "{\"method\": \"GET\", \"path\": \"/\", \"body\": 1, \"file\": \"x\"}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn saved_values_are_put_in_everywhere() {
        let values = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("secret:b".to_owned(), "2".to_owned())]);
        let mut body = json!({"x": ["<{{a}}>", {"y": "{{ secret:b }}{{a}}"}], "n": 5});
        fill_all(&mut body, &values).expect("all are saved");
        assert_eq!(body, json!({"x": ["<1>", {"y": "21"}], "n": 5}));
        assert!(fill_all(&mut json!("{{c}}"), &values).is_err());
    }
}
