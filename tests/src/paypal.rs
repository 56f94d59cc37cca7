//! A shop with its connector to PayPal beside the simulator of PayPal.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use souk_providers::paypal::PayPal;
use souk_providers::provider::Provider as _;

use crate::client::Client;
use crate::scene::{self, Company};

const CLIENT_ID: &str = "simulator";
const CLIENT_SECRET: &str = "simulator-secret";
const WEBHOOK_ID: &str = "WHSIMULATOR";

/// A shop that is paid with PayPal, and who deals with it.
pub type Scene = scene::Scene<PayPal>;
/// Who deals with a shop that is paid with PayPal.
pub type Parties = scene::Parties<PayPal>;

impl Company for PayPal {
    const NAME: &str = "paypal";
    const CREDENTIALS: &str = "simulator:simulator-secret";
    const HOOK_SECRET: &str = WEBHOOK_ID;

    fn variables(url: &str) -> Vec<(&'static str, String)> {
        vec![
            ("PAYPAL_API_BASE", url.to_owned()),
            ("PAYPAL_CLIENT_ID", CLIENT_ID.to_owned()),
            ("PAYPAL_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("PAYPAL_WEBHOOK_IDS", WEBHOOK_ID.to_owned()),
        ]
    }
}

impl Parties {
    /// The orders at PayPal that an order of the shop's caused, with their payments.
    pub fn at_paypal(&self, order: &str) -> Vec<Value> {
        let objects = self.company.shared.lock().provider.objects();
        let orders = objects["orders"].as_array().expect("a kind of objects").iter();
        let is_its_own = |known: &&Value| {
            known["purchase_units"][0]["custom_id"].as_str().is_some_and(|custom| custom.starts_with(order))
        };
        orders.filter(is_its_own).cloned().collect()
    }

    /// Somebody gives something back at PayPal's own pages, which the shop did not ask for.
    pub async fn refund_by_hand(&self, order: &str, value: &str) {
        let paypal = Client::at(&self.company.url);
        let basic = format!("Basic {}", BASE64_STANDARD.encode(PayPal::CREDENTIALS));
        let form = Some(b"grant_type=client_credentials".to_vec());
        let headers = [("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded")];
        let token = paypal.send("POST", "/v1/oauth2/token", &headers, form).await.expect(200).text_at("/access_token");
        let captures = &self.at_paypal(order)[0]["purchase_units"][0]["payments"]["captures"];
        let path = format!("/v2/payments/captures/{}/refund", captures[0]["id"].as_str().expect("an id"));
        let bearer = format!("Bearer {token}");
        let body = json!({"amount": {"value": value, "currency_code": "USD"}}).to_string().into_bytes();
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        paypal.send("POST", &path, &headers, Some(body)).await.expect(201);
    }
}
