//! Component values and JSON: what actors write and read.
//!
//! A record is an object, a variant with a value an object of one member, one without and an enum a string, a result
//! `{"ok": ..}` or `{"err": ..}`, a list of bytes a string. A field that is left out is empty or zero.

use serde_json::{Map, Value, json};
use wasmtime::component::{Type, Val};

/// Builds the value of a type.
pub fn lower(ty: &Type, json: &Value) -> Result<Val, String> {
    let wrong = || format!("{json} does not fit");
    Ok(match ty {
        Type::Bool => Val::Bool(json.as_bool().unwrap_or_default()),
        Type::U8 => Val::U8(integer(json)?),
        Type::U16 => Val::U16(integer(json)?),
        Type::U32 => Val::U32(integer(json)?),
        Type::U64 => Val::U64(integer(json)?),
        Type::S64 => Val::S64(integer(json)?),
        Type::String => Val::String(json.as_str().unwrap_or_default().to_owned()),
        Type::List(list) => match (json, list.ty()) {
            (Value::Null, _) => Val::List(Vec::new()),
            (Value::String(text), Type::U8) => Val::List(text.bytes().map(Val::U8).collect()),
            (Value::Array(items), ty) => {
                Val::List(items.iter().map(|item| lower(&ty, item)).collect::<Result<_, _>>()?)
            }
            _ => return Err(wrong()),
        },
        Type::Record(record) => {
            let fields = record.fields().map(|field| {
                let value = lower(&field.ty, &json[field.name]).map_err(|error| format!("{}: {error}", field.name))?;
                Ok((field.name.to_owned(), value))
            });
            Val::Record(fields.collect::<Result<_, String>>()?)
        }
        Type::Tuple(tuple) => {
            let items = tuple.types().enumerate().map(|(place, ty)| lower(&ty, &json[place]));
            Val::Tuple(items.collect::<Result<_, _>>()?)
        }
        Type::Enum(_) => Val::Enum(json.as_str().ok_or_else(wrong)?.to_owned()),
        Type::Option(option) => Val::Option(match json {
            Value::Null => None,
            some => Some(Box::new(lower(&option.ty(), some)?)),
        }),
        Type::Variant(variant) => {
            let (name, payload) = match json {
                Value::String(name) => (name.as_str(), None),
                Value::Object(one) => {
                    one.iter().next().map(|(name, value)| (name.as_str(), Some(value))).ok_or_else(wrong)?
                }
                _ => return Err(wrong()),
            };
            let case = variant.cases().find(|case| case.name == name).ok_or_else(wrong)?;
            let payload = match (case.ty, payload) {
                (Some(ty), Some(value)) => Some(Box::new(lower(&ty, value)?)),
                (None, None) => None,
                _ => return Err(wrong()),
            };
            Val::Variant(name.to_owned(), payload)
        }
        _ => return Err(format!("no value of this type is used in {json}")),
    })
}

fn integer<T: TryFrom<i64> + Default>(json: &Value) -> Result<T, String> {
    match json {
        Value::Null => Ok(T::default()),
        number => {
            number.as_i64().and_then(|number| T::try_from(number).ok()).ok_or_else(|| format!("{number} does not fit"))
        }
    }
}

/// Reads a value.
pub fn lift(value: &Val) -> Value {
    match value {
        Val::Bool(flag) => json!(flag),
        Val::U8(number) => json!(number),
        Val::U16(number) => json!(number),
        Val::U32(number) => json!(number),
        Val::U64(number) => json!(number),
        Val::S64(number) => json!(number),
        Val::String(text) | Val::Enum(text) | Val::Variant(text, None) => json!(text),
        Val::Variant(name, Some(payload)) => json!({ name: lift(payload) }),
        Val::List(items) if matches!(items.first(), Some(Val::U8(_))) => {
            let bytes = items.iter().map(|item| if let Val::U8(byte) = item { *byte } else { 0 });
            json!(String::from_utf8_lossy(&bytes.collect::<Vec<_>>()))
        }
        Val::List(items) | Val::Tuple(items) => items.iter().map(lift).collect(),
        Val::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), lift(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Val::Option(None) => Value::Null,
        Val::Option(Some(value)) => lift(value),
        Val::Result(Ok(value)) => json!({ "ok": value.as_deref().map(lift) }),
        Val::Result(Err(value)) => json!({ "err": value.as_deref().map(lift) }),
        other => json!(format!("{other:?}")),
    }
}
