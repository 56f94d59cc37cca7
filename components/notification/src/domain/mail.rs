//! Facts as mails: subject, text and HTML. The words are in `templates/`, escaped by their endings when they are compiled.

mod templates;

use askama::Template;

use super::facts::{Fact, breaks_a_line};
use templates::{Html, Text};

/// Characters of a subject.
pub const SUBJECT_CHARACTERS_MAX: usize = 150;

/// Whose mails these are, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shop {
    /// What the shop calls itself.
    pub name: String,
    /// Scheme and host of its pages, without a final slash.
    pub public_url: String,
}

/// A mail, rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Which template it was made from.
    pub template: String,
    /// Where it goes.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// The mail that tells someone of a fact.
pub fn render(shop: &Shop, fact: &Fact) -> Mail {
    let link = link(shop, fact);
    let link = link.as_str();
    let (template, subject, text, html) = match fact {
        Fact::Registered(to) => (
            "welcome",
            format!("Welcome to {}", shop.name),
            Text::Welcome { shop, to, link },
            Html::Welcome { shop, to, link },
        ),
        Fact::VerificationRequested(to) => (
            "verify-email",
            format!("Confirm your e-mail address for {}", shop.name),
            Text::VerifyEmail { shop, to, link },
            Html::VerifyEmail { shop, to, link },
        ),
        Fact::PasswordResetRequested(to) => (
            "password-reset",
            format!("Reset your password for {}", shop.name),
            Text::PasswordReset { shop, to, link },
            Html::PasswordReset { shop, to, link },
        ),
        Fact::Placed(to, fact) => (
            "order-placed",
            format!("Your order {} at {}", to.number, shop.name),
            Text::OrderPlaced { shop, to, link, fact },
            Html::OrderPlaced { shop, to, link, fact },
        ),
        Fact::Canceled(to, fact) => (
            "order-canceled",
            format!("Your order {} was canceled", to.number),
            Text::OrderCanceled { shop, to, link, fact },
            Html::OrderCanceled { shop, to, link, fact },
        ),
        Fact::Refunded(to, fact) => (
            "order-refunded",
            format!("A refund for your order {}", to.number),
            Text::OrderRefunded { shop, to, link, fact },
            Html::OrderRefunded { shop, to, link, fact },
        ),
        Fact::Shipped(to, fact) => (
            "order-shipped",
            format!("Your order {} is on its way", to.number),
            Text::OrderShipped { shop, to, link, fact },
            Html::OrderShipped { shop, to, link, fact },
        ),
    };
    Mail {
        template: template.to_owned(),
        recipient: fact.recipient().to_owned(),
        subject: subject.replace(breaks_a_line, " ").chars().take(SUBJECT_CHARACTERS_MAX).collect(),
        text: text.render().expect("writing to a string cannot fail"),
        html: html.render().expect("writing to a string cannot fail"),
    }
}

fn link(shop: &Shop, fact: &Fact) -> String {
    let base = &shop.public_url;
    match fact {
        Fact::Registered(to) | Fact::VerificationRequested(to) => {
            format!("{base}/account/verify?token={}", encoded(&to.token))
        }
        Fact::PasswordResetRequested(to) => format!("{base}/account/reset?token={}", encoded(&to.token)),
        Fact::Placed(to, _) | Fact::Canceled(to, _) | Fact::Refunded(to, _) | Fact::Shipped(to, _) => {
            format!("{base}/orders/{}?token={}", encoded(&to.order_id), encoded(&to.access_token))
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, so that ids and tokens stay readable.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
