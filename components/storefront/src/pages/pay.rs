//! How a shopper pays, on the page that places an order.
//!
//! Card data never comes to us. With Stripe its own fields stand in the page, framed from Stripe, and a script of ours
//! (`assets/pay.js`) puts the name that Stripe gives the card into the form. Other providers take the shopper to a page of theirs.

use souk_kit::http::Response;
use souk_kit::order::Quote;

use super::layout;
use crate::forms::Form;
use crate::shop::Shop;
use crate::visit::{CONTENT_SECURITY_POLICY, Visit};

/// A token of the test provider that a shopper may choose instead of a card.
pub struct TestCard {
    /// What `test-payments` calls it.
    pub token: &'static str,
    /// For the shopper.
    pub title: &'static str,
}

/// What test mode offers to pay with. `test-payments` defines the tokens.
const TEST_CARDS: [TestCard; 6] = [
    TestCard { token: "tok_success", title: "Card that works" },
    TestCard { token: "tok_action", title: "Card that asks for confirmation" },
    TestCard { token: "tok_declined", title: "Card that is declined" },
    TestCard { token: "tok_insufficient_funds", title: "Card without enough money" },
    TestCard { token: "tok_delayed", title: "Bank that answers two seconds later" },
    TestCard { token: "tok_timeout_after", title: "Bank whose answer is lost" },
];

/// Stripe's fields, as its script is told to make them.
pub struct StripeFields {
    /// `pk_...`: public, and good for naming cards alone.
    pub publishable_key: String,
    /// Where Stripe's script is.
    pub script: String,
    /// Where ours is.
    pub own_script: String,
    /// The total, in minor units.
    pub amount: i64,
    /// Its currency in small letters, as Stripe writes it.
    pub currency: String,
}

/// What is asked of the shopper who chooses a provider.
pub enum Ask {
    /// One of the test cards.
    TestCard(&'static [TestCard]),
    /// A card, in Stripe's fields.
    Stripe(StripeFields),
    /// Nothing here: the provider asks at a page of its own.
    Nothing,
}

/// A way to pay.
pub struct Way {
    /// Name of the provider.
    pub provider: String,
    /// For the shopper.
    pub title: String,
    /// What is asked.
    pub ask: Ask,
}

/// The ways to pay for a quote, in the order of the configuration. Stripe is among them once it has its public key.
pub fn ways<S: Shop>(visit: &Visit<'_, S>, quote: &Quote) -> Vec<Way> {
    let way = |provider: String| {
        let (title, ask) = match provider.as_str() {
            "test" => ("Test payments", Ask::TestCard(&TEST_CARDS)),
            "stripe" => ("Card", Ask::Stripe(stripe(visit, quote)?)),
            "paypal" => ("PayPal", Ask::Nothing),
            other => (other, Ask::Nothing),
        };
        Some(Way { title: title.to_owned(), ask, provider })
    };
    visit.shop.list_providers(&visit.ctx).into_iter().filter_map(way).collect()
}

fn stripe<S: Shop>(visit: &Visit<'_, S>, quote: &Quote) -> Option<StripeFields> {
    let setting = |name| visit.shop.get(name).filter(|value| !value.is_empty());
    Some(StripeFields {
        publishable_key: setting("stripe_publishable_key")?,
        script: setting("stripe_js")?,
        own_script: layout::pay_js_path(),
        amount: quote.totals.total.minor,
        currency: quote.totals.total.currency.to_ascii_lowercase(),
    })
}

/// The token for the provider that was chosen; none when a card is still to be entered.
pub fn token(form: &Form) -> Option<String> {
    let token = match form.text("payment_provider").as_str() {
        "test" => form.text("payment_token"),
        "stripe" => form.text("stripe_token"),
        // It asks the shopper itself, so there is nothing to name yet.
        other => other.to_owned(),
    };
    Some(token).filter(|token| !token.is_empty())
}

/// Lets a page run Stripe's script and ours, and show Stripe's frames.
///
/// Source: <https://docs.stripe.com/security/guide#content-security-policy>.
pub fn allow(response: Response, fields: &StripeFields) -> Response {
    let origin = origin(&fields.script);
    let policy = format!(
        "{CONTENT_SECURITY_POLICY}; script-src 'self' {origin} https://*.js.stripe.com; \
         frame-src {origin} https://*.js.stripe.com https://hooks.stripe.com; connect-src https://api.stripe.com"
    );
    response.with("content-security-policy", policy)
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_ends_where_the_path_begins() {
        assert_eq!(origin("https://js.stripe.com/endive/stripe.js"), "https://js.stripe.com");
        assert_eq!(origin("http://127.0.0.1:12111/stripe.js"), "http://127.0.0.1:12111");
        assert_eq!(origin("http://127.0.0.1:12111"), "http://127.0.0.1:12111");
    }
}
