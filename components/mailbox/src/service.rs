//! The use case: keep a message. Showing them is in `pages`.

use souk_kit::notification_extension::{ChannelError, RenderedMessage};
use souk_kit::{Call, Sql};

use crate::{domain, store};

/// Keeps a message and answers its name here: its key. A repeat with the same key keeps nothing twice.
pub fn send(ports: &impl Sql, call: &Call, message: RenderedMessage) -> Result<String, ChannelError> {
    let message = domain::accept(message, call.now).map_err(ChannelError::Refused)?;
    store::insert(ports, &message).map_err(|error| ChannelError::Unavailable(error.describe()))?;
    Ok(message.summary.key)
}

#[cfg(test)]
mod tests {
    use souk_kit::testing::{Fault, TestPorts};
    use souk_kit::types::Actor;

    use super::*;
    use crate::domain::MESSAGES_MAX;

    fn message(key: &str, text: &str) -> RenderedMessage {
        RenderedMessage {
            key: key.to_owned(),
            recipient: "ada@example.org".to_owned(),
            subject: "Hello".to_owned(),
            text: text.to_owned(),
            html: String::new(),
        }
    }

    fn ports() -> TestPorts {
        TestPorts::new("mailbox", &[include_str!("../migrations/0001_messages.sql")])
    }

    #[test]
    fn a_key_is_kept_once_as_it_came_first() {
        let ports = ports();
        let call = ports.call(Actor::System("test".to_owned()));
        for text in ["first", "second"] {
            assert_eq!(send(&ports, &call, message("k-0", text)), Ok("k-0".to_owned()));
        }
        send(&ports, &call, message("k-1", "third")).expect("another key");
        assert_eq!(store::list(&ports, "", 10).expect("it is read").count, 2);
        assert_eq!(store::load(&ports, "k-0").expect("it is read").expect("it is there").text, "first");
        let refused = send(&ports, &call, message("", "none"));
        assert_eq!(refused, Err(ChannelError::Refused("the key is empty".to_owned())));
    }

    #[test]
    fn a_commit_that_fails_is_finished_by_a_repeat() {
        for fault in [Fault::BeforeCommit, Fault::LostReply] {
            let ports = ports();
            let call = ports.call(Actor::System("test".to_owned()));
            ports.fail_commit(0, fault);
            let failed = send(&ports, &call, message("k-0", "text"));
            assert!(matches!(failed, Err(ChannelError::Unavailable(_))), "{failed:?}");
            assert_eq!(send(&ports, &call, message("k-0", "text")), Ok("k-0".to_owned()));
            assert_eq!(store::list(&ports, "", 10).expect("it is read").count, 1);
        }
    }

    #[test]
    fn the_newest_thousand_stay() {
        let ports = ports();
        for number in 0..MESSAGES_MAX + 20 {
            // Some of them come at the same instant.
            ports.advance(i64::from(number % 3 == 0));
            let call = ports.call(Actor::System("test".to_owned()));
            send(&ports, &call, message(&format!("k-{number:05}"), "text")).expect("it is kept");
        }
        let listed = store::list(&ports, "", 10_000).expect("it is read");
        assert_eq!(listed.count, u64::from(MESSAGES_MAX));
        let keys: Vec<&str> = listed.messages.iter().map(|message| message.key.as_str()).collect();
        assert_eq!((keys[0], keys[keys.len() - 1]), ("k-01019", "k-00020"));
        assert!(keys.is_sorted_by(|a, b| a > b), "newest first");
    }
}
