//! Address books.

use souk_kit::Call;
use souk_kit::check::Check;
use souk_kit::ids::{self, digest};
use souk_kit::user::{SavedAddress, UserError};

use super::{Ports, done, owned, settle};
use crate::domain::address_book::{self, Command, Refusal};
use crate::store::{self, Commit};

/// The addresses of a user in the order of their making.
pub fn list_addresses(ports: &impl Ports, call: &Call, user_id: &str) -> Result<Vec<SavedAddress>, UserError> {
    owned(call, user_id)?;
    Ok(store::addresses::load(ports, user_id)?.ok_or(UserError::NotFound)?.addresses)
}

/// Adds or replaces an address.
pub fn set_address(
    ports: &impl Ports,
    call: &Call,
    user_id: &str,
    address: &SavedAddress,
) -> Result<SavedAddress, UserError> {
    let mut check = Check::new();
    check.id("/address/id", "adr", &address.id);
    check.address("/address/address", &address.address);
    done(check)?;
    owned(call, user_id)?;
    change(ports, user_id, Command::Set(address))?;
    Ok(address.clone())
}

/// Removes an address.
pub fn delete_address(ports: &impl Ports, call: &Call, user_id: &str, address_id: &str) -> Result<(), UserError> {
    owned(call, user_id)?;
    change(ports, user_id, Command::Delete(address_id))
}

fn change(ports: &impl Ports, user_id: &str, command: Command<'_>) -> Result<(), UserError> {
    settle(|| {
        let book = store::addresses::load(ports, user_id)?.ok_or(UserError::NotFound)?;
        let decided = address_book::decide(&book, command).map_err(|refusal| match refusal {
            Refusal::Full => UserError::LimitReached,
        })?;
        let Some(next) = decided else { return Ok(Some(())) };
        let batch = format!("address-book/{user_id}/{}/{}", book.version, identity(command));
        let commit = store::commit(ports, batch, store::addresses::replace(user_id, &book, &next), Vec::new())?;
        Ok((commit == Commit::Done).then_some(()))
    })
}

/// Names a command and all that it carries, so that only the same one passes for a repeat.
fn identity(command: Command<'_>) -> String {
    let whole = match command {
        Command::Delete(id) => digest(&["delete", id]),
        Command::Set(SavedAddress { id, address, default_shipping, default_billing }) => digest(&[
            "set",
            id,
            &address.name,
            &address.company,
            &address.line1,
            &address.line2,
            &address.city,
            &address.region,
            &address.postal_code,
            &address.country,
            &address.phone,
            &default_shipping.to_string(),
            &default_billing.to_string(),
        ]),
    };
    ids::hex(&whole.as_bytes()[..16])
}
