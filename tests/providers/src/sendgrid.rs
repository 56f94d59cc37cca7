//! SendGrid's mail: requests to send, what becomes of each copy, and the events that tell of it, as a state machine.
//!
//! Sources: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>,
//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>. It opens no socket and reads no clock.
//! What SendGrid has and this does not is refused by name, so that nobody takes silence for support.
//!
//! SendGrid knows no idempotency keys, and neither does this: a request whose reply was lost has sent its mail, and a
//! repeat sends it once more.
//!
//! | room | what is there |
//! |---|---|
//! | [`mail`] | requests to send, judged without the account |
//! | [`error`] | refusals as SendGrid writes them |
//! | [`signature`] | what signs webhooks |

pub mod error;
pub mod mail;
pub mod signature;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use error::Refusal;
use mail::Mail;

use crate::faults::Fault;
use crate::hooks::{Delivery, Webhook};
use crate::provider::Provider;

/// How long after a request the mail server of a recipient answers, in milliseconds.
pub const ANSWER_MS: i64 = 1_000;
/// How long a deferred mail waits for its second attempt, in milliseconds.
pub const DEFERRED_MS: i64 = 60_000;
/// How long a recipient takes to open a mail, in milliseconds.
pub const OPEN_MS: i64 = 10_000;

/// One request, taken out of HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `POST` alone is known.
    pub method: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// JSON.
    pub body: &'a str,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside that of the content.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON; null when there is none.
    pub body: Value,
}

/// An account at SendGrid.
#[derive(Clone, Debug)]
pub struct SendGrid {
    /// `Bearer` with the API key.
    bearer: String,
    seed: u32,
    made: u64,
    messages: Vec<Message>,
    /// Addresses that bounced once; SendGrid drops what goes there.
    bounced: BTreeSet<String>,
    /// What happens by itself, by when and then in the order in which it was begun.
    timers: BTreeMap<(i64, u64), (Place, Happening)>,
    /// What happened and was not yet taken.
    news: Vec<Value>,
}

/// A request that was taken.
#[derive(Clone, Debug)]
struct Message {
    id: String,
    accepted_at: i64,
    mail: Mail,
    copies: Vec<Copy>,
}

/// What one recipient gets.
#[derive(Clone, Debug)]
struct Copy {
    email: String,
    custom_args: BTreeMap<String, String>,
    last: Happening,
}

/// Which copy: the places of the message and of the copy in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    message: usize,
    copy: usize,
}

/// What happens to a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    Processed,
    Dropped,
    Deferred,
    Delivered,
    Bounce,
    Open,
}

impl Happening {
    fn name(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Dropped => "dropped",
            Self::Deferred => "deferred",
            Self::Delivered => "delivered",
            Self::Bounce => "bounce",
            Self::Open => "open",
        }
    }
}

impl Provider for SendGrid {
    const EVENT_TYPE: &str = "type";

    /// The credentials are the API key.
    fn new(credentials: &str, _: &str, seed: u32) -> Self {
        Self {
            bearer: format!("Bearer {credentials}"),
            seed,
            made: 0,
            messages: Vec::new(),
            bounced: BTreeSet::new(),
            timers: BTreeMap::new(),
            news: Vec::new(),
        }
    }

    fn advance(&mut self, now: i64) {
        while let Some(((at, _), _)) = self.timers.first_key_value()
            && *at <= now
        {
            let ((at, _), (copy, happening)) = self.timers.pop_first().expect("there is a first one");
            self.happen(at, copy, happening);
        }
    }

    /// What happened since the last call is one batch: `{"id", "type", "events"}`, of which the events alone are sent.
    fn take_events(&mut self) -> Vec<Value> {
        let events = std::mem::take(&mut self.news);
        if events.is_empty() {
            return Vec::new();
        }
        let id = events[0]["sg_event_id"].clone();
        vec![json!({"id": id, "type": "batch", "events": events})]
    }

    /// Every message that was taken: its id, the request as it came, and what happened last to each copy.
    fn objects(&self) -> Value {
        let shown = self.messages.iter().map(|message| {
            let copies = message.copies.iter().map(|copy| json!({"email": copy.email, "event": copy.last.name()}));
            json!({"id": message.id, "accepted_at": message.accepted_at, "mail": message.mail.request,
                "copies": copies.collect::<Vec<_>>()})
        });
        json!({"messages": shown.collect::<Vec<_>>()})
    }

    /// A webhook has one key; the first secret stands for it.
    fn webhook(delivery: &Delivery, secrets: &[&str], at: i64) -> Webhook {
        signature::webhook(delivery, secrets.first().unwrap_or(&""), at)
    }
}

impl SendGrid {
    /// Answers one request at `now`, milliseconds since 1970. None when the reply is lost.
    pub fn handle(&mut self, now: i64, request: &Request<'_>, fault: Option<Fault>) -> Option<Response> {
        self.advance(now);
        Some(match fault {
            None => self.answer(now, request),
            Some(Fault::LostBefore) => return None,
            Some(Fault::LostAfter) => {
                self.answer(now, request);
                return None;
            }
            Some(Fault::ErrorAfter) => {
                self.answer(now, request);
                Refusal::server().answer()
            }
            // There are no keys here that could be in use.
            Some(Fault::ErrorBefore | Fault::KeyInUse) => Refusal::server().answer(),
            Some(Fault::RateLimited) => {
                let mut told = Refusal::rate_limited().answer();
                told.headers = vec![
                    ("x-ratelimit-limit", "600".to_owned()),
                    ("x-ratelimit-remaining", "0".to_owned()),
                    ("x-ratelimit-reset", (now / 1_000 + 60).to_string()),
                ];
                told
            }
        })
    }

    fn answer(&mut self, now: i64, request: &Request<'_>) -> Response {
        let judged = self.admit(request).and_then(|()| Mail::read(request.body));
        match judged {
            Ok(mail) => {
                let headers = vec![("x-message-id", self.accept(now, mail))];
                Response { status: 202, headers, body: Value::Null }
            }
            Err(refusal) => refusal.answer(),
        }
    }

    fn admit(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match request.authorization {
            None => return Err(Refusal::nobody()),
            Some(given) if given != self.bearer => return Err(Refusal::stranger()),
            Some(_) => {}
        }
        match (request.method, request.path) {
            ("POST", "/v3/mail/send") => Ok(()),
            (_, "/v3/mail/send") => Err(Refusal::method()),
            _ => Err(Refusal::no_such()),
        }
    }

    fn accept(&mut self, now: i64, mail: Mail) -> String {
        let id = self.name();
        let message = self.messages.len();
        let begin = |(email, custom_args)| Copy { email, custom_args, last: Happening::Processed };
        let copies: Vec<Copy> = mail.copies().map(begin).collect();
        let emails: Vec<String> = copies.iter().map(|copy| copy.email.clone()).collect();
        self.messages.push(Message { id: id.clone(), accepted_at: now, mail, copies });
        for (copy, email) in emails.iter().enumerate() {
            let place = Place { message, copy };
            if self.bounced.contains(email) {
                self.happen(now, place, Happening::Dropped);
                continue;
            }
            self.happen(now, place, Happening::Processed);
            // What becomes of it is in the name before the `@`.
            let answered = now + ANSWER_MS;
            match email.split('@').next().unwrap_or_default() {
                "bounce" => self.later(answered, place, Happening::Bounce),
                "deferred" => {
                    self.later(answered, place, Happening::Deferred);
                    self.later(answered + DEFERRED_MS, place, Happening::Delivered);
                }
                "open" => {
                    self.later(answered, place, Happening::Delivered);
                    self.later(answered + OPEN_MS, place, Happening::Open);
                }
                _ => self.later(answered, place, Happening::Delivered),
            }
        }
        id
    }

    fn later(&mut self, at: i64, copy: Place, happening: Happening) {
        self.made += 1;
        self.timers.insert((at, self.made), (copy, happening));
    }

    fn happen(&mut self, at: i64, place: Place, happening: Happening) {
        let event_id = self.name();
        let message = &mut self.messages[place.message];
        message.copies[place.copy].last = happening;
        let Copy { email, custom_args, .. } = message.copies[place.copy].clone();
        // What the sender gave it for itself stands beside SendGrid's own fields, and cannot replace one.
        let mut event = json!(custom_args);
        let told = json!({"email": email, "timestamp": at / 1_000, "event": happening.name(), "sg_event_id": event_id,
            "sg_message_id": format!("{}.recvd-simulator-{}.0", message.id, place.copy)});
        merge(&mut event, told);
        if !message.mail.categories.is_empty() {
            event["category"] = json!(message.mail.categories);
        }
        if happening != Happening::Open {
            event["smtp-id"] = json!(format!("<{}@simulator>", message.id));
        }
        let more = match happening {
            Happening::Processed => json!({}),
            Happening::Dropped => json!({"reason": "Bounced Address", "status": "5.0.0"}),
            Happening::Deferred => json!({"response": "451 4.7.1 try again later", "attempt": "1"}),
            Happening::Delivered => json!({"response": "250 2.0.0 OK"}),
            Happening::Bounce => {
                self.bounced.insert(email);
                json!({"reason": "550 5.1.1 The email account does not exist", "status": "5.1.1", "type": "bounce"})
            }
            Happening::Open => json!({"ip": "127.0.0.1", "useragent": "Simulator", "sg_machine_open": false}),
        };
        merge(&mut event, more);
        self.news.push(event);
    }

    /// A name that follows from how many there were.
    fn name(&mut self) -> String {
        self.made += 1;
        format!("sim{:08x}{:011}", self.seed, self.made)
    }
}

/// Sets fields of an object to those of another one.
fn merge(object: &mut Value, fields: Value) {
    let (Value::Object(object), Value::Object(fields)) = (object, fields) else { unreachable!("both are objects") };
    object.extend(fields);
}
