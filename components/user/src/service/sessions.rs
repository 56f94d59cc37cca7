//! Opening, renewing and ending sessions.

use souk_kit::check::Check;
use souk_kit::ids::hex;
use souk_kit::passwords::Verdict;
use souk_kit::tokens::{self, Claims};
use souk_kit::user::{Profile, Role, SessionSummary, UserError};
use souk_kit::{Call, Config, user};

use super::{Ports, done, owned, settle, throttle, verify};
use crate::domain::account::Account;
use crate::domain::password;
use crate::domain::secret::{Entropy, RefreshToken};
use crate::domain::session::{self, ACCESS_LIFETIME, Opening, Renewal, SESSIONS_MAX, Seed, Session};
use crate::store::{self, Commit};

/// Longest address that is looked at, in bytes.
const EMAIL_BYTES_MAX: usize = 254;

/// Opens a session with a password. An unknown address costs the same work as a wrong password.
pub fn sign_in(
    ports: &impl Ports,
    call: &Call,
    email: &str,
    password: &str,
    device: &str,
    mut entropy: Entropy,
) -> Result<user::Session, UserError> {
    let mut check = Check::new();
    if email.is_empty() || email.len() > EMAIL_BYTES_MAX || email.chars().any(char::is_control) {
        check.fail("/email", "malformed", "this is not an e-mail address");
    }
    password::check_claimed(&mut check, "/password", password);
    done(check)?;
    let tries = throttle::sign_in(ports, call, email)?;
    let seed = Seed::mint(call.now, &mut entropy);
    let outcome = settle(|| {
        let account = store::accounts::load_by_email(ports, email, call.now)?;
        let known = account.as_ref().map_or("", |account| account.password_hash.as_str());
        let verdict = verify(ports, password, known)?;
        // A disabled account is told apart from a wrong password only after the same work, and not in the answer.
        let Some(account) = account.filter(|account| !account.profile.disabled) else {
            return Err(UserError::WrongCredentials);
        };
        let password_hash = match verdict {
            Verdict::Wrong => return Err(UserError::WrongCredentials),
            Verdict::Right => account.password_hash.clone(),
            // When there is no room to hash, the old hash still serves; the next sign-in tries again.
            Verdict::RightRehash => ports.hash(password).unwrap_or_else(|_| account.password_hash.clone()),
        };
        let opening = session::open(&seed, &account.profile.id, device, call.now);
        open(ports, call, &account, &password_hash, &opening)
    });
    tries.forgive_unless_wrong(ports, &outcome);
    outcome
}

/// Stores a session for an account whose owner has proved themselves; none when the account changed meanwhile.
pub(super) fn open(
    ports: &impl Ports,
    call: &Call,
    account: &Account,
    password_hash: &str,
    opening: &Opening,
) -> Result<Option<user::Session>, UserError> {
    if account.open_sessions >= SESSIONS_MAX {
        return Err(UserError::LimitReached);
    }
    let answer = grant(ports, call, &opening.session, &opening.token, &account.profile)?;
    let writes = vec![
        store::accounts::sign_in(account, password_hash, call.now),
        store::sessions::forget_expired(&account.profile.id, call.now),
        store::sessions::insert(&opening.session),
    ];
    let commit = store::commit(ports, opening_batch(opening), writes, Vec::new())?;
    Ok((commit == Commit::Done).then_some(answer))
}

/// The identity of the batch that stores a session. Each call opens its own, so what the batch holds is always what it answers.
pub(super) fn opening_batch(opening: &Opening) -> String {
    format!("open-session/{}", opening.session.id)
}

/// Renews a session and replaces its refresh token.
pub fn refresh(
    ports: &impl Ports,
    call: &Call,
    refresh_token: &str,
    mut entropy: Entropy,
) -> Result<user::Session, UserError> {
    let shown = RefreshToken::parse(refresh_token).ok_or(UserError::InvalidToken)?;
    let salt = hex(&entropy.take::<32>());
    settle(|| {
        let found = store::sessions::load(ports, &shown.family_hash(), call.now)?;
        let (session, account) = found.ok_or(UserError::InvalidToken)?;
        match session::renew(&session, &shown, &salt, call.now) {
            Renewal::Renewed(next) => {
                let answer = grant(ports, call, &next, &shown.successor(&salt), &account.profile)?;
                // The salt is part of the identity: two that race here would make different successors.
                let batch = format!("renew-session/{}/{salt}", session.id);
                let commit = store::commit(ports, batch, vec![store::sessions::renew(&session, &next)], Vec::new())?;
                Ok((commit == Commit::Done).then_some(answer))
            }
            Renewal::Again(salt) => grant(ports, call, &session, &shown.successor(&salt), &account.profile).map(Some),
            Renewal::Reused => {
                end(ports, &session.user_id, &session.id)?;
                Err(UserError::InvalidToken)
            }
            Renewal::Expired => Err(UserError::InvalidToken),
        }
    })
}

/// Ends the session of a refresh token, whichever of its tokens it is.
pub fn sign_out(ports: &impl Ports, call: &Call, refresh_token: &str) -> Result<(), UserError> {
    let Some(shown) = RefreshToken::parse(refresh_token) else { return Ok(()) };
    match store::sessions::load(ports, &shown.family_hash(), call.now)? {
        Some((session, _)) => end(ports, &session.user_id, &session.id),
        None => Ok(()),
    }
}

/// The open sessions of a user, newest first.
pub fn list_sessions(ports: &impl Ports, call: &Call, user_id: &str) -> Result<Vec<SessionSummary>, UserError> {
    owned(call, user_id)?;
    store::sessions::list(ports, user_id, call.now)?.ok_or(UserError::NotFound)
}

/// Ends one session of a user.
pub fn end_session(ports: &impl Ports, call: &Call, user_id: &str, session_id: &str) -> Result<(), UserError> {
    owned(call, user_id)?;
    if !souk_kit::ids::is_id("ses", session_id) {
        return Ok(()); // no session has such an id, so it is over
    }
    end(ports, user_id, session_id)
}

/// A missed guard says that the session is over, or another's: in both cases there is nothing to end. Such a batch is not
/// remembered, so it cannot stand in the way of the owner's.
fn end(ports: &impl Ports, user_id: &str, session_id: &str) -> Result<(), UserError> {
    let batch = format!("end-session/{session_id}");
    match store::commit(ports, batch, vec![store::sessions::end(user_id, session_id)], Vec::new())? {
        Commit::Done | Commit::Missed => Ok(()),
    }
}

/// What the owner of a session is handed. It is made before the commit, so that a missing key changes nothing.
pub(super) fn grant(
    ports: &impl Ports,
    call: &Call,
    session: &Session,
    token: &RefreshToken,
    profile: &Profile,
) -> Result<user::Session, UserError> {
    let misconfigured = || UserError::Unavailable("token_private_key is not configured as a signing key".to_owned());
    let key = Config::get(ports, "token_private_key").ok_or_else(misconfigured)?;
    let claims = Claims {
        user_id: profile.id.clone(),
        session_id: session.id.clone(),
        staff: match profile.role {
            Role::Shopper => false,
            Role::Staff => true,
        },
        expires_at: call.now + ACCESS_LIFETIME,
    };
    Ok(user::Session {
        id: session.id.clone(),
        access_token: tokens::sign(&key, &claims).ok_or_else(misconfigured)?,
        access_expires_at: claims.expires_at,
        refresh_token: token.text(),
        refresh_expires_at: session.expires_at,
        profile: profile.clone(),
    })
}
