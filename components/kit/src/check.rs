//! Checks of input that name everything wrong at once.

use crate::types::{Address, FieldError, Id};
use crate::{ids, money};

/// Gathers what is wrong with a command.
#[derive(Default)]
pub struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes something wrong. `pointer` is a JSON pointer into the command, `code` a stable word of `types.field-error`.
    pub fn fail(&mut self, pointer: &str, code: &str, detail: impl Into<String>) {
        self.errors.push(FieldError { pointer: pointer.to_owned(), code: code.to_owned(), detail: detail.into() });
    }

    /// A text of `least` to `most` characters without control characters (line breaks and tabs are fine past 200).
    pub fn text(&mut self, pointer: &str, text: &str, least: usize, most: usize) {
        let length = text.chars().count();
        if length < least || (least > 0 && text.trim().is_empty()) {
            self.fail(pointer, "required", "this is required");
        } else if length > most {
            self.fail(pointer, "too_long", format!("at most {most} characters"));
        } else if text.chars().any(|c| c.is_control() && !(most > 200 && matches!(c, '\n' | '\r' | '\t'))) {
            self.fail(pointer, "malformed", "control characters are not allowed");
        }
    }

    /// An id with this prefix.
    pub fn id(&mut self, pointer: &str, prefix: &str, id: &Id) {
        if !ids::is_id(prefix, id) {
            self.fail(
                pointer,
                "malformed",
                format!("this is not an id of the form {prefix}_ and 32 hexadecimal digits"),
            );
        }
    }

    /// A number from `least` to `most`.
    pub fn range(&mut self, pointer: &str, number: i64, least: i64, most: i64) {
        if !(least..=most).contains(&number) {
            self.fail(pointer, "out_of_range", format!("from {least} to {most}"));
        }
    }

    /// An ISO 4217 code of a currency in use.
    pub fn currency(&mut self, pointer: &str, currency: &str) {
        if money::exponent(currency).is_none() {
            self.fail(pointer, "unknown", "this is not an ISO 4217 currency code in upper case");
        }
    }

    /// A mail address: one `@` with something on both sides, at most 254 bytes, no spaces or control characters.
    pub fn email(&mut self, pointer: &str, email: &str) {
        if email.is_empty() {
            return self.fail(pointer, "required", "this is required");
        }
        if email.len() > 254 {
            return self.fail(pointer, "too_long", "at most 254 bytes");
        }
        let sound = email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && !email
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ',' | ';'))
        });
        if !sound {
            self.fail(pointer, "malformed", "this is not an e-mail address");
        }
    }

    /// An address with its required fields. Each field is named below `pointer`.
    pub fn address(&mut self, pointer: &str, address: &Address) {
        for (field, text, least) in [
            ("name", &address.name, 1),
            ("company", &address.company, 0),
            ("line1", &address.line1, 1),
            ("line2", &address.line2, 0),
            ("city", &address.city, 1),
            ("region", &address.region, 0),
            ("postal_code", &address.postal_code, 0),
            ("phone", &address.phone, 0),
        ] {
            self.text(&format!("{pointer}/{field}"), text, least, 200);
        }
        self.country(&format!("{pointer}/country"), &address.country);
    }

    /// Two upper-case letters, as ISO 3166-1 alpha-2 has them.
    pub fn country(&mut self, pointer: &str, country: &str) {
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            self.fail(pointer, "malformed", "a country is two upper-case letters, as in ISO 3166-1");
        }
    }

    /// All that is wrong, or nothing.
    pub fn done(self) -> Result<(), Vec<FieldError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(fill: impl FnOnce(&mut Check)) -> Vec<String> {
        let mut check = Check::new();
        fill(&mut check);
        check.done().err().unwrap_or_default().into_iter().map(|e| format!("{} {}", e.pointer, e.code)).collect()
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let errors = codes(|check| {
            check.text("/name", "", 1, 200);
            check.text("/title", &"x".repeat(201), 1, 200);
            check.text("/note", "a\u{7}b", 0, 200);
            check.range("/quantity", -1, 1, 999);
            check.currency("/currency", "usd");
            check.country("/country", "de");
            check.id("/id", "ord", &"ord_1".to_owned());
        });
        assert_eq!(
            errors,
            [
                "/name required",
                "/title too_long",
                "/note malformed",
                "/quantity out_of_range",
                "/currency unknown",
                "/country malformed",
                "/id malformed"
            ]
        );
    }

    #[test]
    fn mail_addresses_have_one_at_sign_and_both_sides() {
        for email in ["a@b", "a.b+c@example.org", "ü@example.org"] {
            assert_eq!(codes(|check| check.email("/email", email)), Vec::<String>::new(), "{email}");
        }
        for email in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@.c", "a\r\n@c", "<a@b>"] {
            assert_eq!(codes(|check| check.email("/email", email)).len(), 1, "{email}");
        }
    }
}
