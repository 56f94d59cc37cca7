//! What an audit counts.

use souk_kit::sql::read;
use souk_kit::user::UserError;
use souk_kit::{Id, Instant, Sql};

use super::failed;

/// What is counted of one account.
pub struct Counted {
    /// Its id.
    pub id: Id,
    /// Its address.
    pub email: String,
    /// The form under which the address is unique.
    pub email_key: String,
    /// Whether it is disabled.
    pub disabled: bool,
    /// The version of its address book.
    pub book_version: u64,
    /// Sessions that are not over.
    pub open_sessions: u64,
    /// Sessions that end at another time than thirty days after their opening, or that were renewed outside that time.
    pub misdated_sessions: u64,
    /// Addresses.
    pub addresses: u64,
    /// Addresses that are the default for shipping.
    pub default_shipping: u64,
    /// Addresses that are the default for billing.
    pub default_billing: u64,
    /// Addresses that came with a version of the book that has not been yet.
    pub misplaced_addresses: u64,
}

/// Counts what belongs to the `limit` accounts after `after`, in the order of their ids.
pub fn count(
    ports: &impl Sql,
    after: &str,
    limit: u32,
    session_lifetime: Instant,
    now: Instant,
) -> Result<Vec<Counted>, UserError> {
    let accounts = read(
        "SELECT u.id, u.email, u.email_key, u.disabled, u.book_version, \
         (SELECT count(*) FROM user_sessions s WHERE s.user_id = u.id AND s.expires_at > $1), \
         (SELECT count(*) FROM user_sessions s WHERE s.user_id = u.id \
             AND (s.expires_at - s.created_at <> $2 OR s.renewed_at >= s.expires_at)), \
         (SELECT count(*) FROM user_addresses a WHERE a.user_id = u.id), \
         (SELECT count(*) FROM user_addresses a WHERE a.user_id = u.id AND a.default_shipping = 1), \
         (SELECT count(*) FROM user_addresses a WHERE a.user_id = u.id AND a.default_billing = 1), \
         (SELECT count(*) FROM user_addresses a WHERE a.user_id = u.id AND a.ordinal > u.book_version) \
         FROM user_users u WHERE u.id > $3 ORDER BY u.id LIMIT $4",
        [now.into(), session_lifetime.into(), after.into(), limit.into()],
    );
    let snapshot = ports.query(&[accounts], None).map_err(failed)?;
    Ok(snapshot.results[0].map(|cells| Counted {
        id: cells.text(),
        email: cells.text(),
        email_key: cells.text(),
        disabled: cells.flag(),
        book_version: cells.count(),
        open_sessions: cells.count(),
        misdated_sessions: cells.count(),
        addresses: cells.count(),
        default_shipping: cells.count(),
        default_billing: cells.count(),
        misplaced_addresses: cells.count(),
    }))
}

/// How many members of staff can sign in: as it is noted, and as it is counted.
pub fn count_staff(ports: &impl Sql) -> Result<(u64, u64), UserError> {
    let reads = [
        read("SELECT active FROM user_staffing WHERE one = 1", []),
        read("SELECT count(*) FROM user_users WHERE role = 'staff' AND disabled = 0", []),
    ];
    let snapshot = ports.query(&reads, None).map_err(failed)?;
    let mut counts = snapshot.results.iter().map(|rows| rows.first(|cells| cells.count()).unwrap_or(0));
    Ok((counts.next().unwrap_or(0), counts.next().unwrap_or(0)))
}
