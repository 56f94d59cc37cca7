//! One of each thing that a service answers.

use souk_kit::order::{FulfillmentStatus, OrderState, PaymentStatus};
use souk_kit::testing::START;
use souk_kit::types::Address;
use souk_kit::{Money, cart, catalog, notification, order, user};

pub const USER: &str = "usr_00000000000000000000000000000001";
pub const STAFF: &str = "usr_00000000000000000000000000000002";
pub const SESSION: &str = "ses_00000000000000000000000000000003";
pub const PRODUCT: &str = "prod_00000000000000000000000000000004";
pub const VARIANT: &str = "var_00000000000000000000000000000005";
pub const CATEGORY: &str = "cat_00000000000000000000000000000006";
pub const MEDIA: &str = "med_00000000000000000000000000000007";
pub const CART: &str = "cart_00000000000000000000000000000008";
pub const ORDER: &str = "ord_00000000000000000000000000000009";
pub const ADDRESS: &str = "adr_0000000000000000000000000000000a";
pub const PAYMENT: &str = "pay_0000000000000000000000000000000b";
pub const NOTIFICATION: &str = "ntf_0000000000000000000000000000000c";
pub const MOVEMENT: &str = "mov_0000000000000000000000000000000d";
pub const SHIPMENT: &str = "ful_0000000000000000000000000000000e";

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD")
}

pub fn profile() -> user::Profile {
    user::Profile {
        id: USER.to_owned(),
        email: "ada@example.org".to_owned(),
        email_verified: true,
        name: "Ada".to_owned(),
        role: user::Role::Shopper,
        disabled: false,
        created_at: START,
        version: 3,
    }
}

pub fn session() -> user::Session {
    user::Session {
        id: SESSION.to_owned(),
        access_token: "v4.public.sample".to_owned(),
        access_expires_at: START + 900_000,
        refresh_token: "refresh-sample".to_owned(),
        refresh_expires_at: START + 2_592_000_000,
        profile: profile(),
    }
}

pub fn sessions() -> Vec<user::SessionSummary> {
    let device = "Firefox".to_owned();
    vec![user::SessionSummary { id: SESSION.to_owned(), device, created_at: START, renewed_at: START + 1 }]
}

pub fn address() -> Address {
    Address {
        name: "Ada".to_owned(),
        company: String::new(),
        line1: "Straße 1".to_owned(),
        line2: String::new(),
        city: "Berlin".to_owned(),
        region: String::new(),
        postal_code: "10115".to_owned(),
        country: "DE".to_owned(),
        phone: String::new(),
    }
}

pub fn saved_address() -> user::SavedAddress {
    user::SavedAddress { id: ADDRESS.to_owned(), address: address(), default_shipping: true, default_billing: false }
}

pub fn addresses() -> Vec<user::SavedAddress> {
    vec![saved_address()]
}

pub fn users() -> user::UserPage {
    user::UserPage { items: vec![profile()], next: None }
}

pub fn products() -> catalog::ProductPage {
    let item = catalog::ProductSummary {
        id: PRODUCT.to_owned(),
        slug: "linen-shirt".to_owned(),
        title: "Linen shirt".to_owned(),
        status: catalog::ProductStatus::Published,
        image_url: format!("/media/{MEDIA}"),
        image_alt: "A shirt".to_owned(),
        price_minor: 1999,
        price_varies: true,
        available: 7,
    };
    catalog::ProductPage { items: vec![item], next: Some("bmV4dA".to_owned()) }
}

pub fn variant() -> catalog::VariantDetail {
    catalog::VariantDetail {
        id: VARIANT.to_owned(),
        sku: "LS-M".to_owned(),
        barcode: String::new(),
        weight_grams: 250,
        option_values: vec!["M".to_owned()],
        prices: vec![usd(1999)],
        on_hand: 9,
        reserved: 2,
    }
}

pub fn product() -> catalog::Product {
    catalog::Product {
        id: PRODUCT.to_owned(),
        slug: "linen-shirt".to_owned(),
        title: "Linen shirt".to_owned(),
        description: "Light & <cool>.".to_owned(),
        status: catalog::ProductStatus::Published,
        category_ids: vec![CATEGORY.to_owned()],
        options: vec![catalog::ProductOption { name: "Size".to_owned(), values: vec!["M".to_owned()] }],
        variants: vec![variant()],
        media: vec![catalog::Media { url: format!("/media/{MEDIA}"), alt: "A shirt".to_owned() }],
        created_at: START,
        updated_at: START + 1000,
        version: 4,
    }
}

pub fn category() -> catalog::Category {
    let (slug, title) = ("shirts".to_owned(), "Shirts".to_owned());
    catalog::Category { id: CATEGORY.to_owned(), parent_id: None, slug, title, position: 1 }
}

pub fn categories() -> Vec<catalog::Category> {
    vec![category()]
}

pub fn media_id() -> String {
    MEDIA.to_owned()
}

pub fn picture() -> catalog::MediaFile {
    catalog::MediaFile { content_type: "image/svg+xml".to_owned(), bytes: b"<svg/>".to_vec() }
}

pub fn movements() -> catalog::MovementPage {
    let movement = catalog::StockMovement {
        id: MOVEMENT.to_owned(),
        variant_id: VARIANT.to_owned(),
        on_hand_delta: 9,
        reserved_delta: 0,
        reason: "received".to_owned(),
        order_id: String::new(),
        actor: STAFF.to_owned(),
        at: START,
    };
    catalog::MovementPage { items: vec![movement], next: None }
}

pub fn cart() -> cart::CartView {
    let line = cart::LineItem {
        variant_id: VARIANT.to_owned(),
        product_id: PRODUCT.to_owned(),
        slug: "linen-shirt".to_owned(),
        title: "Linen shirt".to_owned(),
        variant_title: "M".to_owned(),
        sku: "LS-M".to_owned(),
        image_url: format!("/media/{MEDIA}"),
        quantity: 2,
        unit_price: usd(1999),
        set_unit_price: usd(1899),
        total: usd(3998),
        available: 7,
        weight_grams: 250,
        warnings: vec![cart::LineWarning::PriceChanged],
    };
    cart::CartView {
        id: CART.to_owned(),
        user_id: None,
        currency: "USD".to_owned(),
        state: cart::CartState::Open,
        lines: vec![line],
        subtotal: usd(3998),
        version: 5,
    }
}

fn order_line() -> order::OrderLine {
    order::OrderLine {
        variant_id: VARIANT.to_owned(),
        product_id: PRODUCT.to_owned(),
        title: "Linen shirt".to_owned(),
        variant_title: "M".to_owned(),
        sku: "LS-M".to_owned(),
        image_url: String::new(),
        quantity: 2,
        fulfilled: 1,
        unit_price: usd(1999),
        total: usd(3998),
        tax: usd(760),
    }
}

fn totals() -> order::Totals {
    order::Totals { subtotal: usd(3998), shipping: usd(500), tax: usd(855), total: usd(5353) }
}

pub fn quote() -> order::Quote {
    let option = order::ShippingOption { code: "standard".to_owned(), title: "Standard".to_owned(), price: usd(500) };
    order::Quote {
        hash: "hash-sample".to_owned(),
        cart_id: CART.to_owned(),
        cart_version: 5,
        lines: vec![order_line()],
        shipping_options: vec![option],
        shipping_method: "standard".to_owned(),
        totals: totals(),
        expires_at: START + 900_000,
    }
}

pub fn order() -> order::OrderView {
    let parcel = order::Shipment {
        id: SHIPMENT.to_owned(),
        lines: vec![order::FulfillmentLine { variant_id: VARIANT.to_owned(), quantity: 1 }],
        carrier: "DHL".to_owned(),
        tracking_number: "1Z".to_owned(),
        at: START + 2000,
    };
    order::OrderView {
        id: ORDER.to_owned(),
        number: "S-1042".to_owned(),
        access_token: "order-token".to_owned(),
        user_id: Some(USER.to_owned()),
        cart_id: CART.to_owned(),
        email: "ada@example.org".to_owned(),
        state: OrderState::Confirmed,
        payment_status: PaymentStatus::PartiallyRefunded,
        fulfillment_status: FulfillmentStatus::PartiallyFulfilled,
        lines: vec![order_line()],
        totals: totals(),
        shipping_method: "standard".to_owned(),
        shipping_address: address(),
        billing_address: address(),
        payment_id: PAYMENT.to_owned(),
        payment_provider: "test".to_owned(),
        captured: 5353,
        refunded: 100,
        action_url: String::new(),
        cancel_reason: String::new(),
        decline: None,
        shipments: vec![parcel],
        placed_at: START,
        version: 6,
    }
}

pub fn orders() -> order::OrderPage {
    let view = order();
    let item = order::OrderSummary {
        id: view.id,
        number: view.number,
        email: view.email,
        state: view.state,
        payment_status: view.payment_status,
        fulfillment_status: view.fulfillment_status,
        total: view.totals.total,
        units: 2,
        placed_at: view.placed_at,
    };
    order::OrderPage { items: vec![item], next: None }
}

pub fn timeline() -> Vec<order::TimelineEntry> {
    let (kind, detail, actor) = ("placed".to_owned(), String::new(), "guest".to_owned());
    vec![order::TimelineEntry { kind, detail, actor, at: START }]
}

pub fn providers() -> Vec<String> {
    vec!["test".to_owned()]
}

pub fn notifications() -> notification::NotificationPage {
    let item = notification::NotificationSummary {
        id: NOTIFICATION.to_owned(),
        template: "order-placed".to_owned(),
        channel: "email".to_owned(),
        recipient: "ada@example.org".to_owned(),
        subject: "Your order S-1042".to_owned(),
        state: notification::DeliveryState::Sent,
        attempts: 1,
        last_error: String::new(),
        created_at: START,
    };
    notification::NotificationPage { items: vec![item], next: None }
}
