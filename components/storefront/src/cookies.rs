//! The cookies of the storefront. All are `__Host-`, so no other host and no plain connection can set them.

/// Signed access token.
pub const ACCESS: &str = "__Host-access";
/// Refresh token.
pub const REFRESH: &str = "__Host-refresh";
/// Cart id and the units in it, `cart_...~3`.
pub const CART: &str = "__Host-cart";
/// The double-submit token.
pub const CSRF: &str = "__Host-csrf";
/// The order that a guest placed last, `ord_...~token`: lets the return from the payment provider find it.
pub const ORDER: &str = "__Host-order";

/// How long a cart and a session are remembered, in seconds: 30 days.
pub const MONTH_SECONDS: i64 = 30 * 24 * 3600;
/// How long a guest's last order is remembered, in seconds.
pub const DAY_SECONDS: i64 = 24 * 3600;

/// A `set-cookie` value that scripts cannot read.
pub fn set(name: &str, value: &str, max_age_seconds: i64) -> String {
    format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; Secure; HttpOnly; SameSite=Lax")
}

/// A `set-cookie` value that forgets a cookie.
pub fn clear(name: &str) -> String {
    set(name, "", 0)
}
