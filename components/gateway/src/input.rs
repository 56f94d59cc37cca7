//! Bodies and queries, read strictly: what is not known, missing or of another type is named with its place and a code.
//!
//! Serde does the reading. The deserializers here exist for their error type, which keeps the place and the kind of
//! what is wrong as values, so that no text is ever parsed.

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use souk_kit::http::Request;

use crate::problem::{Code, Problem};

/// Deepest nesting of arrays and objects in a body.
const JSON_DEPTH_MAX: usize = 32;

/// Reads a JSON body.
pub fn json<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    if !request.header("content-type").is_some_and(|kind| media_type(kind).eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(Code::UnsupportedMediaType, "send the body as application/json"));
    }
    if depth(&request.body) > JSON_DEPTH_MAX {
        return Err(Problem::new(Code::MalformedJson, format!("nested deeper than {JSON_DEPTH_MAX}")));
    }
    let value =
        serde_json::from_slice(&request.body).map_err(|error| Problem::new(Code::MalformedJson, error.to_string()))?;
    T::deserialize(Input(value)).map_err(Wrong::problem)
}

/// Reads a JSON body of which everything may be left out, the body as well.
pub fn json_or_nothing<T: DeserializeOwned + Default>(request: &Request) -> Result<T, Problem> {
    if request.body.is_empty() { Ok(T::default()) } else { json(request) }
}

/// Reads the parameters of a query.
pub fn query<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let pairs = if request.query.is_empty() { Vec::new() } else { request.query_pairs() };
    T::deserialize(Query(pairs)).map_err(Wrong::problem)
}

/// A content type without its parameters.
pub fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// How deep arrays and objects are nested, before anything is built of them.
fn depth(json: &[u8]) -> usize {
    let (mut open, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What is wrong with an input, and where.
#[derive(Debug)]
pub struct Wrong {
    /// Parts of the pointer, the innermost first.
    place: Vec<String>,
    code: &'static str,
    detail: String,
}

impl Wrong {
    fn new(code: &'static str, detail: String) -> Self {
        Self { place: Vec::new(), code, detail }
    }

    fn within(mut self, part: String) -> Self {
        self.place.push(part);
        self
    }

    fn problem(self) -> Problem {
        let parts = self.place.iter().rev();
        let pointer: String = parts.map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect();
        Problem::field(&pointer, self.code, self.detail)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(detail: T) -> Self {
        Self::new("malformed", detail.to_string())
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        let number = matches!(found, Unexpected::Signed(_) | Unexpected::Unsigned(_) | Unexpected::Float(_));
        Self::new(if number { "out_of_range" } else { "malformed" }, format!("{found} is not {wanted}"))
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new("unknown", format!("`{found}` is not one of {}", known.join(", ")))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new("unknown", format!("this is not one of {}", known.join(", "))).within(field.to_owned())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("required", "this is required".to_owned()).within(field.to_owned())
    }
}

/// A JSON value to be read.
struct Input(Value);

impl<'de> de::Deserializer<'de> for Input {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items { next: 0, items: items.into_iter() }),
            Value::Object(fields) => visitor.visit_map(Fields { fields: fields.into_iter(), value: None }),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(natural), _, _) => visitor.visit_u64(natural),
                (None, Some(integer), _) => visitor.visit_i64(integer),
                // Integers beyond 64 bits come as floats: they are numbers of the right kind, only too large.
                (None, None, Some(float)) if float.abs() >= 9.0e18 => {
                    Err(de::Error::invalid_value(Unexpected::Float(float), &visitor))
                }
                (None, None, float) => visitor.visit_f64(float.unwrap_or(f64::NAN)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            other => Input(other).deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items {
    next: usize,
    items: std::vec::IntoIter<Value>,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let place = self.next;
        self.next += 1;
        seed.deserialize(Input(item)).map(Some).map_err(|wrong| wrong.within(place.to_string()))
    }
}

struct Fields {
    fields: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> de::MapAccess<'de> for Fields {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some((name.clone(), value));
        seed.deserialize(StringDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let (name, value) = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Input(value)).map_err(|wrong| wrong.within(name))
    }
}

/// The pairs of a query to be read as one flat struct.
struct Query(Vec<(String, String)>);

impl<'de> de::Deserializer<'de> for Query {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(Parameters { pairs: self.0.into_iter(), value: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any option enum newtype_struct
    }
}

struct Parameters {
    pairs: std::vec::IntoIter<(String, String)>,
    value: Option<(String, String)>,
}

impl<'de> de::MapAccess<'de> for Parameters {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some((name, value)) = self.pairs.next() else { return Ok(None) };
        self.value = Some((name.clone(), value));
        seed.deserialize(StringDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let (name, value) = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Parameter(value)).map_err(|wrong| wrong.within(name))
    }
}

/// One parameter: a text that may stand for a number or a flag.
struct Parameter(String);

impl Parameter {
    fn integer(&self) -> Result<i64, Wrong> {
        self.0.parse().map_err(|_| Wrong::new("malformed", "this is not a whole number".to_owned()))
    }
}

impl<'de> de::Deserializer<'de> for Parameter {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_string(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(Wrong::new("malformed", "this is neither true nor false".to_owned())),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_i64(self.integer()?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_i64(self.integer()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any newtype_struct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_is_open_outside_of_texts() {
        for (json, wanted) in [("{}", 1), ("[[1],[2]]", 2), (r#""[[[""#, 0), (r#"{"a\"[":[]}"#, 2), ("]]][", 1)] {
            assert_eq!(depth(json.as_bytes()), wanted, "{json}");
        }
    }
}
