//! The page on which a shopper approves or declines, and the list of tokens. Works without JavaScript.

use askama::Template;
use serde_json::json;
use souk_kit::http::{Request, Response};
use souk_kit::ports::Call;
use souk_kit::{Sql, money};

use crate::domain::{Choice, Object, PAGE, State, TOKENS, Token};
use crate::service;

const STYLE: &str = include_str!("../templates/style.css");

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage<'a> {
    tokens: &'a [Token],
}

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage<'a> {
    amount: String,
    order: &'a str,
    open: bool,
    outcome: &'static str,
    return_url: &'a str,
    tokens: &'a [Token],
}

/// Answers one request.
pub fn handle(ports: &impl Sql, call: &Call, request: &Request) -> Response {
    let rest = match request.path.strip_prefix(PAGE) {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => &rest[1..],
        Some(_) | None => return not_found(request),
    };
    match (request.method.as_str(), rest) {
        ("GET" | "HEAD", "") => tokens(request),
        ("GET" | "HEAD", "style.css") => Response::new(200, "text/css; charset=utf-8", STYLE)
            .with("cache-control", "public, max-age=3600")
            .with("x-content-type-options", "nosniff"),
        (_, "" | "style.css") => not_allowed(request, "GET, HEAD"),
        ("GET" | "HEAD", reference) => show(ports, call, request, reference),
        ("POST", reference) => choose(ports, call, request, reference),
        _ => not_allowed(request, "GET, HEAD, POST"),
    }
}

fn tokens(request: &Request) -> Response {
    page(request, &TokensPage { tokens: &TOKENS }, "'none'")
}

fn show(ports: &impl Sql, call: &Call, request: &Request, reference: &str) -> Response {
    let object = match service::by_reference(ports, call, reference) {
        Ok(Some(object)) => object,
        Ok(None) => return not_found(request),
        Err(_) => return unavailable(request),
    };
    let page_of = ActionPage {
        amount: money::format(&object.amount),
        order: &object.order_id,
        open: object.state == State::RequiresAction,
        outcome: outcome(&object),
        return_url: &object.return_url,
        tokens: &TOKENS,
    };
    page(request, &page_of, &form_targets(&object.return_url))
}

fn choose(ports: &impl Sql, call: &Call, request: &Request, reference: &str) -> Response {
    if is_from_elsewhere(request) {
        return problem(request, 403, "forbidden", "The form is sent from its own page only");
    }
    let fields = request.form_pairs();
    let choice = match fields.iter().find(|(name, _)| name == "decision").map(|(_, value)| value.as_str()) {
        Some("approve") => Choice::Approve,
        Some("decline") => Choice::Decline,
        Some(_) | None => return problem(request, 422, "invalid", "The decision is approve or decline"),
    };
    match service::choose(ports, call, reference, choice) {
        // The address was given with the authorization and checked then; nothing of this request is in it.
        Ok(Some(object)) => Response::see_other(&object.return_url).with("cache-control", "no-store"),
        Ok(None) => not_found(request),
        Err(_) => unavailable(request),
    }
}

fn outcome(object: &Object) -> &'static str {
    match &object.state {
        State::Processing => "This payment is being processed.",
        State::RequiresAction => "",
        State::Authorized => "This payment was approved.",
        State::Declined(_) => "This payment was declined.",
        State::Voided => "This payment was let go.",
    }
}

/// Whether a browser says that another site sent this form. A caller without a browser says nothing.
fn is_from_elsewhere(request: &Request) -> bool {
    let site = request.header("sec-fetch-site").is_some_and(|site| site != "same-origin");
    let origin = request.header("origin").is_some_and(|origin| origin != request.origin);
    site || origin
}

/// Where the form may lead: here, and after the redirect to the return address, which browsers count as well.
fn form_targets(return_url: &str) -> String {
    let origin = return_url.split_once("://").map(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        format!("{scheme}://{host}")
    });
    let plain = |origin: &String| origin.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:/[]".contains(&b));
    match origin.filter(plain) {
        Some(origin) => format!("'self' {origin}"),
        None => "'self'".to_owned(),
    }
}

fn page(request: &Request, template: &impl Template, form_targets: &str) -> Response {
    let Ok(html) = template.render() else {
        return problem(request, 500, "internal", "The page could not be made");
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action {form_targets}; base-uri 'none'; frame-ancestors 'none'"
    );
    Response::new(200, "text/html; charset=utf-8", html)
        .with("content-security-policy", policy)
        .with("cache-control", "no-store")
        .with("referrer-policy", "same-origin")
        .with("x-content-type-options", "nosniff")
}

fn not_found(request: &Request) -> Response {
    problem(request, 404, "not_found", "There is nothing at this address")
}

fn not_allowed(request: &Request, allowed: &str) -> Response {
    problem(request, 405, "method_not_allowed", "This address does not take this method").with("allow", allowed)
}

fn unavailable(request: &Request) -> Response {
    problem(request, 503, "unavailable", "The test provider is away; try again").with("retry-after", "1")
}

fn problem(request: &Request, status: u16, code: &str, title: &str) -> Response {
    let body = json!({
        "type": format!("urn:souk:problem:{code}"),
        "code": code,
        "status": status,
        "title": title,
        "request_id": request.id,
    });
    Response::new(status, "application/problem+json", body.to_string())
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff")
}
