//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::passwords::{Guest, PasswordError, Verdict};
use bindings::wasi::random::random;

use crate::hashing::{self, Invalid, SALT_BYTES};

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
            package souk:adapter-passwords;

            world adapter {
              import wasi:random/random@0.2.0;
              export souk:shop/passwords@0.1.0;
            }
        ",
        generate_all,
    });
}

struct Adapter;

bindings::export!(Adapter with_types_in bindings);

impl Guest for Adapter {
    fn hash(password: String) -> Result<String, PasswordError> {
        let salt = random::get_random_bytes(SALT_BYTES as u64);
        let salt: [u8; SALT_BYTES] = salt.try_into().expect("the host gives as many bytes as asked for");
        Ok(hashing::hash(&password, salt)?)
    }

    fn verify(password: String, hash: String) -> Result<Verdict, PasswordError> {
        Ok(match hashing::verify(&password, &hash)? {
            hashing::Verdict::Wrong => Verdict::Wrong,
            hashing::Verdict::Right => Verdict::Right,
            hashing::Verdict::RightRehash => Verdict::RightRehash,
        })
    }
}

impl From<Invalid> for PasswordError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.0)
    }
}
