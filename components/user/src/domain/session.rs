//! Sessions: opened by a password, renewed by a refresh token that changes each time, over after thirty days.

use souk_kit::{Id, Instant, ids};

use super::secret::{Entropy, RefreshToken};

/// How long an access token says anything, in milliseconds.
pub const ACCESS_LIFETIME: Instant = 15 * 60 * 1000;

/// How long a session lasts from its opening, whatever its renewals, in milliseconds.
pub const SESSION_LIFETIME: Instant = 30 * 24 * 60 * 60 * 1000;

/// How long a refresh token that was just replaced is answered with its successor, in milliseconds.
pub const GRACE: Instant = 10 * 1000;

/// Open sessions that a user may have.
pub const SESSIONS_MAX: u64 = 100;

/// Characters kept of what a client says of itself.
const DEVICE_CHARS_MAX: usize = 200;

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `ses_...`
    pub id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// What the client said of itself.
    pub device: String,
    /// Digest of what all its refresh tokens share.
    pub family_hash: String,
    /// Digest of the refresh token that renews it next.
    pub token_hash: String,
    /// The renewal before, once there was one.
    pub previous: Option<Previous>,
    /// When it was opened.
    pub created_at: Instant,
    /// When it was opened or last renewed.
    pub renewed_at: Instant,
    /// When it is over.
    pub expires_at: Instant,
}

/// What is kept of the refresh token that was replaced last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its digest.
    pub token_hash: String,
    /// With the token itself, this makes its successor.
    pub salt: String,
}

/// What a session is opened with, minted before it is known whose it will be.
pub struct Seed {
    id: Id,
    token: RefreshToken,
}

impl Seed {
    /// Mints an id and the first refresh token.
    pub fn mint(now: Instant, entropy: &mut Entropy) -> Self {
        Self { id: ids::mint("ses", now, entropy.take()), token: RefreshToken::mint(entropy) }
    }
}

/// A session to be stored, and the secret that goes to its owner.
pub struct Opening {
    /// What is stored.
    pub session: Session,
    /// What is not.
    pub token: RefreshToken,
}

/// Opens a session.
pub fn open(seed: &Seed, user_id: &Id, device: &str, now: Instant) -> Opening {
    let token = seed.token.clone();
    let session = Session {
        id: seed.id.clone(),
        user_id: user_id.clone(),
        device: device.chars().filter(|c| !c.is_control()).take(DEVICE_CHARS_MAX).collect(),
        family_hash: token.family_hash(),
        token_hash: token.hash(),
        previous: None,
        created_at: now,
        renewed_at: now,
        expires_at: now + SESSION_LIFETIME,
    };
    Opening { session, token }
}

/// What becomes of a session when a refresh token of its family is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The token is the present one: the session goes on with its successor.
    Renewed(Session),
    /// The token was replaced a moment ago: its successor, made with this salt, is given again.
    Again(String),
    /// The token was used before: someone else may have it. The session ends.
    Reused,
    /// The session is over.
    Expired,
}

/// Decides about a refresh token. `salt` is fresh and goes into the successor, should there be one.
pub fn renew(session: &Session, shown: &RefreshToken, salt: &str, now: Instant) -> Renewal {
    assert_eq!(session.family_hash, shown.family_hash(), "the session was found by the token's family");
    if now >= session.expires_at {
        return Renewal::Expired;
    }
    let hash = shown.hash();
    if hash == session.token_hash {
        let previous = Previous { token_hash: hash, salt: salt.to_owned() };
        let token_hash = shown.successor(salt).hash();
        return Renewal::Renewed(Session { token_hash, previous: Some(previous), renewed_at: now, ..session.clone() });
    }
    match &session.previous {
        Some(previous) if previous.token_hash == hash && now - session.renewed_at < GRACE => {
            Renewal::Again(previous.salt.clone())
        }
        Some(_) | None => Renewal::Reused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::ENTROPY_BYTES;
    use souk_kit::testing::law;

    const NOW: Instant = 1_000_000;

    fn opening() -> Opening {
        open_on("Firefox")
    }

    fn open_on(device: &str) -> Opening {
        open(&Seed::mint(NOW, &mut Entropy::new([7; ENTROPY_BYTES])), &"usr_1".to_owned(), device, NOW)
    }

    /// A session after some renewals, at times after its opening, and every token that it ever had.
    fn renewed(times: &[Instant]) -> (Session, Vec<RefreshToken>) {
        let Opening { mut session, token } = opening();
        let mut tokens = vec![token];
        for (count, time) in times.iter().enumerate() {
            let salt = format!("salt {count}");
            let token = tokens.last().expect("there is the first").clone();
            match renew(&session, &token, &salt, NOW + time) {
                Renewal::Renewed(next) => session = next,
                other => panic!("the present token renews, not {other:?}"),
            }
            tokens.push(token.successor(&salt));
        }
        (session, tokens)
    }

    #[test]
    fn every_token_of_a_session_is_answered_by_its_age() {
        const DAY: Instant = 24 * 60 * 60 * 1000;
        // Renewals (ms after opening) | which token is shown | when | outcome
        for (times, shown, at, outcome) in [
            (&[][..], 0, 0, "renewed"),
            (&[], 0, 30 * DAY - 1, "renewed"),
            (&[], 0, 30 * DAY, "expired"),
            (&[1000], 1, 1000, "renewed"),
            (&[1000], 0, 1000, "again"),
            (&[1000], 0, 10_999, "again"),
            (&[1000], 0, 11_000, "reused"),
            (&[1000], 0, 30 * DAY, "expired"),
            (&[1000], 0, 500, "again"), // the clock went back
            (&[1000, 2000], 2, 2000, "renewed"),
            (&[1000, 2000], 1, 2001, "again"),
            (&[1000, 2000], 0, 2001, "reused"),
            (&[1000, 2000], 1, 30 * DAY, "expired"),
        ] {
            let (session, tokens) = renewed(times);
            let name = match renew(&session, &tokens[shown], "fresh", NOW + at) {
                Renewal::Renewed(next) => {
                    assert_eq!(next.expires_at, session.expires_at, "renewals do not prolong a session");
                    assert_eq!(next.renewed_at, NOW + at);
                    assert_eq!(next.token_hash, tokens[shown].successor("fresh").hash());
                    "renewed"
                }
                Renewal::Again(salt) => {
                    assert_eq!(tokens[shown].successor(&salt).hash(), session.token_hash, "the same successor");
                    "again"
                }
                Renewal::Reused => "reused",
                Renewal::Expired => "expired",
            };
            assert_eq!(name, outcome, "renewed at {times:?}, token {shown} at {at}");
        }
    }

    #[test]
    fn one_token_at_a_time_renews_a_session() {
        law(100, |dice| {
            let times: Vec<Instant> =
                (0..dice.below(6)).map(|n| Instant::try_from(n * 60_000).expect("small")).collect();
            let (session, tokens) = renewed(&times);
            let at = NOW + 60 * 60 * 1000;
            let renewing =
                tokens.iter().filter(|token| matches!(renew(&session, token, "s", at), Renewal::Renewed(_))).count();
            assert_eq!(renewing, 1);
        });
    }

    #[test]
    fn a_device_is_cut_to_its_limit() {
        let device = format!("a\r\nb\0{}", "ü".repeat(300));
        let opening = open_on(&device);
        assert_eq!(opening.session.device, format!("ab{}", "ü".repeat(198)));
        assert_eq!(opening.session.expires_at, NOW + SESSION_LIFETIME);
    }
}
