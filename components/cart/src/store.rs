//! Carts as values of the `kv` port: the only file that knows keys, JSON and times to live.

use souk_kit::cart::CartError;
use souk_kit::kv::{Condition, KvError};
use souk_kit::{Id, Kv};

use crate::domain::Cart;

/// How long a cart lives after its last change: 30 days.
pub const TTL_SECONDS: u64 = 30 * 24 * 60 * 60;

/// A cart and the version that the next write of it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The cart.
    pub cart: Cart,
    /// Its version.
    pub version: u64,
}

/// The carts that a user claimed, newest first, and the version that the next write of the list replaces.
///
/// The list says where to look and nothing more: whose a cart is and whether it is open, the cart itself says. So it need
/// not be written when a cart ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Ids of carts, some of which may have ended.
    pub cart_ids: Vec<Id>,
    /// None when there is no list.
    pub version: Option<u64>,
}

/// Reads a cart; none when there is none, or it has expired.
pub fn load(ports: &impl Kv, cart_id: &Id) -> Result<Option<Stored>, CartError> {
    let entry = ports.get(&cart_key(cart_id)).map_err(unavailable)?;
    Ok(entry.map(|entry| Stored {
        cart: serde_json::from_str(&entry.value).expect("only `save` writes this key"),
        version: entry.version,
    }))
}

/// Writes a cart where the version is still the one read, or where there is none, and answers the new version.
/// None when another writer came first.
pub fn save(ports: &impl Kv, cart: &Cart, replaces: Option<u64>) -> Result<Option<u64>, CartError> {
    let value = serde_json::to_string(cart).expect("a cart is always JSON");
    written(ports.set(&cart_key(&cart.id), &value, condition(replaces), Some(TTL_SECONDS)))
}

/// Reads the list of a user's carts.
pub fn load_claimed(ports: &impl Kv, user_id: &Id) -> Result<Claimed, CartError> {
    let entry = ports.get(&user_key(user_id)).map_err(unavailable)?;
    Ok(entry.map_or_else(Claimed::default, |entry| Claimed {
        cart_ids: serde_json::from_str(&entry.value).expect("only `save_claimed` writes this key"),
        version: Some(entry.version),
    }))
}

/// Writes the list of a user's carts as [`save`] writes a cart. It lives as long as the user: a cart that is changed
/// again and again outlives any time that this list could be given.
pub fn save_claimed(ports: &impl Kv, user_id: &Id, claimed: &Claimed) -> Result<Option<u64>, CartError> {
    let value = serde_json::to_string(&claimed.cart_ids).expect("a list of ids is always JSON");
    written(ports.set(&user_key(user_id), &value, condition(claimed.version), None))
}

fn cart_key(cart_id: &Id) -> String {
    format!("cart:{cart_id}")
}

fn user_key(user_id: &Id) -> String {
    format!("user:{user_id}")
}

fn condition(replaces: Option<u64>) -> Condition {
    replaces.map_or(Condition::Absent, Condition::Version)
}

fn written(outcome: Result<u64, KvError>) -> Result<Option<u64>, CartError> {
    match outcome {
        Ok(version) => Ok(Some(version)),
        Err(KvError::Conflict) => Ok(None),
        Err(error @ (KvError::Invalid(_) | KvError::StorageFull | KvError::Unavailable(_))) => Err(unavailable(error)),
    }
}

fn unavailable(error: KvError) -> CartError {
    CartError::Unavailable(match error {
        KvError::Invalid(text) => format!("invalid value: {text}"),
        KvError::Conflict => "the value changed".to_owned(),
        KvError::StorageFull => return CartError::StorageFull,
        KvError::Unavailable(text) => format!("store of carts unavailable: {text}"),
    })
}
