//! Which component this adapter serves, as `souk compose` wrote it down.

use serde::Deserialize;

use crate::store::outbox::Topics;

/// The answer of `self.describe`, as far as it matters here.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Identity {
    /// Its name in the manifest.
    pub component: String,
    /// The names that `config` may answer for it.
    pub variables: Vec<String>,
    /// Who hears which topic.
    pub topics: Topics,
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn a_description_is_read() {
        let text = r#"{"component": "cart", "variables": ["a"], "outbound_hosts": [], "topics": {"a.b": ["c"]}, "body_bytes": 1}"#;
        let identity: Identity = serde_json::from_str(text).expect("it is one");
        assert_eq!(
            (identity.component.as_str(), identity.topics["a.b"].as_slice()),
            ("cart", ["c".to_owned()].as_slice())
        );
    }
}
