//! What holds in a catalog, as pure functions: no ports, no clock, no randomness.

use crate::values::CatalogError;
use souk_kit::check::Check;

pub mod category;
pub mod listing;
pub mod media;
pub mod product;
pub mod search;
pub mod stock;

/// Longest place in URLs, in characters.
pub const SLUG_CHARS_MAX: usize = 100;

/// Longest title of a product or a category, in characters.
pub const TITLE_CHARS_MAX: usize = 200;

/// Ends a check: everything wrong at once, or nothing.
pub(crate) fn done(check: Check) -> Result<(), CatalogError> {
    check.done().map_err(CatalogError::Invalid)
}

/// A refusal of one field.
pub(crate) fn invalid(pointer: &str, code: &str, detail: impl Into<String>) -> CatalogError {
    let mut check = Check::new();
    check.fail(pointer, code, detail);
    CatalogError::Invalid(check.done().expect_err("something was just found wrong"))
}

/// A place in URLs: lower-case letters, digits and hyphens.
fn check_slug(check: &mut Check, slug: &str) {
    if slug.is_empty() {
        check.fail("/slug", "required", "this is required");
    } else if slug.len() > SLUG_CHARS_MAX {
        check.fail("/slug", "too_long", format!("at most {SLUG_CHARS_MAX} characters"));
    } else if !slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        check.fail("/slug", "malformed", "lower-case letters, digits and hyphens");
    }
}

/// Any id that a caller mints for a command, whatever its prefix.
fn check_command_id(check: &mut Check, pointer: &str, id: &str) {
    if id.is_empty() {
        check.fail(pointer, "required", "this is required");
    } else if id.len() > souk_kit::ids::ID_BYTES_MAX || !id.bytes().all(|b| b.is_ascii_graphic()) {
        check.fail(pointer, "malformed", "at most 64 visible ASCII characters");
    }
}
