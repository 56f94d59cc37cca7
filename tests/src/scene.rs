//! A shop with its connector to a company that takes payments, as `souk up` runs it, beside the simulator of that company.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::json;
use souk_providers::server::{self, Clock, Endpoint, Server, Site};

use crate::client::{Answer, Client};
use crate::shop::Shop;
use crate::time::Time;
use crate::wait::{AFTER_A_TIMER, eventually};

/// A company that takes payments, and how a shop gets to its simulator.
pub trait Company: Site {
    /// What shops call it.
    const NAME: &str;
    /// What its API takes.
    const CREDENTIALS: &str;
    /// What its webhooks are signed for.
    const HOOK_SECRET: &str;

    /// What a shop is told of it, when it is at this address: variables in the environment's form.
    fn variables(url: &str) -> Vec<(&'static str, String)>;
}

/// A shop and who deals with it.
pub struct Scene<C> {
    /// The shop.
    pub shop: Shop,
    /// The others; they go to other threads.
    pub parties: Arc<Parties<C>>,
}

/// Who deals with a shop.
pub struct Parties<C> {
    /// Staff, signed in.
    pub staff: Client,
    /// A guest.
    pub guest: Client,
    /// The simulator.
    pub company: Server<C>,
}

impl<C: Company> Scene<C> {
    /// A shop that captures so: `automatic` or `manual`.
    pub async fn new(capture: &str) -> Self {
        Self::told(&[("CAPTURE", capture)]).await
    }

    /// A shop that is told something else, too.
    pub async fn told(variables: &[(&str, &str)]) -> Self {
        Self::of(variables, Shop::start).await
    }

    /// A shop that captures so, and whose clock the test moves. The simulator has one of its own.
    pub async fn at(time: &Time, capture: &str) -> Self {
        Self::of(&[("CAPTURE", capture)], |variables| Shop::start_at(time, variables)).await
    }

    async fn of(told: &[(&str, &str)], start: impl FnOnce(&[(&str, &str)]) -> Shop) -> Self {
        let company: Server<C> = server::start(0, C::CREDENTIALS, 7, Clock::Goes(0)).await.expect("a port is free");
        let own = C::variables(&company.url);
        let mut variables = vec![("PAYMENT_PROVIDERS", C::NAME)];
        variables.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        variables.extend(told);
        let shop = start(&variables);
        let url = Some(format!("{}/api/v1/hooks/{}", shop.url, C::NAME));
        company.shared.lock().endpoint = Endpoint { url, secrets: vec![C::HOOK_SECRET.to_owned()] };
        let parties = Arc::new(Parties { staff: Client::staff(&shop).await, guest: Client::guest(&shop), company });
        Self { shop, parties }
    }
}

impl<C> Deref for Scene<C> {
    type Target = Parties<C>;

    fn deref(&self) -> &Parties<C> {
        &self.parties
    }
}

impl<C: Company> Parties<C> {
    /// A new cart, checked out with a means of payment of the company's.
    pub async fn buy(&self, variant: &str, token: &str) -> Answer {
        let (cart, mut body) = self.guest.quoted_cart(variant, 1).await;
        body["payment"] = json!({"provider": C::NAME, "token": token});
        let path = format!("/api/v1/store/carts/{cart}/checkout");
        self.guest.post_once(&path, &format!("key-of-{cart}"), &body).await
    }

    /// What staff do to an order, once for each amount.
    pub async fn act(&self, order: &str, act: &str, amount: i64) -> Answer {
        let path = format!("/api/v1/admin/orders/{order}/{act}");
        let body = json!({"amount": {"amount": amount, "currency": "USD"}});
        self.staff.post_once(&path, &format!("{act}-{amount}-{order}"), &body).await
    }

    /// Waits until the order is in this state.
    pub async fn becomes(&self, order: &str, state: &str) -> Answer {
        eventually(AFTER_A_TIMER, state, async || {
            let read = self.staff.get(&format!("/api/v1/admin/orders/{order}")).await.expect(200);
            (read.text_at("/state") == state).then_some(read)
        })
        .await
    }

    /// The shopper sends this form at the company's page where the answer to a checkout leads.
    pub async fn finish_action(&self, placed: &Answer, form: &str) {
        let page = placed.text_at("/next_action/url");
        let path = page.strip_prefix(&self.company.url).unwrap_or_else(|| panic!("{page} is no page of {}", C::NAME));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let form = Some(form.as_bytes().to_vec());
        Client::at(&self.company.url).send("POST", path, &headers, form).await.expect(303);
    }

    /// Webhooks that wait are sent, and taken.
    pub async fn told_by_webhook(&self, kind: &str) {
        let sent = self.company.deliver().await;
        assert!(sent.iter().all(|outcome| outcome.status == Some(200)), "{sent:?}");
        assert!(sent.iter().any(|outcome| outcome.kind == kind), "{sent:?}");
    }
}
