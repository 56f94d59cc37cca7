//! Open sessions.

use souk_kit::sql::{Cells, Write, guarded, read, write};
use souk_kit::user::{SessionSummary, UserError};
use souk_kit::{Instant, Sql};

use super::{accounts, failed};
use crate::domain::account::Account;
use crate::domain::session::{Previous, SESSIONS_MAX, Session};

/// The session of a family of refresh tokens and whose it is; none when it has ended.
pub fn load(ports: &impl Sql, family_hash: &str, now: Instant) -> Result<Option<(Session, Account)>, UserError> {
    let reads = [
        read(
            "SELECT id, user_id, device, family_hash, token_hash, previous_hash, successor_salt, created_at, \
             renewed_at, expires_at FROM user_sessions WHERE family_hash = $1",
            [family_hash.into()],
        ),
        accounts::read_by_session(family_hash, now),
    ];
    let snapshot = ports.query(&reads, None).map_err(failed)?;
    Ok(snapshot.results[0].first(session).zip(snapshot.results[1].first(accounts::account)))
}

/// The open sessions of a user, newest first. Also says whether there is such a user.
pub fn list(ports: &impl Sql, user_id: &str, now: Instant) -> Result<Option<Vec<SessionSummary>>, UserError> {
    let reads = [
        read("SELECT id FROM user_users WHERE id = $1", [user_id.into()]),
        read(
            "SELECT id, device, created_at, renewed_at FROM user_sessions WHERE user_id = $1 AND expires_at > $2 \
             ORDER BY created_at DESC, id DESC LIMIT $3",
            [user_id.into(), now.into(), SESSIONS_MAX.into()],
        ),
    ];
    let snapshot = ports.query(&reads, None).map_err(failed)?;
    let sessions = snapshot.results[1].map(|cells| SessionSummary {
        id: cells.text(),
        device: cells.text(),
        created_at: cells.integer(),
        renewed_at: cells.integer(),
    });
    Ok(snapshot.results[0].first(|cells| cells.text()).map(|_| sessions))
}

/// Stores a session. The guard is missed when the user has as many as one may have; the write of the account that
/// stands before it in the batch keeps two sign-ins from counting at the same time.
pub fn insert(session: &Session) -> Write {
    guarded(
        "INSERT INTO user_sessions (id, user_id, device, family_hash, token_hash, previous_hash, successor_salt, \
         created_at, renewed_at, expires_at) \
         SELECT $1, u.id, $2, $3, $4, '', '', CAST($5 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT) \
         FROM user_users u WHERE u.id = $7 \
         AND (SELECT count(*) FROM user_sessions o WHERE o.user_id = $7 AND o.expires_at > $5) < $8",
        [
            (&session.id).into(),
            (&session.device).into(),
            (&session.family_hash).into(),
            (&session.token_hash).into(),
            session.created_at.into(),
            session.expires_at.into(),
            (&session.user_id).into(),
            SESSIONS_MAX.into(),
        ],
    )
}

/// Writes a renewal. The guard is missed when the session ended or was renewed by another.
pub fn renew(before: &Session, next: &Session) -> Write {
    let Previous { token_hash, salt } = next.previous.as_ref().expect("a renewed session has a token before");
    guarded(
        "UPDATE user_sessions SET token_hash = $1, previous_hash = $2, successor_salt = $3, renewed_at = $4 \
         WHERE id = $5 AND token_hash = $6",
        [
            (&next.token_hash).into(),
            token_hash.into(),
            salt.into(),
            next.renewed_at.into(),
            (&before.id).into(),
            (&before.token_hash).into(),
        ],
    )
}

/// Ends a session of a user. The guard is missed when it has ended already, or is another's.
pub fn end(user_id: &str, session_id: &str) -> Write {
    guarded("DELETE FROM user_sessions WHERE id = $1 AND user_id = $2", [session_id.into(), user_id.into()])
}

/// Ends all sessions of a user.
pub fn end_all(user_id: &str) -> Write {
    write("DELETE FROM user_sessions WHERE user_id = $1", [user_id.into()])
}

/// Ends all sessions of a user but one.
pub fn end_others(user_id: &str, session_id: &str) -> Write {
    write("DELETE FROM user_sessions WHERE user_id = $1 AND id <> $2", [user_id.into(), session_id.into()])
}

/// Clears away the sessions of a user that are over.
pub fn forget_expired(user_id: &str, now: Instant) -> Write {
    write("DELETE FROM user_sessions WHERE user_id = $1 AND expires_at <= $2", [user_id.into(), now.into()])
}

fn session(cells: &mut Cells<'_>) -> Session {
    Session {
        id: cells.text(),
        user_id: cells.text(),
        device: cells.text(),
        family_hash: cells.text(),
        token_hash: cells.text(),
        previous: previous(cells),
        created_at: cells.integer(),
        renewed_at: cells.integer(),
        expires_at: cells.integer(),
    }
}

fn previous(cells: &mut Cells<'_>) -> Option<Previous> {
    let previous = Previous { token_hash: cells.text(), salt: cells.text() };
    (!previous.token_hash.is_empty()).then_some(previous)
}
