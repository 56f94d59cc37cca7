//! What browsers post, and whether it may be believed that our own page made them.

use souk_kit::http::Request;
use souk_kit::types::{Address, FieldError};

/// Most fields a form may have.
const FIELDS_MAX: usize = 250;

/// The fields of a posted form.
#[derive(Clone, Debug, Default)]
pub struct Form {
    fields: Vec<(String, String)>,
}

/// Why a post is not looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It is not a form, or has too many fields.
    NotAForm,
    /// It comes from another origin, or without the token that our page carries.
    Forged,
}

impl Form {
    /// Reads a form that one of our own pages posted: the browser says that it stayed on this origin, and the token
    /// in the form is the one in the cookie.
    pub fn read(request: &Request, csrf: &str) -> Result<Self, Distrust> {
        let is_form =
            request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
        let fields = request.form_pairs();
        if !is_form || fields.len() > FIELDS_MAX {
            return Err(Distrust::NotAForm);
        }
        let same_origin = request.header("origin").is_none_or(|origin| origin == request.origin);
        let same_site = request.header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
        let form = Self { fields };
        let token = request.cookie(crate::cookies::CSRF);
        if !same_origin || !same_site || token != Some(csrf) || form.text("csrf") != csrf {
            return Err(Distrust::Forged);
        }
        Ok(form)
    }

    /// A field without the spaces around it; empty when it is absent.
    pub fn text(&self, name: &str) -> String {
        self.raw(name).trim().to_owned()
    }

    /// A field as it was typed, for passwords.
    pub fn raw(&self, name: &str) -> &str {
        self.fields.iter().find_map(|(n, value)| (n == name).then_some(value.as_str())).unwrap_or_default()
    }

    /// Whether a box was ticked or a button of this name pressed.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(n, _)| n == name)
    }

    /// Fields whose names start with a prefix, without it.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().filter_map(move |(n, value)| Some((n.strip_prefix(prefix)?, value.trim())))
    }

    /// The address fields.
    pub fn address(&self) -> Address {
        Address {
            name: self.text("name"),
            company: self.text("company"),
            line1: self.text("line1"),
            line2: self.text("line2"),
            city: self.text("city"),
            region: self.text("region"),
            postal_code: self.text("postal_code"),
            country: self.text("country"),
            phone: self.text("phone"),
        }
    }
}

/// Puts what a service found wrong into words beside a form: `Email: this is required`.
pub fn explain(errors: &[FieldError]) -> Vec<String> {
    errors
        .iter()
        .map(|error| {
            let field = error.pointer.rsplit('/').next().unwrap_or_default().replace('_', " ");
            let mut letters = field.chars();
            let field: String = letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default();
            if field.is_empty() { error.detail.clone() } else { format!("{field}: {}", error.detail) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(headers: &[(&str, &str)], body: &str) -> Request {
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        Request {
            origin: "https://shop.example".to_owned(),
            headers,
            body: body.as_bytes().to_vec(),
            ..Request::default()
        }
    }

    #[test]
    fn only_our_own_pages_are_believed() {
        let cookie = ("cookie", "__Host-csrf=abc");
        for (headers, body, verdict) in [
            (vec![cookie], "csrf=abc&a=1", Ok(())),
            (vec![cookie, ("origin", "https://shop.example"), ("sec-fetch-site", "same-origin")], "csrf=abc", Ok(())),
            (vec![cookie], "a=1", Err(Distrust::Forged)),
            (vec![cookie], "csrf=abd", Err(Distrust::Forged)),
            (vec![], "csrf=abc", Err(Distrust::Forged)),
            (vec![cookie, ("origin", "https://evil.example")], "csrf=abc", Err(Distrust::Forged)),
            (vec![cookie, ("origin", "null")], "csrf=abc", Err(Distrust::Forged)),
            (vec![cookie, ("sec-fetch-site", "cross-site")], "csrf=abc", Err(Distrust::Forged)),
            (vec![cookie, ("sec-fetch-site", "same-site")], "csrf=abc", Err(Distrust::Forged)),
        ] {
            assert_eq!(Form::read(&post(&headers, body), "abc").map(|_| ()), verdict, "{headers:?} {body}");
        }
    }
}
