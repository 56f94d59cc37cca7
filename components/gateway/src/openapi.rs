//! The OpenAPI 3.1 document, generated from the handlers and their shapes, and completed from the route table.
//!
//! Native only. `openapi.json` and `docs.html` are its checked-in results: `UPDATE_GOLDEN=1 cargo test -p souk-gateway`
//! rewrites them, and a person reads the difference.

mod page;

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::problem::{Code, ProblemDocument};
use crate::routes::{Access, GROUPS, Keyed, Route};
use crate::{account, admin, docs, hooks, store};

pub use page::page;

/// What holds for all operations.
const CONVENTIONS: &str = "\
Everything that a shop does, over HTTP. `/api/v1/store` is for shoppers, signed in or not; `/api/v1/auth` for their \
accounts; `/api/v1/admin` for staff; `/api/v1/hooks` for payment providers.

Bodies are JSON in snake_case and read strictly: a field that is not known is refused, so that a typing error never \
passes unseen. Ids are a prefix and 32 hexadecimal digits. Instants are RFC 3339 in UTC. Money is an integer of minor \
units with its ISO 4217 code; a share of an amount is rounded half up to the minor unit, once.

Every error is a problem document (RFC 9457) with a `code` that never changes. What is not yours does not exist: it \
is answered with 404. Sign in to get an access token of 15 minutes and a refresh token that renews it, and send \
`Authorization: Bearer ...`.

Lists answer `data`, `has_more` and `next_cursor`, and the next page as a `Link` header. A cursor belongs to its \
filters.

Send an `Idempotency-Key` of 1 to 255 visible ASCII characters, best a UUID, with any POST but webhooks. The first answer is kept \
for 30 days and given again, byte for byte, with `Idempotent-Replayed: true`. While the first request runs, others \
are answered with 409 and `Retry-After`; another body under the same key with 422. Answers with 5xx, refusals of \
input, and answers that hold tokens are not kept; there a repeat is harmless by itself.

Carts, orders, products and profiles have an `ETag`. A changing request that names one in `If-Match` is refused with \
412 when it is no longer the present one.";

#[derive(OpenApi)]
#[openapi(
    paths(
        store::products::list_products,
        store::products::get_product,
        store::categories::list_categories,
        store::media::get_media,
        store::media::get_media_of_host,
        store::carts::create_cart,
        store::carts::get_cart,
        store::carts::set_lines,
        store::carts::set_line,
        store::carts::delete_line,
        store::carts::claim_cart,
        store::carts::get_my_cart,
        store::checkout::quote_cart,
        store::checkout::check_out_cart,
        store::checkout::list_payment_providers,
        store::orders::list_my_orders,
        store::orders::look_up_order,
        store::orders::get_order,
        store::orders::list_order_timeline,
        store::orders::resume_order,
        store::orders::cancel_order,
        account::entry::register,
        account::entry::sign_in,
        account::entry::refresh_session,
        account::entry::sign_out,
        account::entry::request_password_reset,
        account::entry::reset_password,
        account::entry::verify_email,
        account::me::get_me,
        account::me::change_me,
        account::me::change_password,
        account::me::request_verification,
        account::me::list_sessions,
        account::me::end_session,
        account::addresses::list_addresses,
        account::addresses::create_address,
        account::addresses::get_address,
        account::addresses::set_address,
        account::addresses::delete_address,
        admin::setup::set_up,
        admin::products::admin_list_products,
        admin::products::create_product,
        admin::products::admin_get_product,
        admin::products::update_product,
        admin::products::delete_product,
        admin::categories::admin_list_categories,
        admin::categories::create_category,
        admin::categories::set_category,
        admin::categories::delete_category,
        admin::media::upload_media,
        admin::stock::list_stock_movements,
        admin::stock::adjust_stock,
        admin::orders::admin_list_orders,
        admin::orders::admin_get_order,
        admin::orders::admin_list_order_timeline,
        admin::orders::admin_cancel_order,
        admin::orders::capture_order,
        admin::orders::refund_order,
        admin::orders::ship_order,
        admin::customers::list_customers,
        admin::customers::get_customer,
        admin::customers::change_customer,
        admin::notifications::list_notifications,
        admin::notifications::resend_notification,
        hooks::take_hook,
        docs::get_openapi,
        docs::get_docs,
    ),
    components(schemas(ProblemDocument)),
    info(title = "Souk", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "products", description = "What is on sale."),
        (name = "carts", description = "What a shopper intends to buy."),
        (name = "checkout", description = "From a cart to an order."),
        (name = "orders", description = "What was agreed."),
        (name = "accounts", description = "Who someone is, and where their parcels go."),
        (name = "admin: catalog", description = "Products, categories, pictures and stock."),
        (name = "admin: orders", description = "Taking money, giving it back, handing goods over."),
        (name = "admin: people", description = "Accounts of shoppers and staff."),
        (name = "admin: notifications", description = "Messages to people."),
        (name = "webhooks", description = "What payment providers send."),
        (name = "documentation", description = "This document."),
    )
)]
struct Document;

/// The whole document.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).expect("a document is always JSON");
    document["info"]["description"] = CONVENTIONS.into();
    for (base, tables) in GROUPS {
        for route in tables.iter().flat_map(|table| table.iter()) {
            let path = format!("{base}{}", route.path);
            if let Some(operation) = document["paths"][&path].get_mut(route.method.to_ascii_lowercase()) {
                complete(operation.as_object_mut().expect("an operation is an object"), route);
            }
        }
    }
    refer_to_items(&mut document["components"]["schemas"]);
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    let components = document["components"].as_object_mut().expect("there are components");
    describe_codes(&mut components["schemas"]["Problem"], &codes);
    components.insert(
        "securitySchemes".to_owned(),
        json!({"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "PASETO v4.public",
            "description": "The access token of a session."}}),
    );
    components.insert(
        "responses".to_owned(),
        json!({"Problem": {"description": "What went wrong.",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}}),
    );
    document
}

/// The document as the file that is checked in.
pub fn written(document: &Value) -> String {
    let mut json = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    document
        .serialize(&mut serde_json::Serializer::with_formatter(&mut json, formatter))
        .expect("a document is always JSON");
    json.push(b'\n');
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Adds what the route table knows of an operation.
fn complete(operation: &mut Map<String, Value>, route: &Route) {
    let security = match route.access {
        Access::Open => json!([]),
        Access::Anyone => json!([{}, {"bearer": []}]),
        Access::SignedIn | Access::Staff => json!([{"bearer": []}]),
    };
    operation.insert("security".to_owned(), security);
    let required = match route.keyed {
        Keyed::Never => None,
        Keyed::Optional | Keyed::Derived => Some(false),
        Keyed::Required => Some(true),
    };
    if let Some(required) = required {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        parameters.as_array_mut().expect("parameters are a list").push(json!({
            "name": "idempotency-key", "in": "header", "required": required,
            "description": "Names this command, so that sending it again has one effect.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}}));
    }
    if let Some(body) = operation.get_mut("requestBody") {
        pictures(body);
    }
    let responses = operation["responses"].as_object_mut().expect("responses are an object");
    for (status, response) in responses.iter_mut() {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = match status.as_str() {
                "201" => "It was made.",
                "202" => "It was taken and will be done.",
                "204" => "It is done.",
                _ => "The answer.",
            }
            .into();
        }
        pictures(response);
        if status == "201" {
            response["headers"] = json!({"location": {"description": "Where it is.", "schema": {"type": "string"}}});
        }
    }
    responses.insert("default".to_owned(), json!({"$ref": "#/components/responses/Problem"}));
}

/// Pictures are bytes. The generator takes them for lists of integers.
fn pictures(body: &mut Value) {
    for (media, content) in body.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
        if media.starts_with("image/") {
            content["schema"] = json!({"type": "string", "format": "binary"});
        }
    }
}

/// Lists refer to the shape of their items. The generator writes it out in each.
fn refer_to_items(schemas: &mut Value) {
    for (name, schema) in schemas.as_object_mut().expect("schemas are an object") {
        if let Some(item) = name.strip_prefix("List_") {
            schema["properties"]["data"]["items"] = json!({"$ref": format!("#/components/schemas/{item}")});
        }
    }
}

/// Lists the codes where the shape of a problem document has them, wherever the generator put its own fields.
fn describe_codes(problem: &mut Value, codes: &[&str]) {
    match problem {
        Value::Object(fields) => {
            if let Some(code) = fields.get_mut("properties").and_then(|fields| fields.get_mut("code")) {
                code["enum"] = json!(codes);
            }
            fields.get_mut("allOf").into_iter().for_each(|parts| describe_codes(parts, codes));
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| describe_codes(part, codes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
