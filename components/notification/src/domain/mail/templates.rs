//! Which file each part of each mail is made from.
#![allow(unused_qualifications, reason = "askama's derive writes whole paths")]

use askama::Template;

use super::Shop;
use crate::domain::facts::{Account, Canceled, Order, Placed, Refunded, Shipped};

/// The plain text of each mail.
#[derive(Template)]
pub(super) enum Text<'a> {
    #[template(path = "welcome.txt")]
    Welcome { shop: &'a Shop, to: &'a Account, link: &'a str },
    #[template(path = "verify-email.txt")]
    VerifyEmail { shop: &'a Shop, to: &'a Account, link: &'a str },
    #[template(path = "password-reset.txt")]
    PasswordReset { shop: &'a Shop, to: &'a Account, link: &'a str },
    #[template(path = "order-placed.txt")]
    OrderPlaced { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Placed },
    #[template(path = "order-canceled.txt")]
    OrderCanceled { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Canceled },
    #[template(path = "order-refunded.txt")]
    OrderRefunded { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Refunded },
    #[template(path = "order-shipped.txt")]
    OrderShipped { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Shipped },
}

/// The HTML of each mail.
#[derive(Template)]
pub(super) enum Html<'a> {
    #[template(path = "welcome.html")]
    Welcome { shop: &'a Shop, to: &'a Account, link: &'a str },
    #[template(path = "verify-email.html")]
    VerifyEmail { shop: &'a Shop, to: &'a Account, link: &'a str },
    #[template(path = "password-reset.html")]
    PasswordReset { shop: &'a Shop, to: &'a Account, link: &'a str },
    #[template(path = "order-placed.html")]
    OrderPlaced { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Placed },
    #[template(path = "order-canceled.html")]
    OrderCanceled { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Canceled },
    #[template(path = "order-refunded.html")]
    OrderRefunded { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Refunded },
    #[template(path = "order-shipped.html")]
    OrderShipped { shop: &'a Shop, to: &'a Order, link: &'a str, fact: &'a Shipped },
}
