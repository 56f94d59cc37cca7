//! Generated bindings of every interface that components share.
//!
//! A component binds its own world and points `with` at these modules, so that a type that crosses two components is one type in Rust.
#![allow(
    missing_docs,
    unsafe_code,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated from wit/, where the documentation is"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "kit-bindings",
    generate_all,
    additional_derives: [PartialEq, Eq],
});
