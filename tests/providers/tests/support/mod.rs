//! What tests of connectors share: a way to a socket, and calls as the service makes them.

use std::time::Duration;

use souk_kit::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use souk_kit::payment_extension::{
    CapturePolicy, ProviderAuthorization, ProviderError, ProviderObject, ProviderPayment, ProviderState,
};
use souk_kit::ports::Call;
use souk_kit::types::{Actor, Context, Money};
use tokio::runtime::Runtime;

/// What a call of the connector's is answered.
pub type Outcome = Result<ProviderPayment, ProviderError>;

/// The port `http-out` as a client of HTTP.
pub struct Wire {
    runtime: Runtime,
    http: reqwest::Client,
}

impl Wire {
    /// One that goes nowhere but where it is told.
    pub fn new() -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client is made");
        Self { runtime: Runtime::new().expect("a runtime starts"), http }
    }

    /// Runs something on the client's runtime.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends one request, as a connector asks for it.
    pub fn send(&self, request: &OutRequest) -> Result<InResponse, HttpOutError> {
        let method = request.method.parse().expect("a method");
        let mut sent = self.http.request(method, &request.url).body(request.body.clone());
        sent = sent.timeout(Duration::from_millis(request.timeout_ms.into()));
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        let told = self.runtime.block_on(async {
            let answer = sent.send().await?;
            let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
            let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>(InResponse { status, headers, body: answer.bytes().await?.to_vec() })
        });
        told.map_err(|error| {
            let why = error.to_string();
            if error.is_connect() { HttpOutError::NotSent(why) } else { HttpOutError::Unknown(why) }
        })
    }
}

/// One payment of the shop's.
#[derive(Clone)]
pub struct Payment {
    /// Its idempotency key.
    pub key: String,
    /// The provider's name for it; empty while that was not heard.
    pub reference: String,
    /// When it was asked for.
    pub asked_at: i64,
}

/// A call at a time.
pub fn call(now: i64) -> Call {
    let actor = Actor::System("test".to_owned());
    Call { ctx: Context { request_id: "test".to_owned(), actor, client: String::new() }, now }
}

/// What is asked for with a payment.
pub fn asked(payment: &Payment, token: &str, capture: CapturePolicy) -> ProviderAuthorization {
    ProviderAuthorization {
        key: payment.key.clone(),
        order_id: payment.key.replace("pay", "ord"),
        amount: usd(2_000),
        token: token.to_owned(),
        return_url: "https://shop.example/back".to_owned(),
        capture,
        asked_at: payment.asked_at,
    }
}

/// US dollars.
pub fn usd(minor: i64) -> Money {
    Money::new(minor, "USD")
}

/// The object of a payment.
pub fn object(payment: &Payment) -> ProviderObject {
    let Payment { key, reference, asked_at } = payment.clone();
    ProviderObject { key, reference, asked_at }
}

/// An outcome in one line: state, captured and refunded, or the error.
pub fn short(outcome: &Outcome) -> String {
    match outcome {
        Ok(told) => {
            let state = match &told.state {
                ProviderState::Processing => "processing",
                ProviderState::RequiresAction(_) => "action",
                ProviderState::Authorized => "authorized",
                ProviderState::Declined(why) => &why.code,
                ProviderState::Voided => "voided",
            };
            format!("{state} {} {}", told.captured, told.refunded)
        }
        Err(ProviderError::Refused(why)) => format!("refused {}", why.code),
        Err(ProviderError::NotFound) => "not-found".to_owned(),
        Err(ProviderError::NotSent(_)) => "not-sent".to_owned(),
        Err(ProviderError::Unknown(_)) => "unknown".to_owned(),
        Err(error @ (ProviderError::UnknownProvider | ProviderError::Unavailable(_))) => format!("{error:?}"),
    }
}
