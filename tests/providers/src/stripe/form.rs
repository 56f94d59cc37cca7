//! Form-encoded parameters with bracketed names, taken one by one; what nobody took is refused.

use std::collections::BTreeMap;

use super::error::Refusal;

/// Most values of metadata: <https://docs.stripe.com/api/metadata>.
const METADATA_MAX: usize = 50;
const METADATA_NAME_CHARS_MAX: usize = 40;
const METADATA_VALUE_CHARS_MAX: usize = 500;

/// The parameters that are not taken yet.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a query or a body.
    pub fn read(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let place = self.0.iter().position(|(given, _)| given == name);
        let value = place.map(|place| self.0.remove(place).1);
        if value.as_deref() == Some("") {
            return Err(Refusal::param("parameter_invalid_empty", name, &format!("'{name}' is an empty string.")));
        }
        Ok(value)
    }

    /// A text that must be there.
    pub fn required(&mut self, name: &str) -> Result<String, Refusal> {
        let missing = || Refusal::param("parameter_missing", name, &format!("Missing required param: {name}."));
        self.text(name)?.ok_or_else(missing)
    }

    /// An integer.
    pub fn integer(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let invalid = |_| Refusal::param("parameter_invalid_integer", name, &format!("Invalid integer: {text}"));
        text.parse().map(Some).map_err(invalid)
    }

    /// `true` or `false`; the latter when it is not there.
    pub fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.text(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::plain(name, &format!("Invalid boolean: {other}"))),
        }
    }

    /// One of these words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        found.map(Some).ok_or_else(|| Refusal::plain(name, &format!("Invalid {name}: {text}")))
    }

    /// A list: `name[]` or `name[0]`, `name[1]` and so on.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let is_place = |inner: &str| inner.bytes().all(|byte| byte.is_ascii_digit());
        self.inner(name, is_place).into_iter().map(|(_, value)| value).collect()
    }

    /// Metadata.
    pub fn metadata(&mut self) -> Result<BTreeMap<String, String>, Refusal> {
        let metadata: BTreeMap<String, String> =
            self.inner("metadata", |_| true).into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let is_too_long = |(name, value): (&String, &String)| {
            name.chars().count() > METADATA_NAME_CHARS_MAX || value.chars().count() > METADATA_VALUE_CHARS_MAX
        };
        if metadata.len() > METADATA_MAX || metadata.iter().any(is_too_long) {
            return Err(Refusal::plain("metadata", "Metadata has too many or too long values."));
        }
        Ok(metadata)
    }

    fn inner(&mut self, name: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let inner = |given: &str| {
            let inner = given.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            wanted(inner).then(|| inner.to_owned())
        };
        let mut found = Vec::new();
        self.0.retain(|(given, value)| match inner(given) {
            Some(inner) => {
                found.push((inner, value.clone()));
                false
            }
            None => true,
        });
        found
    }

    /// Refuses what nobody took: also what Stripe has and the simulator does not, so that no test leans on it.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Refusal::param("parameter_unknown", name, &format!("Received unknown parameter: {name}")))
            }
        }
    }
}
