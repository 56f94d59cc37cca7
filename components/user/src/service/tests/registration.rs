//! Making accounts.

use super::*;

#[test]
fn a_registration_opens_a_session_that_the_edges_verify() {
    let shop = Shop::new();
    let session = shop.register(1).expect("nobody has this address");
    assert_eq!(session.access_expires_at, shop.ports.now() + 15 * MINUTE);
    assert_eq!(session.refresh_expires_at, shop.ports.now() + 30 * DAY);
    assert_eq!(session.profile, shop.profile(1));
    assert_eq!(session.profile.email, "User1@Example.org", "as it was typed");
    assert!(!session.profile.email_verified);
    let claims = claims(&shop, &session);
    assert_eq!((claims.user_id, claims.session_id, claims.staff), (user_id(1), session.id, false));
    shop.mailed("user.registered");
    shop.audit();
}

#[test]
fn a_repeat_opens_another_session_of_the_same_account_and_mails_nothing() {
    let shop = Shop::new();
    let (first, _) = shop.registered(1);
    let second = shop.register(1).expect("a repeat is harmless");
    assert_ne!(first.id, second.id);
    assert_eq!(first.profile, second.profile);
    assert_eq!(shop.ports.take_due_events().len(), 0);
    assert_eq!(shop.open_sessions(1), 2);
}

#[test]
fn an_address_has_one_account_whatever_its_case() {
    let shop = Shop::new();
    shop.registered(1);
    let attempt = |change: fn(&mut Registration)| {
        let mut registration = registration(2);
        change(&mut registration);
        case(&use_registration::register(&shop, &shop.guest(), &registration, "", shop.entropy()))
    };
    assert_eq!(attempt(|r| r.email = "uSER1@eXAMPLE.ORG".to_owned()), "email-taken");
    assert_eq!(attempt(|r| r.user_id = user_id(1)), "/user_id taken");
    let other_password: fn(&mut Registration) = |r| {
        (r.user_id, r.email) = (user_id(1), email(1));
        r.password = OTHER_PASSWORD.to_owned();
    };
    assert_eq!(attempt(other_password), "email-taken", "not a repeat, for it does not know the password");
    assert_eq!(attempt(|_| ()), "ok");
}

#[test]
fn everything_wrong_with_a_registration_is_named_at_once() {
    let shop = Shop::new();
    let wrong = Registration {
        user_id: "usr_1".to_owned(),
        email: "nobody".to_owned(),
        password: "password123".to_owned(),
        name: String::new(),
    };
    let outcome = case(&use_registration::register(&shop, &shop.guest(), &wrong, "", shop.entropy()));
    assert_eq!(outcome, "/user_id malformed, /email malformed, /name required, /password malformed");
    assert_eq!(shop.take_calls(), [""; 0], "nothing was counted, read or hashed");
}

#[test]
fn two_who_register_the_same_address_at_once_get_one_account() {
    let shop = Shop::new();
    shop.interrupt(|shop| {
        let rival = Registration { user_id: user_id(9), ..registration(1) };
        use_registration::register(shop, &shop.guest(), &rival, "", shop.entropy()).expect("the rival comes first");
    });
    assert_eq!(case(&shop.register(1)), "email-taken");
    assert_eq!(shop.ports.integer("SELECT count(*) FROM user_users"), 1);
    assert_eq!(shop.ports.take_due_events().len(), 1);
}

#[test]
fn a_command_sent_twice_at_once_makes_one_account_with_two_sessions() {
    let shop = Shop::new();
    shop.interrupt(|shop| drop(shop.register(1).expect("its twin comes first")));
    let session = shop.register(1).expect("a repeat");
    assert!(shop.refresh(&session.refresh_token).is_ok(), "what was answered is what was stored");
    assert_eq!(shop.open_sessions(1), 2);
    assert_eq!(shop.ports.take_due_events().len(), 1);
}

#[test]
fn a_client_registers_twenty_accounts_an_hour() {
    let shop = Shop::new();
    for number in 1..=20 {
        shop.registered(number);
        shop.ports.advance(MINUTE);
    }
    assert_eq!(case(&shop.register(21)), "throttled 2400");
    shop.ports.advance(40 * MINUTE);
    assert_eq!(case(&shop.register(21)), "ok");
}

#[test]
fn the_configuration_widens_windows_and_nonsense_widens_nothing() {
    for (scale, tries) in [("3", 60), ("0", 20), ("-1", 20), ("many", 20)] {
        let shop = Shop::new();
        shop.ports.configure("throttle_scale", scale);
        let done = (1..=100).take_while(|number| shop.register(*number).is_ok()).count();
        assert_eq!(done, tries, "scale {scale}");
    }
}

#[test]
fn the_password_of_an_account_cannot_be_guessed_by_repeating_its_registration() {
    let shop = Shop::new();
    shop.ports.configure("throttle_scale", "1");
    shop.registered(1);
    let guess = || {
        let wrong = Registration { password: OTHER_PASSWORD.to_owned(), ..registration(1) };
        case(&use_registration::register(&shop, &shop.guest(), &wrong, "", shop.entropy()))
    };
    for _ in 0..10 {
        assert_eq!(guess(), "email-taken");
    }
    assert_eq!(guess(), "throttled 900");
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "throttled 900");
}

#[test]
fn the_first_staff_needs_the_setup_token_and_comes_once() {
    let shop = Shop::new();
    let attempt = |token: &str, number: u64| {
        let (call, registration) = (shop.guest(), registration(number));
        use_registration::create_first_staff(&shop, &call, token, &registration, "", shop.entropy())
    };
    assert_eq!(case(&attempt("another", 1)), "invalid-token");
    assert_eq!(case(&attempt("", 1)), "invalid-token");
    let session = attempt(SETUP_TOKEN, 1).expect("there is no staff");
    assert!(session.profile.email_verified);
    assert_eq!(session.profile.role, Role::Staff);
    assert!(claims(&shop, &session).staff);
    assert_eq!(case(&attempt(SETUP_TOKEN, 1)), "ok", "a repeat opens another session");
    assert_eq!(case(&attempt(SETUP_TOKEN, 2)), "email-taken");
    assert_eq!(case(&attempt("another", 2)), "invalid-token");
    assert_eq!(shop.ports.take_due_events().len(), 0);
    shop.audit();
}

#[test]
fn without_a_setup_token_in_the_configuration_none_is_right() {
    let shop = Shop::new();
    shop.ports.configure("setup_token", "");
    let (call, registration) = (shop.guest(), registration(1));
    let outcome = use_registration::create_first_staff(&shop, &call, "", &registration, "", shop.entropy());
    assert_eq!(case(&outcome), "invalid-token");
}

#[test]
fn two_who_would_be_the_first_staff_at_once_are_one() {
    let shop = Shop::new();
    shop.interrupt(|shop| {
        let (call, rival) = (shop.guest(), registration(2));
        use_registration::create_first_staff(shop, &call, SETUP_TOKEN, &rival, "", shop.entropy())
            .expect("the rival comes first");
    });
    assert_eq!(case(&shop.first_staff()), "email-taken");
    assert_eq!(shop.ports.integer("SELECT count(*) FROM user_users WHERE role = 'staff'"), 1);
    shop.audit();
}

#[test]
fn without_a_signing_key_nothing_is_made() {
    let shop = Shop::new();
    shop.ports.configure("token_private_key", "no key");
    assert_eq!(case(&shop.register(1)), "unavailable");
    assert_eq!(shop.ports.integer("SELECT count(*) FROM user_users"), 0);
}
