//! The route table: which handler answers which method and path, for whom, and what an idempotency key does there.
//!
//! Every resource lists its own routes next to their handlers; this file only gathers them and finds one.

use std::borrow::Cow;

use souk_kit::http::{Request, Response};

use crate::exchange::Exchange;
use crate::problem::{Code, Problem};
use crate::{account, admin, docs, hooks, store};

/// What a handler gives.
pub type Answer = Result<Response, Problem>;

/// Longest part of a path, in bytes: more than any id or slug has.
const PART_BYTES_MAX: usize = 128;

/// Who may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone; a token is not looked at, so that an old one cannot stand in the way of getting a new one.
    Open,
    /// Anyone; whoever brings a token must bring a good one.
    Anyone,
    /// Whoever is signed in.
    SignedIn,
    /// Staff.
    Staff,
}

/// What an `Idempotency-Key` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyed {
    /// Nothing: the method, or for a webhook the event's id, makes a repeat harmless by itself.
    Never,
    /// The first answer is kept and given again. The client may leave the key out.
    Optional,
    /// The same, and the client must send one: money moves.
    Required,
    /// Ids derive from the key, but nothing is kept: the request holds a password or the answer a token. The
    /// service makes a repeat harmless.
    Derived,
}

/// One method on one path.
pub struct Route {
    /// In upper case.
    pub method: &'static str,
    /// The path below its group; a part in braces takes any value.
    pub path: &'static str,
    /// Who may come.
    pub access: Access,
    /// What an idempotency key does.
    pub keyed: Keyed,
    /// Who answers.
    pub handler: fn(&Exchange<'_>) -> Answer,
}

impl Route {
    /// A route that only reads.
    pub const fn get(path: &'static str, access: Access, handler: fn(&Exchange<'_>) -> Answer) -> Self {
        Self { method: "GET", path, access, keyed: Keyed::Never, handler }
    }

    /// A route whose repeat is harmless by its method: PUT, PATCH, DELETE.
    pub const fn set(
        method: &'static str,
        path: &'static str,
        access: Access,
        handler: fn(&Exchange<'_>) -> Answer,
    ) -> Self {
        Self { method, path, access, keyed: Keyed::Never, handler }
    }

    /// A command.
    pub const fn post(path: &'static str, access: Access, keyed: Keyed, handler: fn(&Exchange<'_>) -> Answer) -> Self {
        Self { method: "POST", path, access, keyed, handler }
    }
}

/// All routes, by what their paths begin with. The busiest come first.
pub static GROUPS: [(&str, &[&[Route]]); 5] = [
    ("/api/v1/store/", store::ROUTES),
    ("/api/v1/auth/", account::ROUTES),
    ("/api/v1/admin/", admin::ROUTES),
    ("/api/v1/hooks/", &[hooks::ROUTES]),
    ("/", &[store::media::HOST_ROUTES, docs::ROUTES]),
];

/// The path with its percent-encoding taken off. A part cannot hide a slash, so the parts stay what they were.
pub fn decoded(request: &Request) -> Result<Cow<'_, str>, Problem> {
    if !request.path.contains('%') {
        return Ok(Cow::Borrowed(&request.path));
    }
    let segments = request.segments().ok_or_else(|| Problem::from(Code::NotFound))?;
    Ok(Cow::Owned(format!("/{}", segments.join("/"))))
}

/// Finds the route of a method and a path. HEAD is answered as GET; the body is left out at the end.
pub fn find(method: &str, path: &str) -> Result<&'static Route, Problem> {
    let method = if method == "HEAD" { "GET" } else { method };
    let Some((base, tables)) = GROUPS.iter().find(|(base, _)| path.starts_with(base)) else {
        return Err(Code::NotFound.into());
    };
    let rest = &path[base.len()..];
    let mut allowed: Vec<&str> = Vec::new();
    for route in tables.iter().flat_map(|table| table.iter()) {
        if fits(route.path, rest) {
            if route.method == method {
                return Ok(route);
            }
            allowed.push(route.method);
        }
    }
    if allowed.is_empty() { Err(Code::NotFound.into()) } else { Err(method_not_allowed(allowed)) }
}

/// The value that stands where `pattern` has `{name}`, if the pattern has it.
pub fn parameter<'p>(pattern: &str, path: &'p str, name: &str) -> Option<&'p str> {
    // The pattern lacks the group's base, so the two are compared from their ends.
    let mut values = path.rsplit('/');
    pattern.rsplit('/').find_map(|part| {
        let value = values.next()?;
        (part.strip_prefix('{')?.strip_suffix('}')? == name).then_some(value)
    })
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    pattern.split('/').all(|wanted| {
        parts.next().is_some_and(|part| {
            if wanted.starts_with('{') { !part.is_empty() && part.len() <= PART_BYTES_MAX } else { wanted == part }
        })
    }) && parts.next().is_none()
}

fn method_not_allowed(mut allowed: Vec<&str>) -> Problem {
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.sort_unstable();
    allowed.dedup();
    Problem::from(Code::MethodNotAllowed).header("allow", allowed.join(", "))
}
