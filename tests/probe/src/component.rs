//! The component: bindings, and the calls.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::http::{Guest, Request, Response};
use bindings::souk::shop::{kv, outbox, sql};
use serde::{Deserialize, Serialize};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package souk:probe;

            world probe {
                import souk:shop/sql@0.1.0;
                import souk:shop/kv@0.1.0;
                import souk:shop/outbox@0.1.0;
                export souk:shop/http@0.1.0;
            }
        ",
        world: "souk:probe/probe",
        generate_all,
        additional_derives: [serde::Deserialize, serde::Serialize],
    });
}

/// A call of a port: `{"Get": {"key": "a"}}`. `tests/tests/ports_spin_up.rs` writes the same shape.
#[derive(Deserialize)]
enum Call {
    Query { reads: Vec<sql::Read>, batch_id: Option<String> },
    Commit(sql::Batch),
    Get { key: String },
    Set { key: String, value: String, condition: kv::Condition, ttl_seconds: Option<u64> },
    Delete { key: String, condition: kv::Condition },
    Increment { key: String, by: i64, ttl_seconds: Option<u64> },
    Next(Option<outbox::Outcome>),
}

impl Call {
    /// Makes the call; answers what the port answers.
    fn make(self) -> Vec<u8> {
        match self {
            Call::Query { reads, batch_id } => json(&sql::query(&reads, batch_id.as_deref())),
            Call::Commit(batch) => json(&sql::commit(&batch)),
            Call::Get { key } => json(&kv::get(&key)),
            Call::Set { key, value, condition, ttl_seconds } => json(&kv::set(&key, &value, condition, ttl_seconds)),
            Call::Delete { key, condition } => json(&kv::delete(&key, condition)),
            Call::Increment { key, by, ttl_seconds } => json(&kv::increment(&key, by, ttl_seconds)),
            Call::Next(last) => json(&outbox::next(last.as_ref())),
        }
    }
}

fn json<T: Serialize, E: Serialize>(answer: &Result<T, E>) -> Vec<u8> {
    serde_json::to_vec(answer).expect("values of the ports have text for keys")
}

struct Component;

impl Guest for Component {
    fn handle(request: Request) -> Response {
        let (status, body) = match serde_json::from_slice::<Call>(&request.body) {
            Ok(call) => (200, call.make()),
            Err(error) => (400, error.to_string().into_bytes()),
        };
        Response { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body }
    }
}

bindings::export!(Component with_types_in bindings);
