//! The first member of staff.

use serde::Deserialize;
use souk_kit::user;

use crate::account::entry::Session;
use crate::exchange::Exchange;
use crate::input;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};

/// The routes of this file.
pub const ROUTES: &[Route] = &[Route::post("setup", Access::Open, Keyed::Derived, set_up)];

/// Who becomes the first member of staff.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Setup {
    /// The setup token of the shop's configuration.
    pub setup_token: String,
    /// Mail address.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Email, max_length = 254))]
    pub email: String,
    /// 10 to 1,024 bytes, and not among the most common passwords.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Password, min_length = 10, max_length = 1024))]
    pub password: String,
    /// Display name.
    #[cfg_attr(not(target_arch = "wasm32"), schema(min_length = 1, max_length = 200))]
    pub name: String,
}

/// Makes the first member of staff, with the setup token of the configuration, and opens a session.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/admin/setup", tag = "admin: people",
    request_body = Setup, responses((status = 201, body = Session))))]
pub fn set_up(exchange: &Exchange<'_>) -> Answer {
    let Setup { setup_token, email, password, name } = input::json(exchange.request)?;
    let registration = user::Registration { user_id: exchange.mint("usr", "user"), email, password, name };
    let session = exchange.ports.create_first_staff(&exchange.ctx, &setup_token, &registration, &exchange.device())?;
    Ok(reply::created("/api/v1/auth/me", &Session::from(session)))
}
