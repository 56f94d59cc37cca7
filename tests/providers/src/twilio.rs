//! Twilio's messages: requests to send, what becomes of each, and the callbacks that tell of it, as a state machine.
//!
//! Sources: <https://www.twilio.com/docs/messaging/api/message-resource>,
//! <https://www.twilio.com/docs/iam/test-credentials>. It opens no socket and reads no clock. What Twilio has and this
//! does not is refused by name, so that nobody takes silence for support.
//!
//! Twilio knows no idempotency keys for messages, and neither does this: a request whose reply was lost has sent its
//! message, and a repeat sends it once more.
//!
//! | room | what is there |
//! |---|---|
//! | [`command`] | requests to send, judged without the account |
//! | [`error`] | refusals as Twilio writes them |
//! | [`signature`] | what signs callbacks |

pub mod command;
pub mod error;
pub mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use command::{List, Send, Sender};
use error::Refusal;

use crate::faults::Fault;
use crate::hooks::{Delivery, Webhook};
use crate::provider::Provider;

const VERSION: &str = "2010-04-01";
/// How long after a request a message is sent, in milliseconds.
pub const SEND_MS: i64 = 500;
/// How long after it was sent the carrier says what became of it, in milliseconds.
pub const CARRIER_MS: i64 = 2_000;

/// One request, taken out of HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// The query of a `GET`, the body of a `POST`.
    pub form: &'a str,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The JSON.
    pub body: Value,
}

/// An account at Twilio.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// `Basic` with the account's SID and its token.
    basic: String,
    /// The path below which the account's resources are.
    root: String,
    sid: String,
    seed: u32,
    made: u64,
    /// In the order in which they were made.
    messages: Vec<Message>,
    /// What happens by itself, by when and then in the order in which it was begun: to which message, and what.
    timers: BTreeMap<(i64, u64), (usize, Status)>,
    /// What happened and was not yet taken.
    news: Vec<Value>,
}

/// A message.
#[derive(Clone, Debug)]
struct Message {
    sid: String,
    send: Send,
    status: Status,
    created_at: i64,
    updated_at: i64,
    sent_at: Option<i64>,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// A messaging service has it, which has not yet chosen a sender.
    Accepted,
    Queued,
    Sent,
    Delivered,
    /// The carrier did not deliver it, for the reason of this code.
    Undelivered(u32),
    /// Twilio did not send it, for the reason of this code.
    Failed(u32),
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered(_) => "undelivered",
            Self::Failed(_) => "failed",
        }
    }

    fn error(self) -> Option<u32> {
        match self {
            Self::Undelivered(code) | Self::Failed(code) => Some(code),
            Self::Accepted | Self::Queued | Self::Sent | Self::Delivered => None,
        }
    }
}

impl Provider for Twilio {
    const EVENT_TYPE: &str = "type";
    const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
    const CALLS_BACK: bool = true;

    /// The credentials are `account-sid:auth-token`.
    fn new(credentials: &str, _: &str, seed: u32) -> Self {
        let sid = credentials.split(':').next().unwrap_or_default().to_owned();
        Self {
            basic: format!("Basic {}", BASE64_STANDARD.encode(credentials)),
            root: format!("/{VERSION}/Accounts/{sid}/"),
            sid,
            seed,
            made: 0,
            messages: Vec::new(),
            timers: BTreeMap::new(),
            news: Vec::new(),
        }
    }

    fn advance(&mut self, now: i64) {
        while let Some(((at, _), _)) = self.timers.first_key_value()
            && *at <= now
        {
            let ((at, _), (place, status)) = self.timers.pop_first().expect("there is a first one");
            self.happen(at, place, status);
        }
    }

    fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.news)
    }

    fn objects(&self) -> Value {
        json!({"messages": self.messages.iter().map(|message| self.show(message)).collect::<Vec<_>>()})
    }

    /// The secret is the account's token.
    fn webhook(delivery: &Delivery, secrets: &[&str], _: i64) -> Webhook {
        signature::webhook(delivery, secrets.first().unwrap_or(&""))
    }
}

impl Twilio {
    /// Answers one request at `now`, milliseconds since 1970. None when the reply is lost.
    pub fn handle(&mut self, now: i64, request: &Request<'_>, fault: Option<Fault>) -> Option<Response> {
        self.advance(now);
        let refusal = match fault {
            None => return Some(self.answer(now, request)),
            Some(Fault::LostBefore) => return None,
            Some(Fault::LostAfter) => {
                self.answer(now, request);
                return None;
            }
            Some(Fault::ErrorAfter) => {
                self.answer(now, request);
                Refusal::server()
            }
            // There are no keys here that could be in use.
            Some(Fault::ErrorBefore | Fault::KeyInUse) => Refusal::server(),
            Some(Fault::RateLimited) => Refusal::rate_limited(),
        };
        Some(refusal.answer())
    }

    fn answer(&mut self, now: i64, request: &Request<'_>) -> Response {
        self.try_answer(now, request).unwrap_or_else(Refusal::answer)
    }

    fn try_answer(&mut self, now: i64, request: &Request<'_>) -> Result<Response, Refusal> {
        let no_such = || Refusal::no_such(request.path);
        if request.authorization != Some(&self.basic) {
            return Err(Refusal::stranger());
        }
        let resource = request.path.strip_prefix(&self.root).and_then(|rest| rest.strip_suffix(".json"));
        match (request.method, resource.ok_or_else(no_such)?.split_once('/')) {
            ("POST", None) if request.path.ends_with("/Messages.json") => {
                let place = self.create(now, Send::read(request.form)?);
                Ok(Response { status: 201, body: self.show(&self.messages[place]) })
            }
            ("GET", None) if request.path.ends_with("/Messages.json") => {
                Ok(Response { status: 200, body: self.list(&List::read(request.form)?) })
            }
            ("GET", Some(("Messages", sid))) => {
                let message = self.messages.iter().find(|message| message.sid == sid).ok_or_else(no_such)?;
                Ok(Response { status: 200, body: self.show(message) })
            }
            _ => Err(no_such()),
        }
    }

    fn create(&mut self, now: i64, send: Send) -> usize {
        self.made += 1;
        let sid = format!("SM{:016x}{:016x}", self.seed, self.made);
        let place = self.messages.len();
        let begins = match send.sender {
            Sender::Number(_) => Status::Queued,
            Sender::Service(_) => Status::Accepted,
        };
        let sent = now + SEND_MS;
        if begins == Status::Accepted {
            self.later(now, place, Status::Queued);
        }
        match send.fate() {
            Status::Failed(code) => self.later(sent, place, Status::Failed(code)),
            last => {
                self.later(sent, place, Status::Sent);
                self.later(sent + CARRIER_MS, place, last);
            }
        }
        self.messages.push(Message { sid, send, status: begins, created_at: now, updated_at: now, sent_at: None });
        place
    }

    fn later(&mut self, at: i64, place: usize, status: Status) {
        self.made += 1;
        self.timers.insert((at, self.made), (place, status));
    }

    fn happen(&mut self, at: i64, place: usize, status: Status) {
        let message = &mut self.messages[place];
        message.status = status;
        message.updated_at = at;
        if status == Status::Sent {
            message.sent_at = Some(at);
        }
        let Message { sid, send, .. } = &*message;
        let Some(url) = &send.callback else { return };
        let name = status.name();
        let mut params = json!({"MessageSid": sid, "MessageStatus": name, "SmsSid": sid, "SmsStatus": name,
            "To": send.to, "AccountSid": self.sid, "ApiVersion": VERSION});
        match &send.sender {
            Sender::Number(from) => params["From"] = json!(from),
            Sender::Service(service) => params["MessagingServiceSid"] = json!(service),
        }
        if let Some(code) = status.error() {
            params["ErrorCode"] = json!(code.to_string());
        }
        self.news.push(json!({"id": sid, "type": name, "url": url, "params": params}));
    }

    fn show(&self, message: &Message) -> Value {
        let Message { sid, send, status, created_at, updated_at, sent_at } = message;
        let (from, service) = match &send.sender {
            Sender::Number(from) => (Some(from), None),
            Sender::Service(service) => (None, Some(service)),
        };
        let uri = format!("{}Messages/{sid}", self.root);
        json!({"sid": sid, "account_sid": self.sid, "api_version": VERSION, "direction": "outbound-api",
            "to": send.to, "from": from, "messaging_service_sid": service, "body": send.body,
            "num_segments": send.segments().to_string(), "num_media": "0", "status": status.name(),
            "error_code": status.error(), "error_message": status.error().map(command::reason),
            "date_created": rfc_2822(*created_at), "date_updated": rfc_2822(*updated_at),
            "date_sent": sent_at.map(rfc_2822), "price": null, "price_unit": "USD", "uri": format!("{uri}.json"),
            "subresource_uris": {"media": format!("{uri}/Media.json")}})
    }

    /// A page, newest first.
    fn list(&self, list: &List) -> Value {
        let found: Vec<_> = self.messages.iter().rev().filter(|message| list.holds(&message.send)).collect();
        let start = list.page * list.size;
        let shown: Vec<Value> = found.iter().skip(start).take(list.size).map(|message| self.show(message)).collect();
        let uri = |page: usize| format!("{}Messages.json?{}", self.root, list.query(page));
        let is_last = start + shown.len() >= found.len();
        json!({"page": list.page, "page_size": list.size, "start": start, "end": (start + shown.len()).max(1) - 1,
            "uri": uri(list.page), "first_page_uri": uri(0),
            "next_page_uri": (!is_last).then(|| uri(list.page + 1)),
            "previous_page_uri": list.page.checked_sub(1).map(uri), "messages": shown})
    }
}

/// Milliseconds since 1970 as `Thu, 29 Oct 2026 12:00:00 +0000`.
fn rfc_2822(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).expect("the year has four digits");
    at.format(&Rfc2822).expect("the year has four digits")
}
