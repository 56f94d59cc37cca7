//! The address book of whoever is signed in.

use serde::{Deserialize, Serialize};
use souk_kit::{Id, user};

use crate::exchange::Exchange;
use crate::input;
use crate::problem::{Code, Problem};
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::Address;

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("addresses", Access::SignedIn, list_addresses),
    Route::post("addresses", Access::SignedIn, Keyed::Optional, create_address),
    Route::get("addresses/{id}", Access::SignedIn, get_address),
    Route::set("PUT", "addresses/{id}", Access::SignedIn, set_address),
    Route::set("DELETE", "addresses/{id}", Access::SignedIn, delete_address),
];

/// An address to be kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct AddressEntry {
    /// The address.
    pub address: Address,
    /// Whether parcels go here unless told otherwise. It takes this from the address that had it.
    #[serde(default)]
    pub default_shipping: bool,
    /// Whether this is who pays unless told otherwise. It takes this from the address that had it.
    #[serde(default)]
    pub default_billing: bool,
}

/// An address of the address book.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct SavedAddress {
    /// `adr_...`
    pub id: String,
    /// The address.
    pub address: Address,
    /// Whether parcels go here unless told otherwise.
    pub default_shipping: bool,
    /// Whether this is who pays unless told otherwise.
    pub default_billing: bool,
}

/// Lists the address book, in the order of its making.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/auth/addresses", tag = "accounts",
    responses((status = 200, body = crate::shapes::List<SavedAddress>))))]
pub fn list_addresses(exchange: &Exchange<'_>) -> Answer {
    let addresses = exchange.ports.list_addresses(&exchange.ctx, &exchange.user().user_id)?;
    Ok(reply::list(addresses.into_iter().map(SavedAddress::from).collect()))
}

/// Adds an address.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/addresses", tag = "accounts",
    request_body = AddressEntry, responses((status = 201, body = SavedAddress))))]
pub fn create_address(exchange: &Exchange<'_>) -> Answer {
    let saved = set(exchange, exchange.mint("adr", "address"))?;
    Ok(reply::created(&format!("/api/v1/auth/addresses/{}", saved.id), &saved))
}

/// Reads an address.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/auth/addresses/{id}", tag = "accounts",
    params(("id" = String, Path, description = "`adr_...`")), responses((status = 200, body = SavedAddress))))]
pub fn get_address(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "adr")?;
    let addresses = exchange.ports.list_addresses(&exchange.ctx, &exchange.user().user_id)?;
    let address = addresses.into_iter().find(|address| address.id == id).ok_or(Code::NotFound)?;
    Ok(reply::json(200, &SavedAddress::from(address)))
}

/// Adds or replaces an address.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(put, path = "/api/v1/auth/addresses/{id}", tag = "accounts",
    params(("id" = String, Path, description = "`adr_...`")), request_body = AddressEntry,
    responses((status = 200, body = SavedAddress))))]
pub fn set_address(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "adr")?.to_owned();
    Ok(reply::json(200, &set(exchange, id)?))
}

/// Removes an address. A repeat is harmless.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(delete, path = "/api/v1/auth/addresses/{id}", tag = "accounts",
    params(("id" = String, Path, description = "`adr_...`")), responses((status = 204))))]
pub fn delete_address(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "adr")?;
    exchange.ports.delete_address(&exchange.ctx, &exchange.user().user_id, id)?;
    Ok(reply::nothing())
}

fn set(exchange: &Exchange<'_>, id: Id) -> Result<SavedAddress, Problem> {
    let entry = input::json::<AddressEntry>(exchange.request)?;
    let address = user::SavedAddress {
        id,
        address: entry.address.into(),
        default_shipping: entry.default_shipping,
        default_billing: entry.default_billing,
    };
    Ok(exchange.ports.set_address(&exchange.ctx, &exchange.user().user_id, &address)?.into())
}

impl From<user::SavedAddress> for SavedAddress {
    fn from(saved: user::SavedAddress) -> Self {
        Self {
            id: saved.id,
            address: saved.address.into(),
            default_shipping: saved.default_shipping,
            default_billing: saved.default_billing,
        }
    }
}
