//! Accounts and the count of staff.

use souk_kit::sql::{Cells, Rows, Value, Write, guarded, read};
use souk_kit::user::{Profile, Role, UserError};
use souk_kit::{Instant, Sql};

use super::failed;
use crate::domain::account::{Account, Change, Sessions, email_key};

/// Selects accounts in the order that [`account`] takes them. `$1` is the present.
macro_rules! select_accounts {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.email, u.email_verified, u.name, u.role, u.disabled, u.created_at, u.version, \
             u.password_hash, (SELECT count(*) FROM user_sessions o WHERE o.user_id = u.id AND o.expires_at > $1) \
             FROM user_users u ",
            $rest
        )
    };
}

const BY_ID: &str = select_accounts!("WHERE u.id = $2");
const BY_EMAIL: &str = select_accounts!("WHERE u.email_key = $2");
const BY_SESSION: &str = select_accounts!("JOIN user_sessions s ON s.user_id = u.id WHERE s.family_hash = $2");
const BY_MAIL_TOKEN: &str =
    select_accounts!("JOIN user_mail_tokens t ON t.user_id = u.id WHERE t.token_hash = $2 AND t.expires_at > $1");
const NEWEST: &str = select_accounts!(
    "WHERE (u.created_at, u.id) < ($2, $3) \
     AND ((u.email_key >= $4 AND u.email_key < $5) OR (u.id >= $4 AND u.id < $5)) \
     ORDER BY u.created_at DESC, u.id DESC LIMIT $6"
);
const ACTIVE_STAFF: &str = "SELECT active FROM user_staffing WHERE one = 1";

/// Sorts behind every text that starts with what stands before it.
const LAST_CHARACTER: char = '\u{10ffff}';

/// An account and what else a change of it depends on.
pub struct Loaded {
    /// The account; none when there is no such user.
    pub account: Option<Account>,
    /// How many members of staff can sign in.
    pub active_staff: u64,
    /// Whether the batch that was asked about has been committed.
    pub committed: bool,
}

/// Reads an account by its id.
pub fn load(ports: &impl Sql, user_id: &str, now: Instant, batch_id: Option<&str>) -> Result<Loaded, UserError> {
    let reads = [read(BY_ID, [now.into(), user_id.into()]), read(ACTIVE_STAFF, [])];
    let snapshot = ports.query(&reads, batch_id).map_err(failed)?;
    Ok(Loaded {
        account: snapshot.results[0].first(account),
        active_staff: active_staff(&snapshot.results[1]),
        committed: snapshot.committed,
    })
}

/// What a registration depends on.
pub struct Applicants {
    /// The account with the id.
    pub by_id: Option<Account>,
    /// The account with the address.
    pub by_email: Option<Account>,
    /// How many members of staff can sign in.
    pub active_staff: u64,
}

/// Reads the accounts that have the id or the address of a registration.
pub fn load_applicants(ports: &impl Sql, user_id: &str, email: &str, now: Instant) -> Result<Applicants, UserError> {
    let reads = [
        read(BY_ID, [now.into(), user_id.into()]),
        read(BY_EMAIL, [now.into(), email_key(email).into()]),
        read(ACTIVE_STAFF, []),
    ];
    let snapshot = ports.query(&reads, None).map_err(failed)?;
    Ok(Applicants {
        by_id: snapshot.results[0].first(account),
        by_email: snapshot.results[1].first(account),
        active_staff: active_staff(&snapshot.results[2]),
    })
}

/// Reads an account by its address.
pub fn load_by_email(ports: &impl Sql, email: &str, now: Instant) -> Result<Option<Account>, UserError> {
    let snapshot = ports.query(&[read(BY_EMAIL, [now.into(), email_key(email).into()])], None).map_err(failed)?;
    Ok(snapshot.results[0].first(account))
}

/// Reads the account to which a token was mailed that still works.
pub fn load_by_mail_token(ports: &impl Sql, token_hash: &str, now: Instant) -> Result<Loaded, UserError> {
    let reads = [read(BY_MAIL_TOKEN, [now.into(), token_hash.into()]), read(ACTIVE_STAFF, [])];
    let snapshot = ports.query(&reads, None).map_err(failed)?;
    Ok(Loaded {
        account: snapshot.results[0].first(account),
        active_staff: active_staff(&snapshot.results[1]),
        committed: false,
    })
}

/// The read of the account whose session has a family of refresh tokens.
pub(super) fn read_by_session(family_hash: &str, now: Instant) -> souk_kit::sql::Read {
    read(BY_SESSION, [now.into(), family_hash.into()])
}

/// Where a page of accounts starts: the creation and the id of the last account of the page before.
pub struct After {
    /// Its creation.
    pub created_at: Instant,
    /// Its id.
    pub id: String,
}

impl After {
    /// Before the newest account.
    pub fn start() -> Self {
        Self { created_at: Instant::MAX, id: String::new() }
    }
}

/// Reads up to `limit` accounts, newest first, whose address or id starts with `search`.
pub fn page(
    ports: &impl Sql,
    search: &str,
    after: &After,
    limit: u32,
    now: Instant,
) -> Result<Vec<Profile>, UserError> {
    let from = email_key(search);
    let below = format!("{from}{LAST_CHARACTER}");
    let params =
        [now.into(), after.created_at.into(), (&after.id).into(), from.into(), below.into(), Value::from(limit)];
    let snapshot = ports.query(&[read(NEWEST, params)], None).map_err(failed)?;
    Ok(snapshot.results[0].map(account).into_iter().map(|account| account.profile).collect())
}

/// Makes an account. The guard is missed when its id or its address is taken.
pub fn insert(profile: &Profile, password_hash: &str, signed_in_at: Instant) -> Write {
    guarded(
        "INSERT INTO user_users (id, email, email_key, email_verified, name, role, disabled, password_hash, \
         created_at, signed_in_at, version, book_version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0) ON CONFLICT DO NOTHING",
        [
            (&profile.id).into(),
            (&profile.email).into(),
            email_key(&profile.email).into(),
            profile.email_verified.into(),
            (&profile.name).into(),
            role_name(profile.role).into(),
            profile.disabled.into(),
            password_hash.into(),
            profile.created_at.into(),
            signed_in_at.into(),
            profile.version.into(),
        ],
    )
}

/// Counts the members of staff anew. The guard is missed when their number is another by now.
pub fn count_staff(from: u64, to: u64) -> Write {
    guarded("UPDATE user_staffing SET active = $1 WHERE one = 1 AND active = $2", [to.into(), from.into()])
}

/// Writes a change of a profile over the version that it was decided on.
pub fn change(before: &Profile, active_staff: u64, change: &Change) -> Vec<Write> {
    let next = &change.profile;
    let mut writes = Vec::new();
    if change.active_staff != active_staff {
        writes.push(count_staff(active_staff, change.active_staff));
    }
    writes.push(guarded(
        "UPDATE user_users SET name = $1, email_verified = $2, role = $3, disabled = $4, version = $5 \
         WHERE id = $6 AND version = $7",
        [
            (&next.name).into(),
            next.email_verified.into(),
            role_name(next.role).into(),
            next.disabled.into(),
            next.version.into(),
            (&next.id).into(),
            before.version.into(),
        ],
    ));
    match change.sessions {
        Sessions::Stay => {}
        Sessions::End => writes.push(super::sessions::end_all(&next.id)),
    }
    writes
}

/// Replaces a password. The hash is its own version: the guard is missed when another replaced it before.
pub fn set_password(account: &Account, password_hash: &str) -> Write {
    guarded(
        "UPDATE user_users SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
        [password_hash.into(), (&account.profile.id).into(), (&account.password_hash).into()],
    )
}

/// Notes a sign-in. The guard is missed when profile or password changed since they were looked at.
pub fn sign_in(account: &Account, password_hash: &str, now: Instant) -> Write {
    guarded(
        "UPDATE user_users SET password_hash = $1, signed_in_at = $2 \
         WHERE id = $3 AND version = $4 AND password_hash = $5",
        [
            password_hash.into(),
            now.into(),
            (&account.profile.id).into(),
            account.profile.version.into(),
            (&account.password_hash).into(),
        ],
    )
}

pub(super) fn account(cells: &mut Cells<'_>) -> Account {
    Account {
        profile: Profile {
            id: cells.text(),
            email: cells.text(),
            email_verified: cells.flag(),
            name: cells.text(),
            role: role(cells.str()),
            disabled: cells.flag(),
            created_at: cells.integer(),
            version: cells.count(),
        },
        password_hash: cells.text(),
        open_sessions: cells.count(),
    }
}

fn active_staff(rows: &Rows) -> u64 {
    rows.first(|cells| cells.count()).expect("the migration writes the one row of staffing")
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Shopper => "shopper",
        Role::Staff => "staff",
    }
}

fn role(name: &str) -> Role {
    match name {
        "shopper" => Role::Shopper,
        "staff" => Role::Staff,
        other => panic!("a constraint keeps the role from being {other}"),
    }
}
