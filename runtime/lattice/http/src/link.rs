//! Links: which edge answers which routes, and within what limits.
//!
//! The keys and their bounds are those of `routes` and `limits` in `spin.toml`.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use souk_server::{Shared, route::Pattern};
use wasmcloud_provider_sdk::{LinkConfig, LinkDeleteInfo, Provider, get_connection};

use crate::{
    calls::{Calls, Target},
    routes::Routes,
};

/// How long one request may take unless the link says otherwise, in milliseconds.
const DEADLINE_MS_DEFAULT: u64 = 5_000;
/// The longest deadline that a link may set, in milliseconds.
const DEADLINE_MS_MAX: u64 = 120_000;
/// Requests at once unless the link says otherwise.
const CONCURRENCY_DEFAULT: u64 = 64;
/// The most requests at once that a link may allow.
const CONCURRENCY_MAX: u64 = 1_000;
/// Bytes of a request body unless the link says otherwise.
const BODY_BYTES_DEFAULT: u64 = 1 << 20;
/// The largest request body that a link may allow, in bytes.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// The highest rate that a link may set, in requests per minute and client.
const RATE_PER_MINUTE_MAX: u64 = 1_000_000;

/// What the configuration of a link says.
#[derive(Debug, PartialEq, Eq)]
pub struct Terms {
    /// The paths that lead to the edge.
    pub routes: Vec<Pattern>,
    /// Size of a request body, in bytes.
    pub body_bytes: usize,
    /// How long one request may take, both attempts together.
    pub deadline: Duration,
    /// Requests at once, of this instance of the provider.
    pub concurrency: usize,
    /// Requests per minute of one client; none when unlimited.
    pub rate_per_minute: Option<u32>,
    /// The same for routes that have a rate of their own, as they are written.
    pub rates: HashMap<String, u32>,
}

impl Terms {
    /// Reads the source configuration of a link.
    pub fn read(config: &HashMap<String, String>) -> anyhow::Result<Self> {
        const KEYS: [&str; 6] = ["routes", "body_bytes", "deadline_ms", "concurrency", "rate_per_minute", "rates"];
        if let Some(unknown) = config.keys().find(|key| !KEYS.contains(&key.as_str())) {
            anyhow::bail!("there is no `{unknown}`; a link has {}", KEYS.join(", "));
        }
        let routes = config.get("routes").context("`routes` is missing; write \"/path/...\"")?;
        let routes = routes
            .split_whitespace()
            .map(|route| Pattern::parse(route).map_err(|advice| anyhow::anyhow!("the route `{route}` {advice}")));
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        anyhow::ensure!(!routes.is_empty(), "`routes` names none; write \"/path/...\"");
        let number = |key: &str, allowed: RangeInclusive<u64>| {
            config.get(key).map(|text| parse(key, text, &allowed)).transpose()
        };
        let body_bytes = number("body_bytes", 0..=BODY_BYTES_MAX)?.unwrap_or(BODY_BYTES_DEFAULT);
        let concurrency = number("concurrency", 1..=CONCURRENCY_MAX)?.unwrap_or(CONCURRENCY_DEFAULT);
        let rate = number("rate_per_minute", 1..=RATE_PER_MINUTE_MAX)?;
        let rates = config.get("rates").map_or("", String::as_str).split_whitespace().map(|rate| {
            let (route, rate) = rate.split_once('=').context("`rates` are written \"/path/...=600\"")?;
            let bounded = routes.iter().any(|known: &Pattern| known.to_string() == route);
            anyhow::ensure!(bounded, "`rates` bounds the route `{route}`, which is not among `routes`");
            Ok((route.to_owned(), u32::try_from(parse("rates", rate, &(1..=RATE_PER_MINUTE_MAX))?)?))
        });
        let rates = rates.collect::<anyhow::Result<HashMap<_, _>>>()?;
        Ok(Self {
            routes,
            body_bytes: usize::try_from(body_bytes)?,
            deadline: Duration::from_millis(number("deadline_ms", 1..=DEADLINE_MS_MAX)?.unwrap_or(DEADLINE_MS_DEFAULT)),
            concurrency: usize::try_from(concurrency)?,
            rate_per_minute: rate.map(u32::try_from).transpose()?,
            rates,
        })
    }

    /// Requests per minute of one client on a route; none when unlimited.
    pub fn rate_on(&self, route: &Pattern) -> Option<u32> {
        self.rates.get(&route.to_string()).copied().or(self.rate_per_minute)
    }
}

fn parse(key: &str, text: &str, allowed: &RangeInclusive<u64>) -> anyhow::Result<u64> {
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.with_context(|| format!("{key} = \"{text}\" is no number of {allowed:?}"))
}

/// The links of this provider, and the routes that follow from them.
pub struct Links {
    shared: Arc<Shared<Routes>>,
    calls: Calls,
    /// What each target answers, by its lattice id.
    targets: Mutex<HashMap<String, Routes>>,
}

impl Links {
    /// No links yet.
    pub fn new(shared: Arc<Shared<Routes>>, calls: Calls) -> Self {
        Self { shared, calls, targets: Mutex::default() }
    }

    /// Changes the links and puts the routes that follow in place, between two requests.
    fn change(&self, change: impl FnOnce(&mut HashMap<String, Routes>)) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut targets);
        self.shared.app.store(Arc::new(Routes::joined(targets.values())));
    }
}

impl Provider for Links {
    async fn receive_link_config_as_source(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        let terms = Terms::read(link.config)
            .with_context(|| format!("the source config of the link to `{}`", link.target_id))?;
        let client = get_connection().get_wrpc_client_custom(link.target_id, Some(terms.deadline)).await?;
        let target = Arc::new(Target::new(link.target_id, client, &terms, self.calls.clone()));
        tracing::info!(component = link.target_id, routes = link.config["routes"], "linked");
        self.change(|targets| drop(targets.insert(link.target_id.to_owned(), Routes::new(&target, &terms))));
        Ok(())
    }

    async fn delete_link_as_source(&self, link: impl LinkDeleteInfo) -> anyhow::Result<()> {
        self.change(|targets| drop(targets.remove(link.get_target_id())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Terms;

    fn read(config: &[(&str, &str)]) -> Result<Terms, String> {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Terms::read(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn a_link_says_routes_and_may_say_limits() {
        let terms = read(&[("routes", "/api/... /about")]).expect("it is well formed");
        assert_eq!(terms.routes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/api/...", "/about"]);
        assert_eq!((terms.body_bytes, terms.concurrency, terms.rate_per_minute), (1 << 20, 64, None));
        assert_eq!(terms.deadline.as_millis(), 5_000);
        let given = [
            ("routes", "/... /hooks/..."),
            ("body_bytes", "1024"),
            ("deadline_ms", "12000"),
            ("concurrency", "8"),
            ("rate_per_minute", "60"),
            ("rates", "/hooks/...=600"),
        ];
        let terms = read(&given).expect("it is well formed");
        assert_eq!((terms.body_bytes, terms.concurrency, terms.rate_per_minute), (1024, 8, Some(60)));
        assert_eq!(terms.routes.iter().map(|route| terms.rate_on(route)).collect::<Vec<_>>(), [Some(60), Some(600)]);
        assert_eq!(terms.deadline.as_millis(), 12_000);
    }

    #[test]
    fn what_a_link_says_wrong_is_named() {
        for (config, named) in [
            (vec![], "routes"),
            (vec![("routes", " ")], "routes"),
            (vec![("routes", "api")], "starts with a slash"),
            (vec![("routes", "/..."), ("deadline", "5")], "deadline"),
            (vec![("routes", "/..."), ("deadline_ms", "0")], "deadline_ms"),
            (vec![("routes", "/..."), ("deadline_ms", "5s")], "deadline_ms"),
            (vec![("routes", "/..."), ("concurrency", "1001")], "concurrency"),
            (vec![("routes", "/..."), ("body_bytes", "-1")], "body_bytes"),
            (vec![("routes", "/..."), ("rate_per_minute", "0")], "rate_per_minute"),
            (vec![("routes", "/..."), ("rates", "/...=0")], "rates"),
            (vec![("routes", "/..."), ("rates", "600")], "/path/...=600"),
            (vec![("routes", "/..."), ("rates", "/hooks=600")], "not among"),
        ] {
            let error = read(&config).expect_err("it is wrong");
            assert!(error.contains(named), "{config:?}: {error}");
        }
    }
}
