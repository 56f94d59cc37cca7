//! Opening, renewing and ending sessions.

use super::*;
use crate::domain::secret::RefreshToken;
use souk_kit::testing::law;

#[test]
fn the_right_password_opens_a_session_under_any_case_of_the_address() {
    let shop = Shop::new();
    shop.registered(1);
    let attempt = |email: &str, password: &str| {
        case(&use_sessions::sign_in(&shop, &shop.guest(), email, password, "", shop.entropy()))
    };
    for (email, password, outcome) in [
        ("user1@example.org", PASSWORD, "ok"),
        ("USER1@EXAMPLE.ORG", PASSWORD, "ok"),
        ("user1@example.org", OTHER_PASSWORD, "wrong-credentials"),
        ("user2@example.org", PASSWORD, "wrong-credentials"),
        ("not an address", PASSWORD, "wrong-credentials"),
        ("", PASSWORD, "/email malformed"),
        ("user1@example.org", "", "/password required"),
        ("user1@example.org\0", &"x".repeat(1025), "/email malformed, /password too_long"),
    ] {
        assert_eq!(attempt(email, password), outcome, "{email}");
    }
}

#[test]
fn ten_failures_close_an_account_for_a_quarter_of_an_hour() {
    let shop = Shop::new();
    shop.registered(1);
    for _ in 0..9 {
        assert_eq!(case(&shop.sign_in(1, OTHER_PASSWORD)), "wrong-credentials");
    }
    for _ in 0..20 {
        assert_eq!(case(&shop.sign_in(1, PASSWORD)), "ok", "successes are not counted");
    }
    assert_eq!(case(&shop.sign_in(1, OTHER_PASSWORD)), "wrong-credentials");
    shop.ports.advance(MINUTE + 1);
    let checked = shop.ports.passwords_checked();
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "throttled 840");
    assert_eq!(shop.ports.passwords_checked(), checked, "the password is not even looked at");
    assert_eq!(case(&shop.sign_in(2, PASSWORD)), "wrong-credentials", "other accounts stay open");
    shop.ports.advance(14 * MINUTE);
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "ok");
}

#[test]
fn a_hundred_failures_close_the_door_to_a_client_and_to_no_other() {
    let shop = Shop::new();
    shop.registered(1);
    for number in 0..100 {
        assert_eq!(case(&shop.sign_in(1000 + number, PASSWORD)), "wrong-credentials");
    }
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "throttled 900");
    let mut elsewhere = shop.guest();
    elsewhere.ctx.client = "198.51.100.7".to_owned();
    let outcome = use_sessions::sign_in(&shop, &elsewhere, &email(1), PASSWORD, "", shop.entropy());
    assert_eq!(case(&outcome), "ok");
}

#[test]
fn a_hash_with_older_parameters_is_replaced_at_sign_in() {
    let shop = Shop::new();
    shop.registered(1);
    shop.hashes_are_old.set(true);
    shop.take_calls();
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "ok");
    assert!(shop.take_calls().contains(&"hash".to_owned()));
    assert_eq!(shop.ports.integer("SELECT count(*) FROM user_users WHERE password_hash LIKE 'test$%'"), 1);
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "ok");
}

#[test]
fn a_sign_in_that_races_a_change_of_the_account_is_decided_anew() {
    let end_of_race = |interruption: fn(&Shop)| {
        let shop = Shop::new();
        shop.registered(1);
        shop.interrupt(interruption);
        let outcome = shop.sign_in(1, PASSWORD);
        shop.audit();
        (case(&outcome), shop.open_sessions(1), outcome.ok().map(|session| claims(&shop, &session).staff))
    };
    let disabled = end_of_race(|shop| {
        use_accounts::disable(shop, &shop.as_system(), &user_id(1)).expect("nobody else writes");
    });
    assert_eq!(disabled, ("wrong-credentials".to_owned(), 0, None));
    let promoted = end_of_race(|shop| {
        use_accounts::set_role(shop, &shop.as_system(), &user_id(1), Role::Staff).expect("nobody else writes");
    });
    assert_eq!(promoted, ("ok".to_owned(), 1, Some(true)));
    let changed = end_of_race(|shop| {
        let change = crate::service::credentials::PasswordChange {
            user_id: &user_id(1),
            session_id: "",
            current: PASSWORD,
            new: OTHER_PASSWORD,
        };
        crate::service::credentials::change_password(shop, &shop.as_system(), &change, shop.entropy())
            .expect("nobody else writes");
    });
    assert_eq!(changed, ("wrong-credentials".to_owned(), 0, None));
}

#[test]
fn who_keeps_being_beaten_hears_conflict() {
    let shop = Shop::new();
    shop.registered(1);
    for round in 0..10 {
        shop.interrupt(move |shop| {
            let name = format!("Name {round}");
            use_accounts::set_name(shop, &shop.as_system(), &user_id(1), &name, None).expect("nobody interrupts it");
        });
    }
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "conflict");
}

#[test]
fn a_user_has_a_hundred_sessions_and_expired_ones_make_room() {
    let shop = Shop::new();
    shop.registered(1);
    for _ in 1..99 {
        shop.sign_in(1, PASSWORD).expect("there is room");
    }
    shop.interrupt(|shop| drop(shop.sign_in(1, PASSWORD).expect("there is room for one")));
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "limit-reached", "of two that race for the last place one gets it");
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "limit-reached");
    assert_eq!(shop.open_sessions(1), 100);
    shop.audit();
    shop.ports.advance(30 * DAY);
    assert_eq!(shop.open_sessions(1), 0);
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "ok");
    assert_eq!(shop.ports.integer("SELECT count(*) FROM user_sessions"), 1);
}

#[test]
fn a_refresh_token_renews_once_and_for_ten_seconds_answers_with_the_same_successor() {
    let shop = Shop::new();
    let (first, _) = shop.registered(1);
    shop.ports.advance(HOUR);
    let second = shop.refresh(&first.refresh_token).expect("it is the present token");
    assert_eq!(second.id, first.id);
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_eq!(second.refresh_expires_at, first.refresh_expires_at);
    assert_eq!(second.access_expires_at, shop.ports.now() + 15 * MINUTE);
    shop.ports.advance(9_999);
    let again = shop.refresh(&first.refresh_token).expect("two tabs may renew at once");
    assert_eq!(again.refresh_token, second.refresh_token);
    shop.ports.advance(1);
    assert_eq!(case(&shop.refresh(&first.refresh_token)), "invalid-token");
    assert_eq!(case(&shop.refresh(&second.refresh_token)), "invalid-token", "a reuse ends the whole session");
    assert_eq!(shop.open_sessions(1), 0);
}

#[test]
fn of_many_that_renew_at_once_all_get_the_same_successor() {
    let shop = Shop::new();
    let (session, _) = shop.registered(1);
    let token = session.refresh_token.clone();
    let rival = token.clone();
    shop.interrupt(move |shop| drop(shop.refresh(&rival).expect("the rival comes first")));
    let mut successors: Vec<String> =
        (0..16).map(|_| shop.refresh(&token).expect("within the grace").refresh_token).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    shop.ports.advance(MINUTE);
    assert_eq!(case(&shop.refresh(&successors[0])), "ok");
}

#[test]
fn an_old_token_of_any_age_ends_its_session_and_no_other() {
    law(20, |dice| {
        let shop = Shop::new();
        let (session, _) = shop.registered(1);
        let other = shop.sign_in(1, PASSWORD).expect("another device");
        let mut tokens = vec![session.refresh_token];
        for _ in 0..2 + dice.below(5) {
            shop.ports.advance(MINUTE);
            let last = tokens.last().expect("there is the first");
            tokens.push(shop.refresh(last).expect("the present token").refresh_token);
        }
        shop.ports.advance(MINUTE);
        let old = &tokens[usize::try_from(dice.below(tokens.len() as u64 - 1)).expect("small")];
        assert_eq!(case(&shop.refresh(old)), "invalid-token");
        for token in &tokens {
            assert_eq!(case(&shop.refresh(token)), "invalid-token");
        }
        assert_eq!(case(&shop.refresh(&other.refresh_token)), "ok");
    });
}

#[test]
fn a_token_that_was_never_given_ends_nothing() {
    let shop = Shop::new();
    let (session, _) = shop.registered(1);
    let forged = RefreshToken::mint(&mut shop.entropy()).text();
    let cut = &session.refresh_token[..session.refresh_token.len() - 1];
    for token in ["", "\0", "nonsense", &forged, cut, &session.id] {
        assert_eq!(case(&shop.refresh(token)), "invalid-token");
    }
    assert_eq!(case(&shop.refresh(&session.refresh_token)), "ok");
}

#[test]
fn a_session_ends_after_thirty_days_whatever_its_renewals() {
    let shop = Shop::new();
    let (mut session, _) = shop.registered(1);
    for _ in 0..29 {
        shop.ports.advance(DAY);
        session = shop.refresh(&session.refresh_token).expect("the present token");
    }
    shop.ports.advance(DAY - 1);
    session = shop.refresh(&session.refresh_token).expect("the last moment");
    shop.ports.advance(1);
    assert_eq!(case(&shop.refresh(&session.refresh_token)), "invalid-token");
}

#[test]
fn a_renewal_that_races_the_end_of_its_session_is_refused() {
    let shop = Shop::new();
    let (session, _) = shop.registered(1);
    let token = session.refresh_token.clone();
    shop.interrupt(move |shop| use_sessions::sign_out(shop, &shop.guest(), &token).expect("harmless"));
    assert_eq!(case(&shop.refresh(&session.refresh_token)), "invalid-token");
    assert_eq!(shop.open_sessions(1), 0);
}

#[test]
fn signing_out_ends_the_session_of_any_of_its_tokens_and_is_harmless_for_others() {
    let shop = Shop::new();
    let (session, _) = shop.registered(1);
    let renewed = shop.refresh(&session.refresh_token).expect("the present token");
    for token in ["", "nonsense", &RefreshToken::mint(&mut shop.entropy()).text()] {
        assert_eq!(case(&use_sessions::sign_out(&shop, &shop.guest(), token)), "ok");
    }
    assert_eq!(shop.open_sessions(1), 1);
    for _ in 0..2 {
        assert_eq!(case(&use_sessions::sign_out(&shop, &shop.guest(), &session.refresh_token)), "ok");
    }
    assert_eq!(case(&shop.refresh(&renewed.refresh_token)), "invalid-token");
}

#[test]
fn sessions_are_listed_newest_first_and_ended_by_their_owner_alone() {
    let shop = Shop::new();
    let (first, _) = shop.registered(1);
    shop.ports.advance(1000);
    let second = shop.sign_in(1, PASSWORD).expect("the right password");
    shop.registered(2);
    let listed = use_sessions::list_sessions(&shop, &shop.as_user(&user_id(1)), &user_id(1)).expect("one's own");
    let told: Vec<(&str, &str)> = listed.iter().map(|s| (s.id.as_str(), s.device.as_str())).collect();
    assert_eq!(told, [(second.id.as_str(), "Safari"), (first.id.as_str(), "Firefox")]);

    let end =
        |call: Call, user: u64, session: &str| case(&use_sessions::end_session(&shop, &call, &user_id(user), session));
    let user = |number| shop.as_user(&user_id(number));
    assert_eq!(end(user(2), 1, &first.id), "not-found");
    assert_eq!(end(user(2), 2, &first.id), "ok", "nothing of this name is theirs");
    assert_eq!(shop.open_sessions(1), 2);
    assert_eq!(end(user(1), 1, &first.id), "ok", "and what others tried does not stand in the way");
    assert_eq!(shop.open_sessions(1), 1);
    assert_eq!(end(user(1), 1, &first.id), "ok");
    assert_eq!(end(user(1), 1, "\0"), "ok");
    assert_eq!(end(shop.as_system(), 1, &second.id), "ok");
    assert_eq!(shop.open_sessions(1), 0);
}
