//! What a cart is, how it may change, and what it is worth.
//!
//! [`decide`] alone moves a cart from one state to the next. It knows no version: the store's conditional write
//! keeps two writers apart, and `service` compares the version that a command names.

mod pricing;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use souk_kit::cart::{CartError, LineChange};
use souk_kit::catalog::Offer;
use souk_kit::check::Check;
use souk_kit::{Call, Id, types::Actor};

pub use pricing::view;

/// Lines in a cart, and changes in one command.
pub const LINES_MAX: usize = 100;

/// Units of one variant in a cart.
pub const QUANTITY_MAX: u32 = 999;

/// Characters that are kept of a title, so that a full cart stays within a value of the `kv` port.
const TITLE_CHARACTERS_MAX: usize = 200;

/// What a shopper intends to buy.
///
/// Invariant: at most [`LINES_MAX`] lines, each variant once, each quantity from 1 to [`QUANTITY_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// `cart_...`
    pub id: Id,
    /// Whose it is; none while it is a guest's.
    pub user_id: Option<Id>,
    /// ISO 4217 code of all its prices.
    pub currency: String,
    /// Where it is in its life.
    pub state: State,
    /// In the order in which they were first set.
    pub lines: Vec<Line>,
}

/// Where a cart is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can change.
    Open,
    /// This order is being placed from it.
    CheckingOut(Id),
    /// It became this order.
    Completed(Id),
    /// Its lines went into this cart.
    Merged(Id),
}

/// One variant, as it was when its line was last set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `var_...`
    pub variant_id: Id,
    /// Units wanted.
    pub quantity: u32,
    /// Price of one unit then, in minor units. It warns of a change and is never charged.
    pub unit_minor: i64,
    /// The product's title then, shown when the variant is gone.
    pub title: String,
    /// The option values then.
    pub variant_title: String,
    /// The merchant's own code then.
    pub sku: String,
}

/// What the catalog said of variants, by variant.
pub type Offers = BTreeMap<Id, Offer>;

/// What may be asked of a cart.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// Set these quantities, at the catalog's prices.
    SetLines(&'a [LineChange], &'a Offers),
    /// Become this user's.
    Own(&'a Id),
    /// Take over the lines of another cart of the same currency.
    Absorb(&'a [Line]),
    /// End after another cart took the lines over.
    EndAsMerged {
        /// The cart that has the lines now.
        into: &'a Id,
        /// Whose that cart is.
        user_id: &'a Id,
    },
    /// Freeze for this order.
    BeginCheckout(&'a Id),
    /// Stop being frozen for this order.
    EndCheckout(&'a Id, Outcome),
}

/// What became of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The order is agreed.
    Confirmed,
    /// There is no order.
    Canceled,
}

impl Cart {
    /// A guest's cart without lines.
    pub fn new(id: &Id, currency: &str) -> Self {
        Self { id: id.clone(), user_id: None, currency: currency.to_owned(), state: State::Open, lines: Vec::new() }
    }

    /// Whether the caller may see it: a user's is seen by that user and by whoever sees all, a guest's by whoever knows its id.
    pub fn is_visible_to(&self, call: &Call) -> bool {
        self.user_id.as_ref().is_none_or(|user_id| acts_for(call, user_id))
    }

    /// Whether it has all these quantities already.
    pub fn has(&self, changes: &[LineChange]) -> bool {
        changes.iter().all(|change| self.quantity(&change.variant_id) == change.quantity)
    }

    fn quantity(&self, variant_id: &Id) -> u32 {
        self.lines.iter().find(|line| line.variant_id == *variant_id).map_or(0, |line| line.quantity)
    }

    fn assert_sound(&self) {
        assert!(self.lines.len() <= LINES_MAX);
        assert!(self.lines.iter().all(|line| (1..=QUANTITY_MAX).contains(&line.quantity)));
        let variants: BTreeSet<&Id> = self.lines.iter().map(|line| &line.variant_id).collect();
        assert_eq!(variants.len(), self.lines.len(), "each variant has one line");
    }
}

/// Whether the caller is this user, or may see what belongs to anyone.
pub fn acts_for(call: &Call, user_id: &Id) -> bool {
    match &call.ctx.actor {
        Actor::User(id) => id == user_id,
        Actor::Guest | Actor::Staff(_) | Actor::System(_) => call.sees_all(),
    }
}

/// Says everything that is wrong with the changes of one command.
pub fn check_changes(changes: &[LineChange]) -> Result<(), CartError> {
    let mut check = Check::new();
    if changes.len() > LINES_MAX {
        check.fail("/changes", "out_of_range", format!("at most {LINES_MAX} changes"));
        return check.done().map_err(CartError::Invalid);
    }
    let mut seen = BTreeSet::new();
    for (place, change) in changes.iter().enumerate() {
        let variant = format!("/changes/{place}/variant_id");
        check.id(&variant, "var", &change.variant_id);
        if !seen.insert(&change.variant_id) {
            check.fail(&variant, "taken", "the variant is named twice");
        }
        check.range(&format!("/changes/{place}/quantity"), change.quantity.into(), 0, QUANTITY_MAX.into());
    }
    check.done().map_err(CartError::Invalid)
}

/// Applies one command, or says why it may not be applied. A command that is done already changes nothing.
pub fn decide(cart: &Cart, command: Command<'_>) -> Result<Cart, CartError> {
    let next = match command {
        Command::SetLines(changes, offers) => set_lines(open(cart)?, changes, offers)?,
        Command::Own(user_id) => own(open(cart)?, user_id)?,
        Command::Absorb(lines) => absorb(open(cart)?, lines)?,
        Command::EndAsMerged { into, user_id } => {
            // The lines are in the other cart by now; kept here they would be in two.
            Cart { state: State::Merged(into.clone()), lines: Vec::new(), ..own(open(cart)?, user_id)? }
        }
        Command::BeginCheckout(order_id) => begin_checkout(cart, order_id)?,
        Command::EndCheckout(order_id, outcome) => end_checkout(cart, order_id, outcome),
    };
    next.assert_sound();
    Ok(next)
}

fn open(cart: &Cart) -> Result<Cart, CartError> {
    match &cart.state {
        State::Open => Ok(cart.clone()),
        State::CheckingOut(_) | State::Completed(_) | State::Merged(_) => Err(CartError::Closed),
    }
}

fn own(cart: Cart, user_id: &Id) -> Result<Cart, CartError> {
    match &cart.user_id {
        Some(owner) if owner != user_id => Err(CartError::NotFound),
        Some(_) | None => Ok(Cart { user_id: Some(user_id.clone()), ..cart }),
    }
}

fn set_lines(mut cart: Cart, changes: &[LineChange], offers: &Offers) -> Result<Cart, CartError> {
    for change in changes {
        let place = cart.lines.iter().position(|line| line.variant_id == change.variant_id);
        if change.quantity == 0 {
            if let Some(place) = place {
                cart.lines.remove(place);
            }
            continue;
        }
        let line = line(change, &cart.currency, offers)?;
        match place {
            Some(place) => cart.lines[place] = line,
            None => cart.lines.push(line),
        }
    }
    within_limit(cart)
}

fn line(change: &LineChange, currency: &str, offers: &Offers) -> Result<Line, CartError> {
    let offer = offers.get(&change.variant_id).ok_or(CartError::NotSold)?;
    let unit_minor = pricing::price(offer, currency).ok_or(CartError::NotSold)?;
    Ok(Line {
        variant_id: change.variant_id.clone(),
        quantity: change.quantity,
        unit_minor,
        title: shortened(&offer.title),
        variant_title: shortened(&offer.variant_title),
        sku: shortened(&offer.sku),
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(TITLE_CHARACTERS_MAX).collect()
}

/// Of a variant in both, the larger quantity stays. Equal ones keep the lower price they were set at, so that a rise is
/// always told. So it does not matter which cart takes over which, nor how often.
fn absorb(mut cart: Cart, lines: &[Line]) -> Result<Cart, CartError> {
    for line in lines {
        match cart.lines.iter_mut().find(|own| own.variant_id == line.variant_id) {
            Some(own) if rank(line) > rank(own) => *own = line.clone(),
            Some(_) => {}
            None => cart.lines.push(line.clone()),
        }
    }
    within_limit(cart)
}

fn rank(line: &Line) -> (u32, Reverse<i64>, &str, &str, &str) {
    (line.quantity, Reverse(line.unit_minor), &line.title, &line.variant_title, &line.sku)
}

fn within_limit(cart: Cart) -> Result<Cart, CartError> {
    if cart.lines.len() > LINES_MAX { Err(CartError::LimitReached) } else { Ok(cart) }
}

fn begin_checkout(cart: &Cart, order_id: &Id) -> Result<Cart, CartError> {
    match &cart.state {
        State::Open => Ok(Cart { state: State::CheckingOut(order_id.clone()), ..cart.clone() }),
        State::CheckingOut(by) | State::Completed(by) if by == order_id => Ok(cart.clone()),
        State::CheckingOut(_) => Err(CartError::Conflict),
        State::Completed(_) | State::Merged(_) => Err(CartError::Closed),
    }
}

fn end_checkout(cart: &Cart, order_id: &Id, outcome: Outcome) -> Cart {
    match &cart.state {
        State::CheckingOut(by) if by == order_id => {
            let state = match outcome {
                Outcome::Confirmed => State::Completed(order_id.clone()),
                Outcome::Canceled => State::Open,
            };
            Cart { state, ..cart.clone() }
        }
        State::Open | State::CheckingOut(_) | State::Completed(_) | State::Merged(_) => cart.clone(),
    }
}

#[cfg(test)]
mod tests;
