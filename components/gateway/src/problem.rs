//! Problem documents (RFC 9457): every way in which a request can fail, with a code that never changes.

use serde::Serialize;
use souk_kit::FieldError;
use souk_kit::http::{Request, Response};

use crate::shapes::{Decline, Shortage};
use crate::store::checkout::Quote;
use crate::store::order_shapes::OrderState;

/// Whether to send a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will be refused again.
    Never,
    /// After reading again, or with what is missing.
    AfterReading,
    /// The same request may succeed later, as it is.
    AsItIs,
}

macro_rules! codes {
    ($($variant:ident = $status:literal $code:literal $retry:ident $title:literal;)*) => {
        /// What is wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Its name, in snake_case. It never changes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means, for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Whether to send the request again.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }
        }
    };
}

// One line for each: status, code, whether to send the request again, title. A new code is a new line here.
codes! {
    MalformedRequest = 400 "malformed_request" Never "The request is not well formed";
    MalformedJson = 400 "malformed_json" Never "The body is not JSON";
    HookForged = 400 "hook_forged" Never "The signature of the webhook, or its time, does not hold";
    IdempotencyKeyRequired = 400 "idempotency_key_required" AfterReading "This command needs an Idempotency-Key";
    IdempotencyKeyMalformed = 400 "idempotency_key_malformed" Never "An Idempotency-Key is 1 to 255 visible ASCII characters";
    AuthenticationRequired = 401 "authentication_required" AfterReading "Sign in first";
    InvalidToken = 401 "invalid_token" AfterReading "The token is unknown, used, expired or revoked";
    WrongCredentials = 401 "wrong_credentials" Never "The address and the password do not belong together";
    PaymentRefused = 402 "payment_refused" Never "The payment provider refused";
    Forbidden = 403 "forbidden" Never "This is for staff";
    NotFound = 404 "not_found" Never "There is nothing here, or it is not yours";
    MethodNotAllowed = 405 "method_not_allowed" Never "This path does not take this method";
    Conflict = 409 "conflict" AfterReading "It changed in the meantime; read it again";
    EmailTaken = 409 "email_taken" Never "An account with this address exists";
    LimitReached = 409 "limit_reached" Never "A limit is reached";
    PriceChanged = 409 "price_changed" AfterReading "What was shown no longer holds; a new quote is given";
    OutOfStock = 409 "out_of_stock" AfterReading "Too few units are available";
    CartClosed = 409 "cart_closed" Never "The cart became an order or went into another cart";
    CompletionInProgress = 409 "completion_in_progress" AsItIs "An order is being placed from this cart";
    WrongState = 409 "wrong_state" AfterReading "It is not in a state for this";
    ReservationExpired = 409 "reservation_expired" AfterReading "The reserved stock was given back";
    Settled = 409 "settled" Never "The stock was settled already";
    InUse = 409 "in_use" AfterReading "It is not empty";
    IdempotencyInProgress = 409 "idempotency_in_progress" AsItIs "The first request with this key is still running";
    PreconditionFailed = 412 "precondition_failed" AfterReading "It is not the version that If-Match names";
    TooLarge = 413 "payload_too_large" Never "The body is too large";
    UnsupportedMediaType = 415 "unsupported_media_type" Never "The body has the wrong content type";
    Invalid = 422 "invalid" Never "The input is not acceptable";
    IdempotencyKeyReused = 422 "idempotency_key_reused" Never "The key was used for another request";
    CartEmpty = 422 "cart_empty" AfterReading "The cart has nothing that can be bought";
    NotSold = 422 "not_sold" Never "The variant is not sold, or not in this currency";
    ShippingUnavailable = 422 "shipping_unavailable" AfterReading "This way of shipping is not offered to this address";
    UnknownProvider = 422 "unknown_provider" Never "There is no such payment provider";
    Exceeds = 422 "exceeds" AfterReading "More than is left";
    PreconditionRequired = 428 "precondition_required" AfterReading "Name the version in If-Match";
    Throttled = 429 "throttled" AsItIs "Too many tries";
    Unavailable = 503 "unavailable" AsItIs "Something that this needs is away for the moment";
    StorageFull = 507 "storage_full" AsItIs "There is no room for this at the moment; what is stored can be read";
}

/// Why a request failed.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What is wrong, for programs.
    pub code: Code,
    /// What is wrong this time, for people.
    pub detail: String,
    /// What is wrong with which field.
    pub errors: Vec<FieldError>,
    /// What only some codes have.
    pub more: Option<Box<More>>,
}

/// What only some codes have.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct More {
    /// `price_changed`: what the checkout would cost now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// `out_of_stock`: the variants of which too few are available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortages: Option<Vec<Shortage>>,
    /// `completion_in_progress` and `cart_closed`: the order that is or was made from the cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// `cart_closed`: the cart that the lines went into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cart_id: Option<String>,
    /// `wrong_state`: the states from which it would be possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<OrderState>>,
    /// `exceeds`: what is left, in minor units for money and in units for goods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<i64>,
    /// `payment_refused`: what the payment provider said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline: Option<Decline>,
    /// Headers that go with the answer.
    #[serde(skip)]
    pub headers: Vec<(&'static str, String)>,
}

/// One thing that is wrong with an input.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct InputError<'a> {
    /// JSON pointer (RFC 6901) into the body, or a slash and the name of a query parameter.
    pub pointer: &'a str,
    /// `required`, `too_long`, `out_of_range`, `malformed`, `taken` or `unknown`.
    pub code: &'a str,
    /// For people.
    pub detail: &'a str,
}

/// A problem document (RFC 9457), with content type `application/problem+json`.
#[derive(Debug, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema), schema(as = Problem))]
pub struct ProblemDocument<'a> {
    /// `urn:souk:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong this time.
    pub detail: &'a str,
    /// What is wrong, for programs: one of the codes of this API.
    pub code: &'a str,
    /// The path of the request.
    pub instance: &'a str,
    /// The identity of the request, as in `x-request-id`.
    pub request_id: &'a str,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(not(target_arch = "wasm32"), schema(required = false))]
    pub errors: Vec<InputError<'a>>,
    /// What only some codes have.
    #[serde(flatten)]
    #[cfg_attr(not(target_arch = "wasm32"), schema(value_type = More))]
    pub more: Option<&'a More>,
}

impl Problem {
    /// A problem and what is special about it this time.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), more: None }
    }

    /// An input that is not acceptable.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::from(Code::Invalid) }
    }

    /// One field that is not acceptable.
    pub fn field(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.to_owned(), code: code.to_owned(), detail: detail.into() }])
    }

    /// The same, with what only some codes have.
    #[must_use]
    pub fn with(mut self, fill: impl FnOnce(&mut More)) -> Self {
        fill(self.more.get_or_insert_default());
        self
    }

    /// The same, with a header.
    #[must_use]
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.with(|more| more.headers.push((name, value)))
    }

    /// The same, with pointers moved to where the fields stand in our JSON: each pair is a beginning and what replaces it.
    #[must_use]
    pub fn pointing(mut self, moves: &[(&str, &str)]) -> Self {
        for error in &mut self.errors {
            let moved = moves.iter().find_map(|(from, to)| {
                let rest = error.pointer.strip_prefix(from)?;
                (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
            });
            if let Some(pointer) = moved {
                error.pointer = pointer;
            }
        }
        self
    }

    /// The same, unless a service found another version than the one that the client named: then that is what failed.
    #[must_use]
    pub fn if_named(self, version: Option<u64>) -> Self {
        match (self.code, version) {
            (Code::Conflict, Some(_)) => Self { code: Code::PreconditionFailed, detail: String::new(), ..self },
            _ => self,
        }
    }

    /// The answer to a request.
    pub fn render(&self, request: &Request) -> Response {
        let detail = if self.detail.is_empty() { self.code.title() } else { &self.detail };
        let document = ProblemDocument {
            kind: format!("urn:souk:problem:{}", self.code.name()),
            title: self.code.title(),
            status: self.code.status(),
            detail,
            code: self.code.name(),
            instance: &request.path,
            request_id: &request.id,
            errors: self.errors.iter().map(InputError::from).collect(),
            more: self.more.as_deref(),
        };
        let body = serde_json::to_vec(&document).expect("a problem document is always JSON");
        let mut response = Response::new(self.code.status(), "application/problem+json", body);
        for (name, value) in self.more.iter().flat_map(|more| &more.headers) {
            response = response.with(name, value);
        }
        response
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl<'a> From<&'a FieldError> for InputError<'a> {
    fn from(error: &'a FieldError) -> Self {
        Self { pointer: &error.pointer, code: &error.code, detail: &error.detail }
    }
}
