//! What a provider is told at its start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use souk_store::{Database, Settings, Store, Subscribers};
use wasmcloud_provider_sdk::HostData;

/// The address of the database, a secret or a value of the provider's config.
const DATABASE_URL: &str = "database_url";
/// What stands before the name of a component that hears topics; its value names them, separated by spaces.
const TOPICS_PREFIX: &str = "topics.";

/// Opens the store that a provider's config names. The database need not be there yet.
pub fn store(host: &HostData) -> anyhow::Result<Arc<Store>> {
    let secret = host.secrets.get(DATABASE_URL).and_then(|value| value.as_string());
    let url = secret
        .or_else(|| host.config.get(DATABASE_URL).map(String::as_str))
        .with_context(|| format!("the provider's config has no `{DATABASE_URL}`; put it before deploying"))?;
    let database = Database::Postgres(url.to_owned());
    let settings = Settings { subscribers: subscribers(&host.config)?, ..Settings::new(database) };
    Store::open(settings, &prometheus::Registry::new())
}

/// Who hears which topic: `topics.order = "payment.settled order.checkout-due"`.
fn subscribers(config: &HashMap<String, String>) -> anyhow::Result<Subscribers> {
    let mut subscribers: Subscribers = BTreeMap::new();
    for (key, topics) in config {
        let Some(component) = key.strip_prefix(TOPICS_PREFIX) else { continue };
        anyhow::ensure!(!component.is_empty(), "`{key}` names no component after `{TOPICS_PREFIX}`");
        for topic in topics.split_whitespace() {
            subscribers.entry(topic.to_owned()).or_default().push(component.to_owned());
        }
    }
    for components in subscribers.values_mut() {
        components.sort();
        components.dedup();
    }
    Ok(subscribers)
}

#[cfg(test)]
mod tests {
    use super::subscribers;

    #[test]
    fn topics_are_told_by_component_and_kept_by_topic() {
        let config = [
            ("topics.order", "payment.settled order.checkout-due"),
            ("topics.notification", " order.placed  payment.settled payment.settled"),
            ("database_url", "postgres://nowhere"),
        ];
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let told: Vec<_> = subscribers(&config).expect("well formed").into_iter().collect();
        let wanted = [
            ("order.checkout-due", vec!["order"]),
            ("order.placed", vec!["notification"]),
            ("payment.settled", vec!["notification", "order"]),
        ];
        assert_eq!(told, wanted.map(|(topic, by)| (topic.to_owned(), by.into_iter().map(str::to_owned).collect())));
        assert!(subscribers(&[("topics.".to_owned(), "a".to_owned())].into()).is_err());
    }
}
