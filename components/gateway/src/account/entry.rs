//! Registering, signing in and out, and the ways back in.
//!
//! These routes look at no access token, so that an expired one cannot stand in the way of a new one. Nothing of them is kept under an
//! idempotency key: requests hold passwords, answers hold tokens.

use serde::{Deserialize, Serialize};
use souk_kit::user;

use crate::account::me::User;
use crate::exchange::Exchange;
use crate::input;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::Timestamp;

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::post("register", Access::Open, Keyed::Derived, register),
    Route::post("sign-in", Access::Open, Keyed::Derived, sign_in),
    Route::post("refresh", Access::Open, Keyed::Derived, refresh_session),
    Route::post("sign-out", Access::Open, Keyed::Derived, sign_out),
    Route::post("password/forgot", Access::Open, Keyed::Derived, request_password_reset),
    Route::post("password/reset", Access::Open, Keyed::Derived, reset_password),
    Route::post("email/verify", Access::Open, Keyed::Derived, verify_email),
];

/// What an account is made from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Registration {
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

/// Who signs in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Credentials {
    /// Mail address.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Email))]
    pub email: String,
    /// Password.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Password))]
    pub password: String,
}

/// What renews or ends a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct RefreshToken {
    /// The secret of the session, as it was given last.
    pub refresh_token: String,
}

/// Whose password was forgotten.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct ForgottenPassword {
    /// Mail address.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Email))]
    pub email: String,
}

/// A new password, and the token from the mail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct PasswordReset {
    /// The token from the mail. It works once and for an hour.
    pub token: String,
    /// The new password.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Password, min_length = 10, max_length = 1024))]
    pub new_password: String,
}

/// The token that proves that mail arrives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct EmailVerification {
    /// The token from the mail. It works once and for three days.
    pub token: String,
}

/// A session that has just been opened or renewed.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct Session {
    /// `ses_...`; the same through all renewals.
    pub id: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// What goes into the `Authorization` header.
    pub access_token: String,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
    /// Renews the session, once.
    pub refresh_token: String,
    /// When the session ends, whatever the renewals.
    pub refresh_expires_at: Timestamp,
    /// Whose session it is.
    pub user: User,
}

/// Makes an account and opens its first session.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/register", tag = "accounts",
    request_body = Registration, responses((status = 201, body = Session))))]
pub fn register(exchange: &Exchange<'_>) -> Answer {
    let new = input::json::<Registration>(exchange.request)?;
    let registration = user::Registration {
        user_id: exchange.mint("usr", "user"),
        email: new.email,
        password: new.password,
        name: new.name,
    };
    let session = exchange.ports.register(&exchange.ctx, &registration, &exchange.device())?;
    Ok(reply::created("/api/v1/auth/me", &Session::from(session)))
}

/// Opens a session.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/sign-in", tag = "accounts",
    request_body = Credentials, responses((status = 200, body = Session))))]
pub fn sign_in(exchange: &Exchange<'_>) -> Answer {
    let Credentials { email, password } = input::json(exchange.request)?;
    let session = exchange.ports.sign_in(&exchange.ctx, &email, &password, &exchange.device())?;
    Ok(reply::json(200, &Session::from(session)))
}

/// Renews a session and replaces its refresh token. An old refresh token that is used again ends the session.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/refresh", tag = "accounts",
    request_body = RefreshToken, responses((status = 200, body = Session))))]
pub fn refresh_session(exchange: &Exchange<'_>) -> Answer {
    let RefreshToken { refresh_token } = input::json(exchange.request)?;
    let session = exchange.ports.refresh(&exchange.ctx, &refresh_token)?;
    Ok(reply::json(200, &Session::from(session)))
}

/// Ends the session of a refresh token. Harmless for any token.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/sign-out", tag = "accounts",
    request_body = RefreshToken, responses((status = 204))))]
pub fn sign_out(exchange: &Exchange<'_>) -> Answer {
    let RefreshToken { refresh_token } = input::json(exchange.request)?;
    exchange.ports.sign_out(&exchange.ctx, &refresh_token)?;
    Ok(reply::nothing())
}

/// Sends a reset token to the address, if it has an account. The answer is the same when it has none.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/password/forgot", tag = "accounts",
    request_body = ForgottenPassword, responses((status = 202))))]
pub fn request_password_reset(exchange: &Exchange<'_>) -> Answer {
    let ForgottenPassword { email } = input::json(exchange.request)?;
    exchange.ports.request_password_reset(&exchange.ctx, &email)?;
    Ok(reply::accepted())
}

/// Sets a new password with a reset token, and ends all sessions.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/password/reset", tag = "accounts",
    request_body = PasswordReset, responses((status = 204))))]
pub fn reset_password(exchange: &Exchange<'_>) -> Answer {
    let PasswordReset { token, new_password } = input::json(exchange.request)?;
    exchange.ports.reset_password(&exchange.ctx, &token, &new_password)?;
    Ok(reply::nothing())
}

/// Marks the address as verified with the token from the mail.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/email/verify", tag = "accounts",
    request_body = EmailVerification, responses((status = 200, body = User))))]
pub fn verify_email(exchange: &Exchange<'_>) -> Answer {
    let EmailVerification { token } = input::json(exchange.request)?;
    let profile = exchange.ports.verify_email(&exchange.ctx, &token)?;
    Ok(reply::json(200, &User::from(profile)))
}

impl From<user::Session> for Session {
    fn from(session: user::Session) -> Self {
        Self {
            id: session.id,
            token_type: "Bearer",
            access_token: session.access_token,
            access_expires_at: Timestamp(session.access_expires_at),
            refresh_token: session.refresh_token,
            refresh_expires_at: Timestamp(session.refresh_expires_at),
            user: session.profile.into(),
        }
    }
}
