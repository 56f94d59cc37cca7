//! Changing a password, and tokens that are mailed.

use super::*;
use crate::service::credentials::{self, PasswordChange};

fn change(shop: &Shop, call: &Call, session_id: &str, current: &str, new: &str) -> String {
    let change = PasswordChange { user_id: &user_id(1), session_id, current, new };
    case(&credentials::change_password(shop, call, &change, shop.entropy()))
}

fn request_reset(shop: &Shop, email: &str) -> String {
    case(&credentials::request_password_reset(shop, &shop.guest(), email, shop.entropy()))
}

fn reset(shop: &Shop, token: &str, new: &str) -> String {
    case(&credentials::reset_password(shop, &shop.guest(), token, new, shop.entropy()))
}

fn request_verification(shop: &Shop, call: &Call) -> String {
    case(&credentials::request_verification(shop, call, &user_id(1), shop.entropy()))
}

fn verify(shop: &Shop, token: &str) -> Result<Profile, UserError> {
    credentials::verify_email(shop, &shop.guest(), token, shop.entropy())
}

#[test]
fn a_changed_password_ends_every_session_but_one() {
    let shop = Shop::new();
    let (kept, _) = shop.registered(1);
    let other = shop.sign_in(1, PASSWORD).expect("another device");
    let owner = shop.as_user(&user_id(1));
    for (current, new, outcome) in [
        (OTHER_PASSWORD, OTHER_PASSWORD, "wrong-credentials"),
        ("", OTHER_PASSWORD, "/current_password required"),
        (PASSWORD, "short", "/new_password out_of_range"),
        (PASSWORD, "user1@example.org", "/new_password malformed"),
        (PASSWORD, OTHER_PASSWORD, "ok"),
        (PASSWORD, OTHER_PASSWORD, "wrong-credentials"),
    ] {
        assert_eq!(change(&shop, &owner, &kept.id, current, new), outcome);
    }
    assert_eq!(case(&shop.refresh(&kept.refresh_token)), "ok");
    assert_eq!(case(&shop.refresh(&other.refresh_token)), "invalid-token");
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "wrong-credentials");
    assert_eq!(case(&shop.sign_in(1, OTHER_PASSWORD)), "ok");
}

#[test]
fn the_current_password_cannot_be_guessed_without_end() {
    let shop = Shop::new();
    shop.registered(1);
    let owner = shop.as_user(&user_id(1));
    for _ in 0..10 {
        assert_eq!(change(&shop, &owner, "", OTHER_PASSWORD, "yet another phrase"), "wrong-credentials");
    }
    assert_eq!(change(&shop, &owner, "", PASSWORD, OTHER_PASSWORD), "throttled 900");
}

#[test]
fn of_two_changes_of_a_password_at_once_one_is_refused() {
    let shop = Shop::new();
    shop.registered(1);
    shop.interrupt(|shop| assert_eq!(change(shop, &shop.as_user(&user_id(1)), "", PASSWORD, OTHER_PASSWORD), "ok"));
    assert_eq!(change(&shop, &shop.as_user(&user_id(1)), "", PASSWORD, "yet another phrase"), "wrong-credentials");
    assert_eq!(case(&shop.sign_in(1, OTHER_PASSWORD)), "ok");
}

#[test]
fn a_reset_token_sets_a_password_once_and_ends_all_sessions() {
    let shop = Shop::new();
    let (session, _) = shop.registered(1);
    assert_eq!(request_reset(&shop, "USER1@example.org"), "ok");
    let token = shop.mailed("user.password-reset-requested");
    assert_eq!(reset(&shop, &token, "short"), "/new_password out_of_range");
    assert_eq!(reset(&shop, &token, "User1@example.org"), "/new_password malformed");
    assert_eq!(reset(&shop, &token, OTHER_PASSWORD), "ok");
    assert_eq!(reset(&shop, &token, OTHER_PASSWORD), "invalid-token");
    assert_eq!(reset(&shop, &token, PASSWORD), "invalid-token");
    assert_eq!(case(&shop.refresh(&session.refresh_token)), "invalid-token");
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "wrong-credentials");
    assert_eq!(case(&shop.sign_in(1, OTHER_PASSWORD)), "ok");
    assert!(shop.profile(1).email_verified, "the token came by mail, so mail arrives");
    shop.audit();
}

#[test]
fn a_reset_token_lives_for_an_hour_and_until_the_next() {
    let shop = Shop::new();
    shop.registered(1);
    request_reset(&shop, &email(1));
    let first = shop.mailed("user.password-reset-requested");
    request_reset(&shop, &email(1));
    let second = shop.mailed("user.password-reset-requested");
    assert_eq!(reset(&shop, &first, OTHER_PASSWORD), "invalid-token");
    shop.ports.advance(HOUR);
    assert_eq!(reset(&shop, &second, OTHER_PASSWORD), "invalid-token");
    request_reset(&shop, &email(1));
    let third = shop.mailed("user.password-reset-requested");
    shop.ports.advance(HOUR - 1);
    assert_eq!(reset(&shop, &third, OTHER_PASSWORD), "ok");
}

#[test]
fn of_two_resets_with_one_token_at_once_one_is_refused() {
    let shop = Shop::new();
    shop.registered(1);
    request_reset(&shop, &email(1));
    let token = shop.mailed("user.password-reset-requested");
    let rival = token.clone();
    shop.interrupt(move |shop| assert_eq!(reset(shop, &rival, OTHER_PASSWORD), "ok"));
    assert_eq!(reset(&shop, &token, "yet another phrase"), "invalid-token");
    assert_eq!(case(&shop.sign_in(1, OTHER_PASSWORD)), "ok");
}

#[test]
fn changing_the_password_or_disabling_the_account_makes_reset_tokens_useless() {
    let shop = Shop::new();
    shop.registered(1);
    request_reset(&shop, &email(1));
    let token = shop.mailed("user.password-reset-requested");
    assert_eq!(change(&shop, &shop.as_user(&user_id(1)), "", PASSWORD, OTHER_PASSWORD), "ok");
    assert_eq!(reset(&shop, &token, PASSWORD), "invalid-token");
    request_reset(&shop, &email(1));
    let token = shop.mailed("user.password-reset-requested");
    use_accounts::disable(&shop, &shop.as_system(), &user_id(1)).expect("staff may");
    assert_eq!(reset(&shop, &token, PASSWORD), "invalid-token");
    assert_eq!(request_reset(&shop, &email(1)), "ok");
    assert_eq!(shop.ports.take_due_events().len(), 0, "a disabled account gets no mail");
}

#[test]
fn reset_mails_are_few() {
    let shop = Shop::new();
    for _ in 0..5 {
        assert_eq!(request_reset(&shop, &email(1)), "ok");
    }
    assert_eq!(request_reset(&shop, &email(1)), "throttled 3600");
    for number in 2..16 {
        assert_eq!(request_reset(&shop, &email(number)), "ok");
    }
    assert_eq!(request_reset(&shop, &email(16)), "throttled 3600", "the twenty-first of this client");
    assert_eq!(request_reset(&shop, "nobody"), "/email malformed");
}

#[test]
fn a_verification_token_works_once_and_for_three_days() {
    let shop = Shop::new();
    let (session, token) = shop.registered(1);
    let owner = shop.as_user(&user_id(1));
    let profile = verify(&shop, &token).expect("it is fresh");
    assert!(profile.email_verified);
    assert_eq!(profile.version, session.profile.version + 1);
    assert_eq!(case(&verify(&shop, &token)), "invalid-token");
    assert_eq!(request_verification(&shop, &owner), "ok");
    assert_eq!(shop.ports.take_due_events().len(), 0, "it is verified already");

    let shop = Shop::new();
    let (_, late) = shop.registered(1);
    shop.ports.advance(3 * DAY);
    assert_eq!(case(&verify(&shop, &late)), "invalid-token");
    assert_eq!(request_verification(&shop, &shop.as_user(&user_id(1))), "ok");
    let fresh = shop.mailed("user.verification-requested");
    shop.ports.advance(3 * DAY - 1);
    assert_eq!(case(&verify(&shop, &fresh)), "ok");
    shop.audit();
}

#[test]
fn a_token_for_one_purpose_serves_no_other() {
    let shop = Shop::new();
    let (_, verification) = shop.registered(1);
    request_reset(&shop, &email(1));
    let password_reset = shop.mailed("user.password-reset-requested");
    assert_eq!(reset(&shop, &verification, OTHER_PASSWORD), "invalid-token");
    assert_eq!(case(&verify(&shop, &password_reset)), "invalid-token");
    for token in ["", "\0", "nonsense"] {
        assert_eq!(reset(&shop, token, OTHER_PASSWORD), "invalid-token");
        assert_eq!(case(&verify(&shop, token)), "invalid-token");
    }
    assert_eq!(case(&verify(&shop, &verification)), "ok");
    assert_eq!(reset(&shop, &password_reset, OTHER_PASSWORD), "ok");
}

#[test]
fn of_two_verifications_with_one_token_at_once_one_is_refused() {
    let shop = Shop::new();
    let (_, token) = shop.registered(1);
    let rival = token.clone();
    shop.interrupt(move |shop| assert_eq!(case(&verify(shop, &rival)), "ok"));
    assert_eq!(case(&verify(&shop, &token)), "invalid-token");
    assert_eq!(shop.profile(1).version, 2);
}

#[test]
fn verification_mails_are_few_and_for_the_owner_to_ask() {
    let shop = Shop::new();
    shop.registered(1);
    assert_eq!(request_verification(&shop, &shop.guest()), "not-found");
    assert_eq!(request_verification(&shop, &shop.as_user(&user_id(2))), "not-found");
    for _ in 0..5 {
        assert_eq!(request_verification(&shop, &shop.as_user(&user_id(1))), "ok");
    }
    assert_eq!(request_verification(&shop, &shop.as_user(&user_id(1))), "throttled 3600");
}
