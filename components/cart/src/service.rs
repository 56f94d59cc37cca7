//! The use cases: load, decide, save. Prices come from the catalog, in one call each.
//!
//! A use case that writes more than one value writes them in such an order that a repeat after any of them finishes
//! the work and nothing is lost in between.

use souk_kit::cart::{CartError, CartView, LineChange};
use souk_kit::catalog::{CatalogError, Offer};
use souk_kit::check::Check;
use souk_kit::{Call, Context, Id, Kv};

use crate::domain::{self, Cart, Command, Offers, Outcome, State};
use crate::store::{self, Claimed, Stored};

/// How often a command that names no version reads and decides again because another writer came first.
pub const TRIES_MAX: u32 = 5;

/// Carts that are remembered of one user: one for each currency, and those that are being checked out.
pub const CLAIMED_MAX: usize = 8;

/// What a cart needs of the catalog: see `wit/catalog.wit`.
pub trait Catalog {
    /// Variants with their prices in a currency; unknown ones are left out.
    fn get_offers(&self, ctx: &Context, variant_ids: &[Id], currency: &str) -> Result<Vec<Offer>, CatalogError>;
}

/// All that the use cases reach.
pub trait Ports: Kv + Catalog {}

impl<T: Kv + Catalog> Ports for T {}

/// Makes an empty cart. A repeat answers the cart as it is.
pub fn create(ports: &impl Ports, call: &Call, cart_id: &Id, currency: &str) -> Result<CartView, CartError> {
    let mut check = Check::new();
    check.id("/cart_id", "cart", cart_id);
    check.currency("/currency", currency);
    check.done().map_err(CartError::Invalid)?;
    let cart = Cart::new(cart_id, currency);
    retried(|| {
        if let Some(version) = store::save(ports, &cart, None)? {
            return Ok(Some(domain::view(&cart, version, &Offers::new())));
        }
        match store::load(ports, cart_id)? {
            Some(stored) if stored.cart.is_visible_to(call) => priced(ports, call, &stored).map(Some),
            Some(_) => Err(CartError::NotFound),
            None => Ok(None), // it expired between the write and the reading
        }
    })
}

/// Reads a cart and prices it. Writes nothing.
pub fn get(ports: &impl Ports, call: &Call, cart_id: &Id) -> Result<CartView, CartError> {
    check_id("/cart_id", "cart", cart_id)?;
    priced(ports, call, &load_visible(ports, call, cart_id)?)
}

/// Sets quantities, all or none. A change that is in effect already is not refused for its version: it was a repeat.
pub fn set_lines(
    ports: &impl Ports,
    call: &Call,
    cart_id: &Id,
    changes: &[LineChange],
    version: Option<u64>,
) -> Result<CartView, CartError> {
    check_id("/cart_id", "cart", cart_id)?;
    domain::check_changes(changes)?;
    retried(|| {
        let stored = load_visible(ports, call, cart_id)?;
        let offers = if stored.cart.state == State::Open {
            let added = changes.iter().filter(|change| change.quantity > 0).map(|change| &change.variant_id);
            offers(ports, call, &stored.cart, added)?
        } else {
            Offers::new() // it is refused below, whatever the catalog says
        };
        let next = domain::decide(&stored.cart, Command::SetLines(changes, &offers))?;
        let stale = version.is_some_and(|version| version != stored.version);
        match (stale, stored.cart.has(changes)) {
            (true, true) => Ok(Some(domain::view(&stored.cart, stored.version, &offers))),
            (true, false) => Err(CartError::Conflict),
            (false, _) => {
                let saved = save_change(ports, &stored, &next)?;
                Ok(saved.map(|version| domain::view(&next, version, &offers)))
            }
        }
    })
}

/// The newest open cart of a user.
pub fn get_for_user(ports: &impl Ports, call: &Call, user_id: &Id) -> Result<CartView, CartError> {
    check_id("/user_id", "usr", user_id)?;
    if !domain::acts_for(call, user_id) {
        return Err(CartError::NotFound);
    }
    for cart_id in store::load_claimed(ports, user_id)?.cart_ids {
        if let Some(stored) = load_owned(ports, user_id, &cart_id)?.filter(|stored| stored.cart.state == State::Open) {
            return priced(ports, call, &stored);
        }
    }
    Err(CartError::NotFound)
}

/// Gives a guest's cart to a user and answers their cart. Safe to repeat.
pub fn claim(ports: &impl Ports, call: &Call, cart_id: &Id, user_id: &Id) -> Result<CartView, CartError> {
    let mut check = Check::new();
    check.id("/cart_id", "cart", cart_id);
    check.id("/user_id", "usr", user_id);
    check.done().map_err(CartError::Invalid)?;
    if !domain::acts_for(call, user_id) {
        return Err(CartError::NotFound);
    }
    retried(|| {
        let guest = load_visible(ports, call, cart_id)?;
        if guest.cart.user_id.as_ref().is_some_and(|owner| owner != user_id) {
            return Err(CartError::NotFound);
        }
        match &guest.cart.state {
            State::Open => claim_open(ports, call, &guest, user_id),
            State::CheckingOut(_) | State::Completed(_) => Err(CartError::Closed),
            State::Merged(into) => {
                match load_owned(ports, user_id, into)?.filter(|stored| stored.cart.state == State::Open) {
                    Some(theirs) => priced(ports, call, &theirs).map(Some),
                    None => get_for_user(ports, call, user_id).map(Some),
                }
            }
        }
    })
}

/// Freezes an open cart at a version for an order. A repeat for the same order answers the cart.
pub fn begin_checkout(
    ports: &impl Ports,
    call: &Call,
    cart_id: &Id,
    version: u64,
    order_id: &Id,
) -> Result<CartView, CartError> {
    let mut check = Check::new();
    check.id("/cart_id", "cart", cart_id);
    check.id("/order_id", "ord", order_id);
    check.done().map_err(CartError::Invalid)?;
    retried(|| {
        let stored = load_visible(ports, call, cart_id)?;
        let next = domain::decide(&stored.cart, Command::BeginCheckout(order_id))?;
        if next != stored.cart && version != stored.version {
            return Err(CartError::Conflict);
        }
        // Priced before it is frozen: an outage of the catalog leaves the cart as it was.
        let offers = offers(ports, call, &next, [])?;
        let saved = save_change(ports, &stored, &next)?;
        Ok(saved.map(|version| domain::view(&next, version, &offers)))
    })
}

/// Ends the checkout of an order. Harmless when the cart is not in it.
pub fn end_checkout(
    ports: &impl Ports,
    call: &Call,
    cart_id: &Id,
    order_id: &Id,
    outcome: Outcome,
) -> Result<(), CartError> {
    let mut check = Check::new();
    check.id("/cart_id", "cart", cart_id);
    check.id("/order_id", "ord", order_id);
    check.done().map_err(CartError::Invalid)?;
    retried(|| {
        let Some(stored) = store::load(ports, cart_id)? else { return Ok(Some(())) };
        if !stored.cart.is_visible_to(call) {
            return Err(CartError::NotFound);
        }
        let next = domain::decide(&stored.cart, Command::EndCheckout(order_id, outcome))?;
        Ok(save_change(ports, &stored, &next)?.map(|_| ()))
    })
}

/// Gives an open cart to a user: it becomes theirs, or its lines go into the open one that they have.
/// None when another writer came between.
fn claim_open(ports: &impl Ports, call: &Call, guest: &Stored, user_id: &Id) -> Result<Option<CartView>, CartError> {
    let claimed = store::load_claimed(ports, user_id)?;
    if guest.cart.user_id.is_some() && claimed.cart_ids.contains(&guest.cart.id) {
        return priced(ports, call, guest).map(Some);
    }
    let mut alive = Vec::new();
    for cart_id in claimed.cart_ids.iter().filter(|id| **id != guest.cart.id) {
        alive.extend(load_owned(ports, user_id, cart_id)?.filter(|stored| match stored.cart.state {
            State::Open | State::CheckingOut(_) => true,
            State::Completed(_) | State::Merged(_) => false,
        }));
    }
    let theirs =
        alive.iter().find(|stored| stored.cart.state == State::Open && stored.cart.currency == guest.cart.currency);
    match theirs {
        Some(theirs) => merge(ports, call, guest, theirs, user_id),
        None => {
            let others = alive.into_iter().map(|stored| stored.cart.id);
            let cart_ids = std::iter::once(guest.cart.id.clone()).chain(others).take(CLAIMED_MAX).collect();
            own(ports, call, guest, user_id, &Claimed { cart_ids, version: claimed.version })
        }
    }
}

/// The lines go into the user's cart first and the guest's cart ends after that: whoever dies in between leaves them
/// in both, and a repeat takes the larger quantity of equals.
fn merge(
    ports: &impl Ports,
    call: &Call,
    guest: &Stored,
    theirs: &Stored,
    user_id: &Id,
) -> Result<Option<CartView>, CartError> {
    let next = domain::decide(&theirs.cart, Command::Absorb(&guest.cart.lines))?;
    let Some(version) = save_change(ports, theirs, &next)? else { return Ok(None) };
    let ended = domain::decide(&guest.cart, Command::EndAsMerged { into: &next.id, user_id })?;
    if save_change(ports, guest, &ended)?.is_none() {
        return Ok(None); // the guest's cart changed meanwhile; its new lines must not be lost
    }
    priced(ports, call, &Stored { cart: next, version }).map(Some)
}

/// The cart becomes the user's first and is listed after that. The list decides between two carts that are claimed
/// at once: the second one finds the first in it and is merged.
fn own(
    ports: &impl Ports,
    call: &Call,
    guest: &Stored,
    user_id: &Id,
    claimed: &Claimed,
) -> Result<Option<CartView>, CartError> {
    let next = domain::decide(&guest.cart, Command::Own(user_id))?;
    let Some(version) = save_change(ports, guest, &next)? else { return Ok(None) };
    if store::save_claimed(ports, user_id, claimed)?.is_none() {
        return Ok(None);
    }
    priced(ports, call, &Stored { cart: next, version }).map(Some)
}

fn check_id(pointer: &str, prefix: &str, id: &Id) -> Result<(), CartError> {
    let mut check = Check::new();
    check.id(pointer, prefix, id);
    check.done().map_err(CartError::Invalid)
}

fn load_visible(ports: &impl Ports, call: &Call, cart_id: &Id) -> Result<Stored, CartError> {
    store::load(ports, cart_id)?.filter(|stored| stored.cart.is_visible_to(call)).ok_or(CartError::NotFound)
}

fn load_owned(ports: &impl Ports, user_id: &Id, cart_id: &Id) -> Result<Option<Stored>, CartError> {
    Ok(store::load(ports, cart_id)?.filter(|stored| stored.cart.user_id.as_ref() == Some(user_id)))
}

/// Saves what changed and answers the version; a decision that changed nothing writes nothing. None when another
/// writer came first.
fn save_change(ports: &impl Ports, stored: &Stored, next: &Cart) -> Result<Option<u64>, CartError> {
    if *next == stored.cart {
        return Ok(Some(stored.version));
    }
    store::save(ports, next, Some(stored.version))
}

fn priced(ports: &impl Ports, call: &Call, stored: &Stored) -> Result<CartView, CartError> {
    Ok(domain::view(&stored.cart, stored.version, &offers(ports, call, &stored.cart, [])?))
}

/// What the catalog says of the variants of a cart and of some more, in one call.
fn offers<'a>(
    ports: &impl Ports,
    call: &Call,
    cart: &Cart,
    more: impl IntoIterator<Item = &'a Id>,
) -> Result<Offers, CartError> {
    let mut variant_ids: Vec<Id> = cart.lines.iter().map(|line| line.variant_id.clone()).collect();
    variant_ids.extend(more.into_iter().cloned());
    variant_ids.sort_unstable();
    variant_ids.dedup();
    if variant_ids.is_empty() {
        return Ok(Offers::new());
    }
    let offers = ports.get_offers(&call.ctx, &variant_ids, &cart.currency).map_err(|error| {
        CartError::Unavailable(match error {
            CatalogError::Unavailable(text) => format!("catalog: {text}"),
            CatalogError::Conflict => "catalog: conflict".to_owned(),
            CatalogError::StorageFull => return CartError::StorageFull,
            CatalogError::Invalid(_)
            | CatalogError::NotFound
            | CatalogError::OutOfStock(_)
            | CatalogError::Expired
            | CatalogError::Settled
            | CatalogError::InUse => "catalog: refused to price the cart".to_owned(),
        })
    })?;
    Ok(offers.into_iter().map(|offer| (offer.variant_id.clone(), offer)).collect())
}

/// Tries until no other writer came between, at most [`TRIES_MAX`] times.
fn retried<T>(mut attempt: impl FnMut() -> Result<Option<T>, CartError>) -> Result<T, CartError> {
    for _ in 0..TRIES_MAX {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
    }
    Err(CartError::Conflict)
}

#[cfg(test)]
mod tests;
