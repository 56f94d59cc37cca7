//! One visit to one page: who is asking, with which cart, and which cookies the answer sets.

use std::cell::RefCell;

use souk_kit::http::{Request, Response};
use souk_kit::tokens::{self, Claims};
use souk_kit::types::{Actor, Context, Id, Instant};
use souk_kit::user::Session;
use souk_kit::{cart, ids};

use crate::cookies;
use crate::shop::Shop;

/// Random bytes that one request may use.
pub const ENTROPY_BYTES: usize = 64;

/// What a request is about before its page is chosen.
pub struct Visit<'a, S> {
    /// The services.
    pub shop: &'a S,
    /// The request.
    pub request: &'a Request,
    /// The present.
    pub now: Instant,
    /// Who is signed in.
    pub claims: Option<Claims>,
    /// On whose behalf the services are called.
    pub ctx: Context,
    /// The double-submit token of this browser.
    pub csrf: String,
    entropy: [u8; ENTROPY_BYTES],
    set_cookies: RefCell<Vec<String>>,
    cart: RefCell<Option<(Id, u32)>>,
}

impl<'a, S: Shop> Visit<'a, S> {
    /// Reads the cookies; renews a session whose access token has expired.
    pub fn begin(shop: &'a S, request: &'a Request, now: Instant, entropy: [u8; ENTROPY_BYTES]) -> Self {
        let guest = Context { request_id: request.id.clone(), actor: Actor::Guest, client: request.client.clone() };
        let known = request
            .cookie(cookies::CSRF)
            .filter(|token| token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()));
        let csrf = known.map_or_else(|| ids::hex(&entropy[..16]), str::to_owned);
        let mut visit = Self {
            shop,
            request,
            now,
            claims: None,
            ctx: guest,
            entropy,
            set_cookies: RefCell::default(),
            cart: RefCell::new(request.cookie(cookies::CART).and_then(parse_cart)),
            csrf,
        };
        if known.is_none() {
            visit.set_cookie(cookies::set(cookies::CSRF, &visit.csrf, cookies::MONTH_SECONDS));
        }
        visit.claims = visit.signed_in();
        if let Some(claims) = &visit.claims {
            visit.ctx.actor = Actor::User(claims.user_id.clone());
        }
        visit
    }

    fn signed_in(&self) -> Option<Claims> {
        let key = self.shop.get("token_public_key")?;
        let access = self.request.cookie(cookies::ACCESS);
        if let Some(claims) = access.and_then(|token| tokens::verify(&key, token, self.now)) {
            return Some(claims);
        }
        let refresh = self.request.cookie(cookies::REFRESH).filter(|token| !token.is_empty())?;
        match self.shop.refresh(&self.ctx, refresh) {
            Ok(session) => {
                self.keep_session(&session);
                tokens::verify(&key, &session.access_token, self.now)
            }
            Err(souk_kit::user::UserError::InvalidToken) => {
                self.forget_session();
                None
            }
            // The service is away or busy: the session may still be good, so its cookies stay.
            Err(_) => None,
        }
    }

    /// Sets the cookies of a session that was opened or renewed.
    pub fn keep_session(&self, session: &Session) {
        let access_seconds = ((session.access_expires_at - self.now) / 1000).max(0);
        let refresh_seconds = ((session.refresh_expires_at - self.now) / 1000).max(0);
        self.set_cookie(cookies::set(cookies::ACCESS, &session.access_token, access_seconds));
        self.set_cookie(cookies::set(cookies::REFRESH, &session.refresh_token, refresh_seconds));
    }

    /// Forgets the session and its cart.
    pub fn forget_session(&self) {
        self.set_cookie(cookies::clear(cookies::ACCESS));
        self.set_cookie(cookies::clear(cookies::REFRESH));
        self.forget_cart();
    }

    /// The cart of this browser, if it has one that is known.
    pub fn cart_id(&self) -> Option<Id> {
        self.cart.borrow().as_ref().map(|(id, _)| id.clone())
    }

    /// Units in the cart, as it was when this browser last changed it.
    pub fn cart_units(&self) -> u32 {
        self.cart.borrow().as_ref().map_or(0, |(_, units)| *units)
    }

    /// Remembers a cart.
    pub fn keep_cart(&self, view: &cart::CartView) {
        let units = view.lines.iter().map(|line| line.quantity).sum();
        let kept = Some((view.id.clone(), units));
        if *self.cart.borrow() != kept {
            self.set_cookie(cookies::set(cookies::CART, &format!("{}~{units}", view.id), cookies::MONTH_SECONDS));
            self.cart.replace(kept);
        }
    }

    /// Forgets the cart.
    pub fn forget_cart(&self) {
        if self.cart.take().is_some() {
            self.set_cookie(cookies::clear(cookies::CART));
        }
    }

    /// Adds a `set-cookie` header to the answer.
    pub fn set_cookie(&self, cookie: String) {
        self.set_cookies.borrow_mut().push(cookie);
    }

    /// An id minted for this request; `part` tells several apart, from 0 to 3.
    pub fn mint(&self, prefix: &str, part: usize) -> Id {
        let from = 16 + part * 10;
        let random = self.entropy[from..from + 10].try_into().expect("ten bytes were taken");
        ids::mint(prefix, self.now, random)
    }

    /// A cart id: sixteen random bytes, since whoever knows it may use it.
    pub fn mint_cart(&self) -> Id {
        format!("cart_{}", ids::hex(&self.entropy[ENTROPY_BYTES - 16..]))
    }

    /// What the browser says of itself, cut to what a session keeps.
    pub fn device(&self) -> String {
        self.request.header("user-agent").unwrap_or_default().chars().take(200).collect()
    }

    /// Adds the cookies and the headers that every page has.
    pub fn finish(self, mut response: Response) -> Response {
        for cookie in self.set_cookies.take() {
            response = response.with("set-cookie", cookie);
        }
        if response.header("cache-control").is_none() {
            response = response.with("cache-control", "private, no-store");
        }
        if response.header("content-security-policy").is_none() {
            response = response.with("content-security-policy", CONTENT_SECURITY_POLICY);
        }
        response
            .with("x-content-type-options", "nosniff")
            .with("referrer-policy", "same-origin")
            .with("cross-origin-opener-policy", "same-origin")
    }
}

/// Nothing runs, nothing is framed, nothing is loaded but our own styles and pictures. A form may end at a provider's
/// page, or at that of its simulator on this machine.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'self' https: http://127.0.0.1:*; base-uri 'none'; frame-ancestors 'none'";

fn parse_cart(cookie: &str) -> Option<(Id, u32)> {
    let (id, units) = cookie.split_once('~')?;
    ids::is_id("cart", id).then(|| (id.to_owned(), units.parse().unwrap_or(0)))
}
