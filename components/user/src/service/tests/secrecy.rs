//! What must not be told: whether an address has an account, and any secret that is kept.

use super::*;
use crate::service::credentials;

#[test]
fn an_unknown_address_costs_the_same_calls_as_a_known_one() {
    let calls_of = |attempt: &dyn Fn(&Shop, u64) -> String, number: u64| {
        let shop = Shop::new();
        shop.registered(1);
        shop.registered(2);
        use_accounts::disable(&shop, &shop.as_system(), &user_id(2)).expect("staff may");
        shop.take_calls();
        let outcome = attempt(&shop, number);
        (outcome, shop.take_calls())
    };
    let sign_in = |shop: &Shop, number| case(&shop.sign_in(number, OTHER_PASSWORD));
    let right = |shop: &Shop, number| case(&shop.sign_in(number, PASSWORD));
    let reset = |shop: &Shop, number| {
        case(&credentials::request_password_reset(shop, &shop.guest(), &email(number), shop.entropy()))
    };
    let (known, disabled, unknown) = (1, 2, 3);
    assert_eq!(calls_of(&sign_in, known), calls_of(&sign_in, unknown));
    assert_eq!(calls_of(&right, disabled), calls_of(&sign_in, unknown));
    assert_eq!(calls_of(&reset, known), calls_of(&reset, unknown));
    assert_eq!(calls_of(&reset, disabled), calls_of(&reset, unknown));
    assert!(calls_of(&reset, unknown).1.contains(&"commit".to_owned()), "both wait for the disk");
    assert_eq!(calls_of(&sign_in, unknown).1.iter().filter(|call| *call == "verify").count(), 1);
}

#[test]
fn an_unknown_address_is_throttled_like_a_known_one() {
    let shop = Shop::new();
    shop.registered(1);
    let outcomes = |number| (0..12).map(|_| case(&shop.sign_in(number, OTHER_PASSWORD))).collect::<Vec<_>>();
    assert_eq!(outcomes(1), outcomes(2));
}

#[test]
fn no_table_holds_a_secret() {
    let shop = Shop::new();
    let (session, verification) = shop.registered(1);
    let renewed = shop.refresh(&session.refresh_token).expect("the present token");
    credentials::request_password_reset(&shop, &shop.guest(), &email(1), shop.entropy()).expect("few were sent");
    let password_reset = shop.mailed("user.password-reset-requested");
    let parts = |token: &str| token.split('_').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let mut secrets = vec![verification, password_reset];
    secrets.extend(parts(&session.refresh_token));
    secrets.extend(parts(&renewed.refresh_token));
    for secret in secrets {
        for (table, columns) in [
            ("user_sessions", "id || device || family_hash || token_hash || previous_hash || successor_salt"),
            ("user_mail_tokens", "user_id || token_hash"),
            ("user_users", "id || email || name || password_hash"),
        ] {
            let found = format!("SELECT count(*) FROM {table} WHERE instr({columns}, '{secret}') > 0");
            assert_eq!(shop.ports.integer(&found), 0, "{table}");
        }
    }
}
