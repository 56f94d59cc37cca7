//! The pages at `/dev/mailbox`, and the same as JSON.
//!
//! A mail's HTML comes from elsewhere, so it is a document of its own: sandboxed by its own policy and by the frame
//! around it, without scripts, without the network, and with no origin.

mod templates;

use askama::Template;
use serde::Serialize;
use souk_kit::http::{Request, Response, encode};
use souk_kit::sql::SqlError;
use souk_kit::{Instant, Sql};

use crate::domain::Summary;
use crate::store;
use templates::{List, Mail, One, Piece};

/// Mails on one page, and in one answer as JSON.
pub const SHOWN_MAX: u32 = 100;

/// How many whole mails are asked for at once: fewer when they are too large to be read together.
const WHOLE_TRIES: [u32; 4] = [SHOWN_MAX, 20, 4, 1];

const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; \
                           frame-ancestors 'none'";
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
                           base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

/// What a path leads to.
enum Route {
    List,
    Json,
    Style,
    One(String),
    Html(String),
}

/// A mail in the JSON list.
#[derive(Serialize)]
struct JsonMail<'a> {
    key: &'a str,
    to: &'a str,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
    /// Milliseconds since 1970 UTC.
    at: Instant,
}

/// Answers a request.
pub fn handle(ports: &impl Sql, request: &Request) -> Response {
    let Some(route) = route(request) else { return problem(request, 404, "not_found", "There is nothing here.") };
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return problem(request, 405, "method_not_allowed", "Mails are only read here.").with("allow", "GET, HEAD");
    }
    let to = request.query_pairs().into_iter().find_map(|(name, to)| (name == "to").then_some(to)).unwrap_or_default();
    let answer = match route {
        Route::List => list(ports, to.trim()).map(Some),
        Route::Json => json(ports, to.trim()).map(Some),
        Route::Style => Ok(Some(Response::new(200, "text/css; charset=utf-8", include_str!("../templates/style.css")))),
        Route::One(key) => one(ports, &key),
        Route::Html(key) => html(ports, &key),
    };
    match answer {
        Ok(Some(response)) => guarded(response),
        Ok(None) => problem(request, 404, "not_found", "There is no such mail."),
        Err(_) => problem(request, 503, "unavailable", "The mailbox cannot be read now.").with("retry-after", "1"),
    }
}

fn route(request: &Request) -> Option<Route> {
    let segments = request.segments()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["dev", "mailbox"] | ["dev", "mailbox", ""] => Some(Route::List),
        ["dev", "mailbox.json"] => Some(Route::Json),
        ["dev", "mailbox", "style.css"] => Some(Route::Style),
        ["dev", "mailbox", key] => Some(Route::One(key.to_owned())),
        ["dev", "mailbox", key, "html"] => Some(Route::Html(key.to_owned())),
        _ => None,
    }
}

fn list(ports: &impl Sql, to: &str) -> Result<Response, SqlError> {
    let listed = store::list(ports, to, SHOWN_MAX)?;
    let mails = listed.messages.iter().map(mail).collect();
    Ok(page(&List { to, mails, count: listed.count }))
}

fn json(ports: &impl Sql, to: &str) -> Result<Response, SqlError> {
    let mut outcome = Ok(Vec::new());
    for limit in WHOLE_TRIES {
        outcome = store::list_whole(ports, to, limit);
        match &outcome {
            Err(SqlError::TooLarge(_)) => {}
            Ok(_)
            | Err(
                SqlError::Invalid(_)
                | SqlError::Constraint(_)
                | SqlError::GuardMissed(_)
                | SqlError::StorageFull
                | SqlError::Unavailable(_),
            ) => break,
        }
    }
    let messages = outcome?;
    let mails: Vec<JsonMail<'_>> = messages
        .iter()
        .map(|message| JsonMail {
            key: &message.summary.key,
            to: &message.summary.recipient,
            subject: &message.summary.subject,
            text: &message.text,
            html: &message.html,
            at: message.summary.sent_at,
        })
        .collect();
    let body = serde_json::to_vec(&mails).expect("texts and numbers are always JSON");
    Ok(Response::new(200, "application/json", body))
}

fn one(ports: &impl Sql, key: &str) -> Result<Option<Response>, SqlError> {
    Ok(store::load(ports, key)?.map(|message| {
        let has_html = !message.html.is_empty();
        page(&One { mail: mail(&message.summary), has_html, pieces: pieces(&message.text) })
    }))
}

fn html(ports: &impl Sql, key: &str) -> Result<Option<Response>, SqlError> {
    let message = store::load(ports, key)?.filter(|message| !message.html.is_empty());
    Ok(message.map(|message| {
        Response::new(200, "text/html; charset=utf-8", message.html).with("content-security-policy", MAIL_POLICY)
    }))
}

fn page(template: &impl Template) -> Response {
    let body = template.render().expect("writing to a string cannot fail");
    Response::new(200, "text/html; charset=utf-8", body).with("content-security-policy", PAGE_POLICY)
}

fn mail(summary: &Summary) -> Mail<'_> {
    Mail {
        path: encode(&summary.key),
        recipient: &summary.recipient,
        subject: &summary.subject,
        at: written(summary.sent_at),
    }
}

/// A mail holds secrets of its reader: nothing keeps it, nothing guesses its type, and no link tells where it came from.
fn guarded(response: Response) -> Response {
    response
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff")
        .with("referrer-policy", "no-referrer")
}

fn problem(request: &Request, status: u16, code: &str, title: &str) -> Response {
    let body = serde_json::json!({
        "type": format!("urn:souk:problem:{code}"),
        "code": code,
        "status": status,
        "title": title,
        "request_id": request.id,
    });
    guarded(Response::new(status, "application/problem+json", body.to_string()))
}

/// The text in pieces, of which those that are http or https addresses become links.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    text.split_inclusive(char::is_whitespace)
        .flat_map(|word| {
            let address = word.trim_end();
            let is_link = address.starts_with("http://") || address.starts_with("https://");
            let at = if is_link { address.len() } else { 0 };
            [Piece { text: &word[..at], is_link: true }, Piece { text: &word[at..], is_link: false }]
        })
        .filter(|piece| !piece.text.is_empty())
        .collect()
}

/// An instant as RFC 3339 writes it. The days are counted from March, so that a leap day is the last of its year
/// (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn written(at: Instant) -> String {
    let (days, millis) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let seconds = millis / 1000;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
