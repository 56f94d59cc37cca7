//! When a call that ended without an answer is made once more, and how long each attempt may take.
//!
//! A repeat is harmless when the request only reads, or carries a key by which an edge knows it again. When nobody was
//! there to take the call, nothing was done, and any request may be repeated.

use std::time::Duration;

use souk_server::{Problem, Request};

/// Calls made for one request.
pub const ATTEMPTS_MAX: u32 = 2;
/// How long whoever is not there is given to appear: a component that is replaced, or moves to another host.
pub const PAUSE: Duration = Duration::from_millis(250);

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nobody took it.
    Nobody,
    /// It was taken, and ended without an answer: a trap of the edge or of something that it called.
    Ended,
    /// It was taken, perhaps, and no answer came in time.
    Late,
}

impl Lost {
    /// Its name in logs and metrics.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Ended => "ended",
            Self::Late => "late",
        }
    }

    /// What the client is told when there is no further attempt.
    pub fn problem(self) -> Problem {
        match self {
            Self::Nobody => Problem::Unavailable,
            Self::Ended => Problem::Lost,
            Self::Late => Problem::DeadlineExceeded,
        }
    }

    /// Whether to call again.
    pub fn worth_repeating(self, harmless: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Ended | Self::Late => harmless,
        }
    }
}

/// Whether a repeat of the request is harmless.
pub fn is_harmless(request: &Request) -> bool {
    let keyed = || request.headers.iter().any(|(name, _)| name == "idempotency-key");
    matches!(request.method.as_str(), "GET" | "HEAD") || keyed()
}

/// How long an attempt may take: all that is left, or half of it when another attempt may follow.
pub fn patience(left: Duration, attempt: u32, harmless: bool) -> Duration {
    if harmless && attempt < ATTEMPTS_MAX { left / 2 } else { left }
}

#[cfg(test)]
mod tests {
    use super::{Lost, is_harmless, patience};
    use souk_server::Request;
    use std::time::Duration;

    fn request(method: &str, header: &str) -> Request {
        Request {
            id: "req_1".into(),
            method: method.to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            origin: "http://localhost".to_owned(),
            client: "127.0.0.1".to_owned(),
            headers: vec![(header.to_owned(), "1".to_owned())],
            body: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_harmless_is_repeated_unless_nobody_was_there() {
        for (method, header, harmless) in [
            ("GET", "accept", true),
            ("HEAD", "accept", true),
            ("POST", "idempotency-key", true),
            ("POST", "accept", false),
            ("PUT", "accept", false),
            ("DELETE", "accept", false),
            ("OPTIONS", "accept", false),
        ] {
            assert_eq!(is_harmless(&request(method, header)), harmless, "{method} {header}");
            assert!(Lost::Nobody.worth_repeating(harmless));
            assert_eq!(Lost::Ended.worth_repeating(harmless), harmless);
            assert_eq!(Lost::Late.worth_repeating(harmless), harmless);
        }
    }

    #[test]
    fn attempts_share_the_deadline() {
        let left = Duration::from_secs(20);
        assert_eq!(patience(left, 1, true), Duration::from_secs(10));
        assert_eq!(patience(Duration::from_secs(10), 2, true), Duration::from_secs(10));
        assert_eq!(patience(left, 1, false), left);
    }
}
