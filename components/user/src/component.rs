//! The component: bindings, conversions and exports. The only place with a clock and randomness.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::audit;
use bindings::exports::souk::shop::user::{self as wit, UserError};
use souk_kit::guest::{self, Host};
use souk_kit::types::{Context, PageRequest};
use souk_kit::user as kit;

use crate::domain::secret::Entropy;
use crate::service::{self, accounts, addresses, credentials, registration, sessions};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "user-service",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "wasi:random/random@0.2.0": souk_kit::bindings::wasi::random::random,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/events@0.1.0": souk_kit::bindings::souk::shop::events,
            "souk:shop/sql@0.1.0": souk_kit::bindings::souk::shop::sql,
            "souk:shop/kv@0.1.0": souk_kit::bindings::souk::shop::kv,
            "souk:shop/passwords@0.1.0": souk_kit::bindings::souk::shop::passwords,
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
        },
    });
}

struct Component;

fn entropy() -> Entropy {
    Entropy::new(guest::entropy())
}

impl wit::Guest for Component {
    fn register(ctx: Context, registration: wit::Registration, device: String) -> Result<wit::Session, UserError> {
        let registration = registration.into();
        answer(registration::register(&Host, &guest::start(ctx), &registration, &device, entropy()))
    }

    fn sign_in(ctx: Context, email: String, password: String, device: String) -> Result<wit::Session, UserError> {
        answer(sessions::sign_in(&Host, &guest::start(ctx), &email, &password, &device, entropy()))
    }

    fn refresh(ctx: Context, refresh_token: String) -> Result<wit::Session, UserError> {
        answer(sessions::refresh(&Host, &guest::start(ctx), &refresh_token, entropy()))
    }

    fn sign_out(ctx: Context, refresh_token: String) -> Result<(), UserError> {
        answer(sessions::sign_out(&Host, &guest::start(ctx), &refresh_token))
    }

    fn list_sessions(ctx: Context, user_id: String) -> Result<Vec<wit::SessionSummary>, UserError> {
        list(sessions::list_sessions(&Host, &guest::start(ctx), &user_id))
    }

    fn end_session(ctx: Context, user_id: String, session_id: String) -> Result<(), UserError> {
        answer(sessions::end_session(&Host, &guest::start(ctx), &user_id, &session_id))
    }

    fn change_password(
        ctx: Context,
        user_id: String,
        session_id: String,
        current_password: String,
        new_password: String,
    ) -> Result<(), UserError> {
        let change = credentials::PasswordChange {
            user_id: &user_id,
            session_id: &session_id,
            current: &current_password,
            new: &new_password,
        };
        answer(credentials::change_password(&Host, &guest::start(ctx), &change, entropy()))
    }

    fn request_password_reset(ctx: Context, email: String) -> Result<(), UserError> {
        answer(credentials::request_password_reset(&Host, &guest::start(ctx), &email, entropy()))
    }

    fn reset_password(ctx: Context, token: String, new_password: String) -> Result<(), UserError> {
        answer(credentials::reset_password(&Host, &guest::start(ctx), &token, &new_password, entropy()))
    }

    fn request_verification(ctx: Context, user_id: String) -> Result<(), UserError> {
        answer(credentials::request_verification(&Host, &guest::start(ctx), &user_id, entropy()))
    }

    fn verify_email(ctx: Context, token: String) -> Result<wit::Profile, UserError> {
        answer(credentials::verify_email(&Host, &guest::start(ctx), &token, entropy()))
    }

    fn get_profile(ctx: Context, user_id: String) -> Result<wit::Profile, UserError> {
        answer(accounts::get_profile(&Host, &guest::start(ctx), &user_id))
    }

    fn set_name(ctx: Context, user_id: String, name: String, version: Option<u64>) -> Result<wit::Profile, UserError> {
        answer(accounts::set_name(&Host, &guest::start(ctx), &user_id, &name, version))
    }

    fn list_addresses(ctx: Context, user_id: String) -> Result<Vec<wit::SavedAddress>, UserError> {
        list(addresses::list_addresses(&Host, &guest::start(ctx), &user_id))
    }

    fn set_address(ctx: Context, user_id: String, address: wit::SavedAddress) -> Result<wit::SavedAddress, UserError> {
        answer(addresses::set_address(&Host, &guest::start(ctx), &user_id, &address.into()))
    }

    fn delete_address(ctx: Context, user_id: String, address_id: String) -> Result<(), UserError> {
        answer(addresses::delete_address(&Host, &guest::start(ctx), &user_id, &address_id))
    }

    fn list_users(ctx: Context, search: String, page: PageRequest) -> Result<wit::UserPage, UserError> {
        answer(accounts::list_users(&Host, &guest::start(ctx), &search, &page))
    }

    fn set_role(ctx: Context, user_id: String, role: wit::Role) -> Result<wit::Profile, UserError> {
        answer(accounts::set_role(&Host, &guest::start(ctx), &user_id, role.into()))
    }

    fn set_disabled(ctx: Context, user_id: String, disabled: bool) -> Result<wit::Profile, UserError> {
        let set = if disabled { accounts::disable } else { accounts::enable };
        answer(set(&Host, &guest::start(ctx), &user_id))
    }

    fn create_first_staff(
        ctx: Context,
        setup_token: String,
        registration: wit::Registration,
        device: String,
    ) -> Result<wit::Session, UserError> {
        let (call, registration) = (guest::start(ctx), registration.into());
        answer(registration::create_first_staff(&Host, &call, &setup_token, &registration, &device, entropy()))
    }
}

impl audit::Guest for Component {
    fn check(ctx: Context, cursor: Option<String>) -> Result<audit::AuditPage, String> {
        let page = service::audit::check(&Host, &guest::start(ctx), cursor)?;
        let findings = page.findings.into_iter().map(|finding| audit::Finding {
            invariant: finding.invariant.to_owned(),
            subject: finding.subject,
            detail: finding.detail,
        });
        Ok(audit::AuditPage { checked: page.checked, findings: findings.collect(), next: page.next })
    }
}

fn answer<T, W: From<T>>(result: Result<T, kit::UserError>) -> Result<W, UserError> {
    result.map(Into::into).map_err(Into::into)
}

fn list<T, W: From<T>>(result: Result<Vec<T>, kit::UserError>) -> Result<Vec<W>, UserError> {
    result.map(|items| items.into_iter().map(Into::into).collect()).map_err(Into::into)
}

impl From<wit::Registration> for kit::Registration {
    fn from(it: wit::Registration) -> Self {
        Self { user_id: it.user_id, email: it.email, password: it.password, name: it.name }
    }
}

impl From<wit::Role> for kit::Role {
    fn from(role: wit::Role) -> Self {
        match role {
            wit::Role::Shopper => Self::Shopper,
            wit::Role::Staff => Self::Staff,
        }
    }
}

impl From<kit::Role> for wit::Role {
    fn from(role: kit::Role) -> Self {
        match role {
            kit::Role::Shopper => Self::Shopper,
            kit::Role::Staff => Self::Staff,
        }
    }
}

impl From<kit::Profile> for wit::Profile {
    fn from(it: kit::Profile) -> Self {
        Self {
            id: it.id,
            email: it.email,
            email_verified: it.email_verified,
            name: it.name,
            role: it.role.into(),
            disabled: it.disabled,
            created_at: it.created_at,
            version: it.version,
        }
    }
}

impl From<kit::Session> for wit::Session {
    fn from(it: kit::Session) -> Self {
        Self {
            id: it.id,
            access_token: it.access_token,
            access_expires_at: it.access_expires_at,
            refresh_token: it.refresh_token,
            refresh_expires_at: it.refresh_expires_at,
            profile: it.profile.into(),
        }
    }
}

impl From<kit::SessionSummary> for wit::SessionSummary {
    fn from(it: kit::SessionSummary) -> Self {
        Self { id: it.id, device: it.device, created_at: it.created_at, renewed_at: it.renewed_at }
    }
}

impl From<wit::SavedAddress> for kit::SavedAddress {
    fn from(it: wit::SavedAddress) -> Self {
        Self {
            id: it.id,
            address: it.address,
            default_shipping: it.default_shipping,
            default_billing: it.default_billing,
        }
    }
}

impl From<kit::SavedAddress> for wit::SavedAddress {
    fn from(it: kit::SavedAddress) -> Self {
        Self {
            id: it.id,
            address: it.address,
            default_shipping: it.default_shipping,
            default_billing: it.default_billing,
        }
    }
}

impl From<kit::UserPage> for wit::UserPage {
    fn from(it: kit::UserPage) -> Self {
        Self { items: it.items.into_iter().map(Into::into).collect(), next: it.next }
    }
}

impl From<kit::UserError> for UserError {
    fn from(error: kit::UserError) -> Self {
        match error {
            kit::UserError::Invalid(errors) => Self::Invalid(errors),
            kit::UserError::EmailTaken => Self::EmailTaken,
            kit::UserError::WrongCredentials => Self::WrongCredentials,
            kit::UserError::InvalidToken => Self::InvalidToken,
            kit::UserError::Throttled(seconds) => Self::Throttled(seconds),
            kit::UserError::NotFound => Self::NotFound,
            kit::UserError::LimitReached => Self::LimitReached,
            kit::UserError::Conflict => Self::Conflict,
            kit::UserError::StorageFull => Self::StorageFull,
            kit::UserError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

bindings::export!(Component with_types_in bindings);
