//! What the provider is told at its start.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::Context as _;

/// Where it listens, and whom it believes.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address for shoppers and staff.
    pub address: SocketAddr,
    /// The address for operators, if any.
    pub private: Option<SocketAddr>,
    /// Proxies that are believed about the client and the origin.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Settings {
    /// Reads the provider's config.
    pub fn read(config: &HashMap<String, String>) -> anyhow::Result<Self> {
        let mut settings =
            Self { address: SocketAddr::from(([0, 0, 0, 0], 8000)), private: None, trusted_proxies: vec![] };
        for (key, value) in config {
            let wrong = || format!("the config of the provider says {key} = \"{value}\", which is none");
            match key.as_str() {
                "address" => settings.address = value.parse().with_context(wrong)?,
                "private" => settings.private = Some(value.parse().with_context(wrong)?),
                "trusted_proxies" => {
                    let proxies = value.split_whitespace().map(str::parse);
                    settings.trusted_proxies = proxies.collect::<Result<_, _>>().with_context(wrong)?;
                }
                _ => anyhow::bail!(
                    "the config of the provider has `{key}`; it knows address, private and trusted_proxies"
                ),
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    fn read(config: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(&config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_config_is_read_whole_or_not_at_all() {
        let given = [("address", "127.0.0.1:1"), ("private", "[::1]:2"), ("trusted_proxies", " 10.0.0.1  ::1 ")];
        let settings = read(&given).expect("it is well formed");
        assert_eq!(settings.address.to_string(), "127.0.0.1:1");
        assert_eq!(settings.private.map(|private| private.to_string()).as_deref(), Some("[::1]:2"));
        assert_eq!(settings.trusted_proxies.len(), 2);
        assert_eq!(read(&[]).expect("all has a default").address.to_string(), "0.0.0.0:8000");
        for wrong in
            [("address", "here"), ("private", ""), ("trusted_proxies", "10.0.0.1,10.0.0.2"), ("adress", "127.0.0.1:1")]
        {
            assert!(read(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
