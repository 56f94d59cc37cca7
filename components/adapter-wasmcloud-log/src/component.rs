//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::log::Guest;
use bindings::wasi::logging::logging::{self, Level};

use crate::line;

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: ["../../wit", "wit/deps/logging"],
        inline: "
            package souk:adapter-wasmcloud-log;

            world adapter {
              import wasi:logging/logging@0.1.0-draft;
              export souk:shop/log@0.1.0;
            }
        ",
        generate_all,
    });
}

struct Adapter;

bindings::export!(Adapter with_types_in bindings);

/// What groups these lines in the host's log: services write no others.
const CONTEXT: &str = "panic";

impl Guest for Adapter {
    fn error(message: String) {
        logging::log(Level::Error, CONTEXT, line::cut(&message));
    }
}
