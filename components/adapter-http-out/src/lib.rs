//! Adapter: the port `http-out` on any platform with outgoing `wasi:http` 0.2. It knows no platform.
//!
//! It keeps `wit/http-out.wit` as far as a component can: grants, bounds, the deadline, no redirects. What only a host
//! can do is left out: a name is not looked up before it is granted, so a granted name may lead to a private address
//! where the platform allows that, and `traceparent` is the platform's to add. An address in a URL is reached only
//! where the manifest names that very address.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod grant;
pub mod request;
pub mod url;
