//! Signing in and out, and what an account holds.

use askama::Template;
use souk_kit::cart::CartError;
use souk_kit::http::{Response, encode};
use souk_kit::order::OrderQuery;
use souk_kit::types::{Address, Id, PageRequest};
use souk_kit::user::{Profile, Registration, SavedAddress, Session, SessionSummary, UserError};

use super::layout::{self, Layout};
use super::order::{fulfillment_words, payment_words};
use crate::app::{Failure, Page};
use crate::cookies;
use crate::countries::COUNTRIES;
use crate::forms::{Form, explain};
use crate::shop::Shop;
use crate::visit::Visit;

/// Orders on the account page.
const ORDERS_SHOWN: u32 = 20;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Layout,
    email: String,
    next: String,
    register_path: String,
    notices: Vec<String>,
}

impl SignInPage {
    fn new<S: Shop>(visit: &Visit<'_, S>, email: String, next: String, notices: Vec<String>) -> Self {
        let register_path = format!("/account/register?next={}", encode(&next));
        Self { page: Layout::new(visit, "Sign in"), email, next, register_path, notices }
    }
}

/// Where to go after signing in: a path of this shop and nothing else.
fn next<S>(visit: &Visit<'_, S>) -> String {
    let pairs = visit.request.query_pairs();
    local(pairs.into_iter().find_map(|(name, value)| (name == "next").then_some(value)).unwrap_or_default())
}

fn local(path: String) -> String {
    let sound = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace() || !c.is_ascii());
    if sound { path } else { "/account".to_owned() }
}

/// The form to sign in.
pub fn sign_in_form<S: Shop>(visit: &Visit<'_, S>) -> Page {
    Ok(layout::html(200, &SignInPage::new(visit, String::new(), next(visit), Vec::new())))
}

/// Opens a session and takes the guest's cart along.
pub fn sign_in<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let email = form.text("email");
    let next = local(form.text("next"));
    match visit.shop.sign_in(&visit.ctx, &email, form.raw("password"), &visit.device()) {
        Ok(session) => {
            welcome(visit, &session);
            Ok(Response::see_other(&next))
        }
        Err(error) => {
            let notices = refusal(error)?;
            Ok(layout::html(422, &SignInPage::new(visit, email, next, notices)))
        }
    }
}

/// Keeps the session, and makes the guest's cart the user's. A cart that cannot be claimed is left alone.
fn welcome<S: Shop>(visit: &Visit<'_, S>, session: &Session) {
    visit.keep_session(session);
    let user_id = &session.profile.id;
    let mut ctx = visit.ctx.clone();
    ctx.actor = souk_kit::Actor::User(user_id.clone());
    let cart = match visit.cart_id() {
        Some(cart_id) => visit.shop.claim_cart(&ctx, &cart_id, user_id),
        None => Err(CartError::NotFound),
    };
    if let Ok(cart) = cart.or_else(|_| visit.shop.get_cart_for_user(&ctx, user_id)) {
        visit.keep_cart(&cart);
    }
}

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage {
    page: Layout,
    name: String,
    email: String,
    user_id: Id,
    next: String,
    notices: Vec<String>,
}

/// The form to make an account. It carries the account's id, so sending it twice makes one account.
pub fn register_form<S: Shop>(visit: &Visit<'_, S>) -> Page {
    let page = Layout::new(visit, "Create an account");
    let blank = String::new;
    let user_id = visit.mint("usr", 0);
    Ok(layout::html(
        200,
        &RegisterPage { page, name: blank(), email: blank(), user_id, next: next(visit), notices: Vec::new() },
    ))
}

/// Makes an account and opens its first session.
pub fn register<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let (name, email, next) = (form.text("name"), form.text("email"), local(form.text("next")));
    let user_id = form.text("user_id");
    let registration = Registration {
        user_id: user_id.clone(),
        email: email.clone(),
        password: form.raw("password").to_owned(),
        name: name.clone(),
    };
    match visit.shop.register(&visit.ctx, &registration, &visit.device()) {
        Ok(session) => {
            welcome(visit, &session);
            Ok(Response::see_other(&next))
        }
        Err(error) => {
            let notices = refusal(error)?;
            let page = Layout::new(visit, "Create an account");
            Ok(layout::html(422, &RegisterPage { page, name, email, user_id, next, notices }))
        }
    }
}

/// Ends the session and forgets it.
pub fn sign_out<S: Shop>(visit: &Visit<'_, S>) -> Page {
    if let Some(token) = visit.request.cookie(cookies::REFRESH) {
        visit.shop.sign_out(&visit.ctx, token)?;
    }
    visit.forget_session();
    Ok(Response::see_other("/"))
}

#[derive(Template)]
#[template(path = "simple_form.html")]
struct SimpleForm {
    page: Layout,
    action: &'static str,
    lead: String,
    field: Option<Field>,
    token: String,
    button: &'static str,
    notices: Vec<String>,
    done: bool,
}

/// The one field of a simple form.
struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
}

impl SimpleForm {
    fn forgot<S: Shop>(visit: &Visit<'_, S>) -> Self {
        Self {
            page: Layout::new(visit, "Forgot your password?"),
            action: "/account/forgot",
            lead: "Tell us your e-mail address, and we send you a link to set a new password.".to_owned(),
            field: Some(Field { name: "email", label: "E-mail", kind: "email", autocomplete: "email" }),
            token: String::new(),
            button: "Send the link",
            notices: Vec::new(),
            done: false,
        }
    }

    fn reset<S: Shop>(visit: &Visit<'_, S>, token: String) -> Self {
        Self {
            page: Layout::new(visit, "Set a new password"),
            action: "/account/reset",
            lead: "Ten characters or more. All devices that are signed in now will be signed out.".to_owned(),
            field: Some(Field {
                name: "password",
                label: "New password",
                kind: "password",
                autocomplete: "new-password",
            }),
            token,
            button: "Set the password",
            notices: Vec::new(),
            done: false,
        }
    }

    fn verify<S: Shop>(visit: &Visit<'_, S>, token: String) -> Self {
        Self {
            page: Layout::new(visit, "Confirm your e-mail address"),
            action: "/account/verify",
            lead: "One click, and we know that our mail reaches you.".to_owned(),
            field: None,
            token,
            button: "Confirm",
            notices: Vec::new(),
            done: false,
        }
    }

    fn finished(mut self, lead: &str) -> Page {
        self.lead = lead.to_owned();
        self.done = true;
        Ok(layout::html(200, &self))
    }

    fn refused(mut self, error: UserError) -> Page {
        self.notices = refusal(error)?;
        Ok(layout::html(422, &self))
    }
}

fn token<S>(visit: &Visit<'_, S>) -> String {
    let pairs = visit.request.query_pairs();
    pairs.into_iter().find_map(|(name, value)| (name == "token").then_some(value)).unwrap_or_default()
}

/// The form that asks for a reset link.
pub fn forgot_form<S: Shop>(visit: &Visit<'_, S>) -> Page {
    Ok(layout::html(200, &SimpleForm::forgot(visit)))
}

/// Sends a reset link. The answer is the same whether the address has an account or not.
pub fn forgot<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    match visit.shop.request_password_reset(&visit.ctx, &form.text("email")) {
        Ok(()) => SimpleForm::forgot(visit)
            .finished("If there is an account with this address, a link is on its way. It works for an hour."),
        Err(error) => SimpleForm::forgot(visit).refused(error),
    }
}

/// The form that sets a new password.
pub fn reset_form<S: Shop>(visit: &Visit<'_, S>) -> Page {
    Ok(layout::html(200, &SimpleForm::reset(visit, token(visit))))
}

/// Sets a new password.
pub fn reset<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let token = form.text("token");
    match visit.shop.reset_password(&visit.ctx, &token, form.raw("password")) {
        Ok(()) => SimpleForm::reset(visit, token).finished("Your password is set. You can sign in with it now."),
        Err(error) => SimpleForm::reset(visit, token).refused(error),
    }
}

/// The form that confirms an address: a button, so that a mail scanner that follows links confirms nothing.
pub fn verify_form<S: Shop>(visit: &Visit<'_, S>) -> Page {
    Ok(layout::html(200, &SimpleForm::verify(visit, token(visit))))
}

/// Confirms an address.
pub fn verify<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let token = form.text("token");
    match visit.shop.verify_email(&visit.ctx, &token) {
        Ok(_) => SimpleForm::verify(visit, token).finished("Thank you. Your address is confirmed."),
        Err(error) => SimpleForm::verify(visit, token).refused(error),
    }
}

/// An order in the list.
struct OrderRow {
    id: Id,
    number: String,
    placed_at: String,
    status: String,
    total: String,
}

/// A session in the list.
struct SessionRow {
    id: Id,
    device: String,
    renewed_at: String,
    this: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Layout,
    profile: Profile,
    orders: Vec<OrderRow>,
    addresses: Vec<SavedAddress>,
    sessions: Vec<SessionRow>,
    new_address_id: Id,
    countries: &'static [(&'static str, &'static str)],
    draft: Address,
    notices: Vec<String>,
}

/// Shows an account: orders, addresses, sessions.
pub fn show<S: Shop>(visit: &Visit<'_, S>) -> Page {
    let draft = Address { country: "US".to_owned(), ..empty_address() };
    account_page(visit, draft, Vec::new())
}

fn empty_address() -> Address {
    Form::default().address()
}

fn account_page<S: Shop>(visit: &Visit<'_, S>, draft: Address, notices: Vec<String>) -> Page {
    let user_id = user_id(visit)?;
    let profile = visit.shop.get_profile(&visit.ctx, &user_id)?;
    let query = OrderQuery { user_id: Some(user_id.clone()), state: None, search: String::new() };
    let orders = visit.shop.list_orders(&visit.ctx, &query, &PageRequest { cursor: None, limit: ORDERS_SHOWN })?;
    let this = visit.claims.as_ref().map(|claims| claims.session_id.clone());
    let session = |session: SessionSummary| SessionRow {
        this: this.as_ref() == Some(&session.id),
        device: if session.device.is_empty() { "Unknown device".to_owned() } else { session.device },
        renewed_at: layout::date(session.renewed_at),
        id: session.id,
    };
    let order = |order: souk_kit::order::OrderSummary| OrderRow {
        placed_at: layout::date(order.placed_at),
        status: format!(
            "{}, {}",
            payment_words(order.payment_status),
            fulfillment_words(order.fulfillment_status).to_lowercase()
        ),
        total: layout::price(&order.total),
        id: order.id,
        number: order.number,
    };
    let template = AccountPage {
        page: Layout::new(visit, "Your account"),
        profile,
        orders: orders.items.into_iter().map(order).collect(),
        addresses: visit.shop.list_addresses(&visit.ctx, &user_id)?,
        sessions: visit.shop.list_sessions(&visit.ctx, &user_id)?.into_iter().map(session).collect(),
        new_address_id: visit.mint("adr", 0),
        countries: &COUNTRIES,
        draft,
        notices,
    };
    Ok(layout::html(if template.notices.is_empty() { 200 } else { 422 }, &template))
}

fn user_id<S: Shop>(visit: &Visit<'_, S>) -> Result<Id, Failure> {
    let claims = visit.claims.as_ref().ok_or_else(|| Failure::SignIn("/account".to_owned()))?;
    Ok(claims.user_id.clone())
}

/// Adds an address to the book.
pub fn set_address<S: Shop>(visit: &Visit<'_, S>, form: &Form) -> Page {
    let user_id = user_id(visit)?;
    let address = form.address();
    let saved = SavedAddress {
        id: form.text("address_id"),
        address: address.clone(),
        default_shipping: form.has("default_shipping"),
        default_billing: form.has("default_billing"),
    };
    match visit.shop.set_address(&visit.ctx, &user_id, &saved) {
        Ok(_) => Ok(Response::see_other("/account#addresses")),
        Err(error) => account_page(visit, address, refusal(error)?),
    }
}

/// Removes an address from the book.
pub fn delete_address<S: Shop>(visit: &Visit<'_, S>, address_id: &str) -> Page {
    visit.shop.delete_address(&visit.ctx, &user_id(visit)?, address_id)?;
    Ok(Response::see_other("/account#addresses"))
}

/// Ends another session of the user.
pub fn end_session<S: Shop>(visit: &Visit<'_, S>, session_id: &str) -> Page {
    visit.shop.end_session(&visit.ctx, &user_id(visit)?, session_id)?;
    Ok(Response::see_other("/account#sessions"))
}

/// Why the account service refused, in words; or a failure that no words on the page help with.
fn refusal(error: UserError) -> Result<Vec<String>, Failure> {
    Ok(match error {
        UserError::Invalid(errors) => explain(&errors),
        UserError::EmailTaken => {
            vec!["There is an account with this address already. Sign in, or set a new password.".to_owned()]
        }
        UserError::WrongCredentials => vec!["The address and the password do not belong together.".to_owned()],
        UserError::InvalidToken => vec!["This link was used already or is too old. Ask for a new one.".to_owned()],
        UserError::Throttled(seconds) => vec![format!("Too many tries. Please wait {} and try again.", wait(seconds))],
        UserError::LimitReached => vec!["There is no room for another one.".to_owned()],
        UserError::NotFound | UserError::Conflict | UserError::StorageFull | UserError::Unavailable(_) => {
            return Err(error.into());
        }
    })
}

fn wait(seconds: u32) -> String {
    match seconds {
        ..=1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_stays_in_the_shop() {
        for (asked, gone) in [
            ("/checkout", "/checkout"),
            ("/orders/ord_1?token=a", "/orders/ord_1?token=a"),
            ("//evil.example", "/account"),
            ("/\\evil.example", "/account"),
            ("https://evil.example", "/account"),
            ("/a\r\nset-cookie: x", "/account"),
            ("", "/account"),
        ] {
            assert_eq!(local(asked.to_owned()), gone, "{asked}");
        }
    }
}
