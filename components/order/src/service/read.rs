//! Reading orders.

use souk_kit::order::{OrderError, OrderPage, OrderQuery, OrderView, TimelineEntry};
use souk_kit::{Actor, Call, Instant, PageRequest, Sql, cursor, ids};

use super::{Guests, load_visible, unavailable};
use crate::store::{self, Filter};

/// Longest text that is searched for, in bytes.
const SEARCH_BYTES_MAX: usize = 254;

/// Reads an order.
pub fn get_order(ports: &impl Sql, call: &Call, order_id: &str) -> Result<OrderView, OrderError> {
    Ok(load_visible(ports, call, order_id, Guests::Never)?.order.view())
}

/// Reads an order by its number or id, and its access token.
pub fn find(ports: &impl Sql, number: &str, access_token: &str) -> Result<OrderView, OrderError> {
    let id = store::find(ports, number).map_err(unavailable)?.ok_or(OrderError::NotFound)?;
    let order = super::reload(ports, &id)?;
    // Digests are compared, so the time it takes tells nothing of the token.
    let right = ids::digest(&[access_token]) == ids::digest(&[&order.access_token]);
    if right { Ok(order.view()) } else { Err(OrderError::NotFound) }
}

/// Orders that match, newest first.
pub fn list_orders(
    ports: &impl Sql,
    call: &Call,
    query: &OrderQuery,
    page: &PageRequest,
) -> Result<OrderPage, OrderError> {
    let (after, limit) = cursor::decode::<2>(page).map_err(|error| OrderError::Invalid(vec![error]))?;
    let after = match after {
        None => None,
        Some([at, id]) => Some((at.parse::<Instant>().map_err(|_| malformed())?, id)),
    };
    if query.search.len() > SEARCH_BYTES_MAX {
        return Err(super::invalid("/search", "too_long", "at most 254 bytes"));
    }
    let user_id = match (&call.ctx.actor, &query.user_id) {
        (Actor::Staff(_) | Actor::System(_), wanted) => wanted.as_deref(),
        (Actor::User(user), None) => Some(user.as_str()),
        (Actor::User(user), Some(wanted)) if user == wanted => Some(user.as_str()),
        (Actor::User(_), Some(_)) | (Actor::Guest, _) => return Ok(OrderPage { items: Vec::new(), next: None }),
    };
    let filter = Filter { user_id, state: query.state, search: query.search.trim(), after, limit: limit + 1 };
    let mut items = store::list(ports, filter).map_err(unavailable)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let last = items.last().filter(|_| more);
    let next = last.map(|last| cursor::encode(&[&last.placed_at.to_string(), &last.id]));
    Ok(OrderPage { items, next })
}

/// What happened to an order, oldest first.
pub fn list_timeline(ports: &impl Sql, call: &Call, order_id: &str) -> Result<Vec<TimelineEntry>, OrderError> {
    let order = load_visible(ports, call, order_id, Guests::Never)?.order;
    store::timeline(ports, &order.id).map_err(unavailable)
}

fn malformed() -> OrderError {
    super::invalid("/cursor", "malformed", "the cursor is not one that this list gave")
}
