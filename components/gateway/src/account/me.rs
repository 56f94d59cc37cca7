//! The account of whoever is signed in: profile, password, sessions.

use serde::{Deserialize, Serialize};
use souk_kit::http::Response;
use souk_kit::user;

use crate::exchange::Exchange;
use crate::input;
use crate::problem::Problem;
use crate::reply;
use crate::routes::{Access, Answer, Keyed, Route};
use crate::shapes::Timestamp;

/// The routes of this file.
pub const ROUTES: &[Route] = &[
    Route::get("me", Access::SignedIn, get_me),
    Route::set("PATCH", "me", Access::SignedIn, change_me),
    Route::post("password/change", Access::SignedIn, Keyed::Derived, change_password),
    Route::post("email/verification", Access::SignedIn, Keyed::Optional, request_verification),
    Route::get("sessions", Access::SignedIn, list_sessions),
    Route::set("DELETE", "sessions/{id}", Access::SignedIn, end_session),
];

/// What a user may do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub enum Role {
    /// Buys.
    Shopper,
    /// Runs the shop through the admin API.
    Staff,
}

/// An account.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct User {
    /// `usr_...`
    pub id: String,
    /// Mail address, as it was typed.
    pub email: String,
    /// Whether the owner has proved that mail arrives.
    pub email_verified: bool,
    /// Display name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// A disabled account cannot sign in.
    pub disabled: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Raised by every change; what If-Match names.
    pub version: u64,
}

/// What changes of one's profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct ProfileChange {
    /// Display name.
    #[cfg_attr(not(target_arch = "wasm32"), schema(min_length = 1, max_length = 200))]
    pub name: String,
}

/// A new password, and the one before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct PasswordChange {
    /// The present password.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Password))]
    pub current_password: String,
    /// The new one.
    #[cfg_attr(not(target_arch = "wasm32"), schema(format = Password, min_length = 10, max_length = 1024))]
    pub new_password: String,
}

/// An open session.
#[derive(Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(utoipa::ToSchema))]
pub struct SessionSummary {
    /// `ses_...`
    pub id: String,
    /// What the client said of itself.
    pub device: String,
    /// Whether it is the session of this request.
    pub current: bool,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last renewed.
    pub renewed_at: Timestamp,
}

/// Reads one's profile.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/auth/me", tag = "accounts",
    responses((status = 200, body = User))))]
pub fn get_me(exchange: &Exchange<'_>) -> Answer {
    Ok(rendered(exchange.ports.get_profile(&exchange.ctx, &exchange.user().user_id)?))
}

/// Changes one's profile.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(patch, path = "/api/v1/auth/me", tag = "accounts",
    params(("if-match" = Option<String>, Header, description = "The entity tag that was read.")),
    request_body = ProfileChange, responses((status = 200, body = User))))]
pub fn change_me(exchange: &Exchange<'_>) -> Answer {
    let ProfileChange { name } = input::json(exchange.request)?;
    let version = exchange.if_match()?.version();
    let profile = exchange
        .ports
        .set_name(&exchange.ctx, &exchange.user().user_id, &name, version)
        .map_err(|error| Problem::from(error).if_named(version))?;
    Ok(rendered(profile))
}

/// Replaces one's password, and ends every other session.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/password/change", tag = "accounts",
    request_body = PasswordChange, responses((status = 204))))]
pub fn change_password(exchange: &Exchange<'_>) -> Answer {
    let PasswordChange { current_password, new_password } = input::json(exchange.request)?;
    let bearer = exchange.user();
    exchange.ports.change_password(
        &exchange.ctx,
        &bearer.user_id,
        &bearer.session_id,
        &current_password,
        &new_password,
    )?;
    Ok(reply::nothing())
}

/// Sends a new verification token to one's address. Nothing happens when it is verified already.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(post, path = "/api/v1/auth/email/verification", tag = "accounts",
    responses((status = 202))))]
pub fn request_verification(exchange: &Exchange<'_>) -> Answer {
    exchange.ports.request_verification(&exchange.ctx, &exchange.user().user_id)?;
    Ok(reply::accepted())
}

/// Lists one's open sessions, newest first.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(get, path = "/api/v1/auth/sessions", tag = "accounts",
    responses((status = 200, body = crate::shapes::List<SessionSummary>))))]
pub fn list_sessions(exchange: &Exchange<'_>) -> Answer {
    let bearer = exchange.user();
    let sessions = exchange.ports.list_sessions(&exchange.ctx, &bearer.user_id)?;
    let summaries = sessions.into_iter().map(|session| SessionSummary {
        current: session.id == bearer.session_id,
        id: session.id,
        device: session.device,
        created_at: Timestamp(session.created_at),
        renewed_at: Timestamp(session.renewed_at),
    });
    Ok(reply::list(summaries.collect()))
}

/// Ends one of one's sessions. A repeat is harmless.
#[cfg_attr(not(target_arch = "wasm32"), utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", tag = "accounts",
    params(("id" = String, Path, description = "`ses_...`")), responses((status = 204))))]
pub fn end_session(exchange: &Exchange<'_>) -> Answer {
    let id = exchange.id("id", "ses")?;
    exchange.ports.end_session(&exchange.ctx, &exchange.user().user_id, id)?;
    Ok(reply::nothing())
}

fn rendered(profile: user::Profile) -> Response {
    let tag = reply::tag(profile.version);
    reply::json(200, &User::from(profile)).with("etag", tag)
}

impl From<user::Role> for Role {
    fn from(role: user::Role) -> Self {
        match role {
            user::Role::Shopper => Self::Shopper,
            user::Role::Staff => Self::Staff,
        }
    }
}

impl From<Role> for user::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Shopper => Self::Shopper,
            Role::Staff => Self::Staff,
        }
    }
}

impl From<user::Profile> for User {
    fn from(profile: user::Profile) -> Self {
        Self {
            id: profile.id,
            email: profile.email,
            email_verified: profile.email_verified,
            name: profile.name,
            role: profile.role.into(),
            disabled: profile.disabled,
            created_at: Timestamp(profile.created_at),
            version: profile.version,
        }
    }
}
