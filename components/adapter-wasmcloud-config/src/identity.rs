//! Whom this adapter serves: the part of `self.describe` that it needs.

use serde::Deserialize;

/// The names that the configuration of a component may be asked for.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Identity {
    variables: Vec<String>,
}

impl Identity {
    /// Reads what `souk compose` has written into the composite.
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).expect("`souk compose` writes a description that its adapters can read")
    }

    /// Whether the manifest grants a value.
    pub fn may_read(&self, name: &str) -> bool {
        self.variables.iter().any(|granted| granted == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn only_what_the_manifest_grants_is_read() {
        let text = r#"{"component": "cart", "variables": ["a", "b"], "outbound_hosts": [], "topics": {}}"#;
        let identity = Identity::parse(text);
        assert!(identity.may_read("a") && identity.may_read("b"));
        assert!(!identity.may_read("c") && !identity.may_read(""));
    }
}
