//! What a webhook says: that an order, or what moved for it, changed.
//!
//! Source: <https://developer.paypal.com/api/rest/webhooks/rest/> and
//! <https://developer.paypal.com/docs/api/webhooks/v1/#verify-webhook-signature_post>.

use serde::Deserialize;
use serde_json::{Value, json};
use souk_kit::ids;
use souk_kit::payment_extension::{HookError, News};
use souk_kit::types::Instant;

use crate::domain::{instant, is_reference};
use crate::wire::{Link, Request, Supplementary};

/// The types of events that are of interest. Others are genuine, and are not acted upon.
pub const TYPES: [&str; 13] = [
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "PAYMENT.AUTHORIZATION.CREATED",
    "PAYMENT.AUTHORIZATION.VOIDED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.REFUND.FAILED",
    "PAYMENT.REFUND.PENDING",
];

/// Oldest webhook that is asked about, in milliseconds.
pub const PAST_MAX_MS: i64 = 300_000;
/// How far ahead PayPal's clock may be, in milliseconds.
pub const FUTURE_MAX_MS: i64 = 60_000;
/// Most registrations that are asked about.
pub const REGISTRATIONS_MAX: usize = 4;

/// Longest header of a transmission, in bytes.
const HEADER_BYTES_MAX: usize = 1_000;
/// Longest id of an event, in bytes.
const EVENT_ID_BYTES_MAX: usize = 200;

/// What came beside the body, and is signed with it.
pub struct Transmission<'a> {
    auth_algo: &'a str,
    cert_url: &'a str,
    id: &'a str,
    sig: &'a str,
    time: &'a str,
}

impl<'a> Transmission<'a> {
    /// Reads the headers, and refuses what PayPal need not be asked about.
    pub fn read(headers: &'a [(String, String)], base: &str, now: Instant) -> Result<Self, HookError> {
        let header = |wanted: &str| {
            let mut values = headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (Some(value), None) if (1..=HEADER_BYTES_MAX).contains(&value.len()) => Ok(value),
                _ => Err(malformed(&format!("there is not one header {wanted}"))),
            }
        };
        let transmission = Self {
            auth_algo: header("paypal-auth-algo")?,
            cert_url: header("paypal-cert-url")?,
            id: header("paypal-transmission-id")?,
            sig: header("paypal-transmission-sig")?,
            time: header("paypal-transmission-time")?,
        };
        let at = instant(transmission.time).ok_or_else(|| malformed("the time is not one of RFC 3339"))?;
        let age = now.saturating_sub(at);
        if !(-FUTURE_MAX_MS..=PAST_MAX_MS).contains(&age) {
            return Err(HookError::Forged("it is too old, or from the future".to_owned()));
        }
        if !is_paypals(transmission.cert_url, base) {
            return Err(HookError::Forged("its certificate is not at PayPal".to_owned()));
        }
        Ok(transmission)
    }

    /// The question whether it is PayPal's. The event stands in it byte by byte, as it came.
    pub fn question(&self, webhook_id: &str, body: &[u8]) -> Result<Request, HookError> {
        let event = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
        let rest = json!({
            "auth_algo": self.auth_algo, "cert_url": self.cert_url, "transmission_id": self.id,
            "transmission_sig": self.sig, "transmission_time": self.time, "webhook_id": webhook_id,
        });
        let rest = rest.to_string();
        let json = format!("{},\"webhook_event\":{event}}}", &rest[..rest.len() - 1]);
        Ok(Request::Ask { path: "/v1/notifications/verify-webhook-signature".to_owned(), json })
    }
}

/// Whether an address is PayPal's, or below that of the simulator that stands in for it.
fn is_paypals(url: &str, base: &str) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    host == "paypal.com"
        || host.ends_with(".paypal.com")
        || (!base.is_empty() && url.starts_with(&format!("{}/", base.trim_end_matches('/'))))
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    resource: Value,
}

/// The part of an order, an authorization, a capture or a refund that says whose it is.
#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    id: String,
    #[serde(default)]
    invoice_id: Option<String>,
    #[serde(default)]
    supplementary_data: Supplementary,
    #[serde(default)]
    links: Vec<Link>,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing of interest: another type, or something that was not made for an order.
    Other,
    /// An order.
    Order(News),
    /// A refund, which names the capture that it is of and no order.
    Refund {
        /// The event's id.
        event_id: String,
        /// PayPal's name for the capture.
        capture: String,
    },
}

/// Reads a body, genuine or not.
pub fn read(body: &[u8]) -> Result<Subject, HookError> {
    let event: Event = serde_json::from_slice(body).map_err(|error| malformed(&error.to_string()))?;
    if !(1..=EVENT_ID_BYTES_MAX).contains(&event.id.len()) {
        return Err(malformed("the event's id is empty or too long"));
    }
    if !TYPES.contains(&event.event_type.as_str()) {
        return Ok(Subject::Other);
    }
    let resource: Resource = serde_json::from_value(event.resource).map_err(|error| malformed(&error.to_string()))?;
    let key = resource.invoice_id.filter(|key| ids::is_id("pay", key));
    let capture = resource.links.iter().find(|link| link.rel == "up").and_then(Link::capture);
    let named = |id: String, what: &str| {
        if is_reference(&id) { Ok(id) } else { Err(malformed(&format!("the {what}'s id has not its form"))) }
    };
    let event_id = event.id;
    Ok(match (resource.supplementary_data.related_ids.order_id, capture) {
        (Some(order), _) => Subject::Order(News { event_id, reference: named(order, "order")?, key }),
        (None, Some(capture)) => Subject::Refund { event_id, capture: named(capture.to_owned(), "capture")? },
        (None, None) if event.event_type.starts_with("CHECKOUT.ORDER.") => {
            Subject::Order(News { event_id, reference: named(resource.id, "order")?, key })
        }
        (None, None) => Subject::Other,
    })
}

fn malformed(why: &str) -> HookError {
    HookError::Malformed(why.to_owned())
}
