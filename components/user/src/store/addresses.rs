//! Address books.

use souk_kit::sql::{Cells, Write, guarded, read};
use souk_kit::user::{SavedAddress, UserError};
use souk_kit::{Address, Sql};

use super::failed;
use crate::domain::address_book::Book;

/// Reads the book of a user; none when there is no such user.
pub fn load(ports: &impl Sql, user_id: &str) -> Result<Option<Book>, UserError> {
    let reads = [
        read("SELECT book_version FROM user_users WHERE id = $1", [user_id.into()]),
        read(
            "SELECT id, name, company, line1, line2, city, region, postal_code, country, phone, default_shipping, \
             default_billing FROM user_addresses WHERE user_id = $1 ORDER BY ordinal",
            [user_id.into()],
        ),
    ];
    let snapshot = ports.query(&reads, None).map_err(failed)?;
    let addresses = snapshot.results[1].map(address);
    Ok(snapshot.results[0].first(|cells| cells.count()).map(|version| Book { addresses, version }))
}

/// Writes a book over the version that it was decided on: its version first, then what differs.
pub fn replace(user_id: &str, before: &Book, next: &Book) -> Vec<Write> {
    let mut writes = vec![guarded(
        "UPDATE user_users SET book_version = $1 WHERE id = $2 AND book_version = $3",
        [next.version.into(), user_id.into(), before.version.into()],
    )];
    let gone = before.addresses.iter().filter(|known| next.addresses.iter().all(|address| address.id != known.id));
    writes.extend(gone.map(|address| {
        guarded("DELETE FROM user_addresses WHERE user_id = $1 AND id = $2", [user_id.into(), (&address.id).into()])
    }));
    let mut changed: Vec<&SavedAddress> =
        next.addresses.iter().filter(|address| !before.addresses.contains(address)).collect();
    // A default is taken from one address before it is given to another: the database allows no two, not even for a moment.
    changed.sort_by_key(|address| gains_default(before, address));
    writes.extend(changed.into_iter().map(|address| set(user_id, next.version, address)));
    writes
}

fn gains_default(before: &Book, address: &SavedAddress) -> bool {
    let known = before.addresses.iter().find(|known| known.id == address.id);
    (address.default_shipping && !known.is_some_and(|known| known.default_shipping))
        || (address.default_billing && !known.is_some_and(|known| known.default_billing))
}

/// An address that is replaced keeps its ordinal, and with it its place.
fn set(user_id: &str, ordinal: u64, saved: &SavedAddress) -> Write {
    let address = &saved.address;
    guarded(
        "INSERT INTO user_addresses (user_id, id, ordinal, name, company, line1, line2, city, region, postal_code, \
         country, phone, default_shipping, default_billing) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (user_id, id) DO UPDATE SET name = excluded.name, company = excluded.company, \
         line1 = excluded.line1, line2 = excluded.line2, city = excluded.city, region = excluded.region, \
         postal_code = excluded.postal_code, country = excluded.country, phone = excluded.phone, \
         default_shipping = excluded.default_shipping, default_billing = excluded.default_billing",
        [
            user_id.into(),
            (&saved.id).into(),
            ordinal.into(),
            (&address.name).into(),
            (&address.company).into(),
            (&address.line1).into(),
            (&address.line2).into(),
            (&address.city).into(),
            (&address.region).into(),
            (&address.postal_code).into(),
            (&address.country).into(),
            (&address.phone).into(),
            saved.default_shipping.into(),
            saved.default_billing.into(),
        ],
    )
}

fn address(cells: &mut Cells<'_>) -> SavedAddress {
    SavedAddress {
        id: cells.text(),
        address: Address {
            name: cells.text(),
            company: cells.text(),
            line1: cells.text(),
            line2: cells.text(),
            city: cells.text(),
            region: cells.text(),
            postal_code: cells.text(),
            country: cells.text(),
            phone: cells.text(),
        },
        default_shipping: cells.flag(),
        default_billing: cells.flag(),
    }
}
