//! The log of messages to people.

use serde::{Deserialize, Serialize};
use souk_kit::{PageRequest, notification};

use crate::exchange::Exchange;
use crate::input;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::{PageQuery, Timestamp, page_items};

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("notifications", Access::Staff, list_notifications),
    Route::post("notifications/{id}/resend", Access::Staff, Keyed::Optional, resend_notification),
];

/// Which messages are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct NotificationFilters {
    /// To this recipient.
    pub recipient: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items wanted, 1 to 100.
    #[serde(default = "page_items")]
    #[cfg_attr(not(target_arch = "wasm32"), param(minimum = 1, maximum = 100, required = false))]
    pub limit: u32,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum DeliveryState {
    /// To be sent, or to be sent again.
    Queued,
    /// The channel took it.
    Sent,
    /// Given up.
    Failed,
}

/// A message in the log.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Notification {
    /// `ntf_...`
    pub id: String,
    /// What it says.
    pub template: String,
    /// How it goes.
    pub channel: String,
    /// Where it goes.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try failed; null when none did.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Lists messages, newest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/admin/notifications", tag = "admin: notifications",
    params(NotificationFilters), responses((status = 200, body = crate::shapes::List<Notification>))))]
pub fn list_notifications(exchange: &Exchange<'_>) -> Answer {
    let NotificationFilters { recipient, cursor, limit } = input::query(exchange.request)?;
    let page = PageRequest::from(PageQuery { cursor, limit });
    let found = exchange.ports.list_notifications(&exchange.ctx, &recipient.unwrap_or_default(), &page)?;
    Ok(reply::page(exchange, found.items.into_iter().map(Notification::from).collect(), found.next))
}

/// Sends a message again, whatever became of it.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/notifications/{id}/resend", tag = "admin: notifications",
    params(("id" = String, Path, description = "`ntf_...`")), responses((status = 202))))]
pub fn resend_notification(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "ntf")?;
    exchange.ports.resend(&exchange.ctx, &exchange.mint("cmd", "resend"), id)?;
    Ok(reply::accepted())
}

impl From<notification::DeliveryState> for DeliveryState {
    fn from(state: notification::DeliveryState) -> Self {
        match state {
            notification::DeliveryState::Queued => Self::Queued,
            notification::DeliveryState::Sent => Self::Sent,
            notification::DeliveryState::Failed => Self::Failed,
        }
    }
}

impl From<notification::NotificationSummary> for Notification {
    fn from(summary: notification::NotificationSummary) -> Self {
        Self {
            id: summary.id,
            template: summary.template,
            channel: summary.channel,
            recipient: summary.recipient,
            subject: summary.subject,
            state: summary.state.into(),
            attempts: summary.attempts,
            last_error: if summary.last_error.is_empty() { None } else { Some(summary.last_error) },
            created_at: Timestamp(summary.created_at),
        }
    }
}
