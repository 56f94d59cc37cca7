//! Reading and changing profiles.

use super::*;

#[test]
fn what_is_not_yours_does_not_exist() {
    let shop = Shop::new();
    shop.first_staff().expect("there is no staff");
    shop.registered(2);
    let id = user_id(2);
    let staff = shop.ports.call(Actor::Staff(user_id(1)));
    let nobody = user_id(99);
    // Who calls | own data of user 2 | what only staff may do
    for (call, own, staff_only) in [
        (shop.guest(), "not-found", "not-found"),
        (shop.as_user(&user_id(3)), "not-found", "not-found"),
        (shop.as_user(&id), "ok", "not-found"),
        (staff.clone(), "ok", "ok"),
        (shop.as_system(), "ok", "ok"),
    ] {
        let as_staff = |outcome: &str| if own == "ok" { outcome.to_owned() } else { "not-found".to_owned() };
        assert_eq!(case(&use_accounts::get_profile(&shop, &call, &id)), own);
        assert_eq!(case(&use_accounts::set_name(&shop, &call, &id, "Ada", None)), own);
        assert_eq!(case(&use_sessions::list_sessions(&shop, &call, &id)), own);
        assert_eq!(case(&use_sessions::end_session(&shop, &call, &id, "")), own);
        assert_eq!(case(&crate::service::addresses::list_addresses(&shop, &call, &id)), own);
        assert_eq!(case(&crate::service::addresses::set_address(&shop, &call, &id, &saved_address(1))), own);
        assert_eq!(case(&crate::service::addresses::delete_address(&shop, &call, &id, &address_id(1))), own);
        let change = crate::service::credentials::PasswordChange {
            user_id: &id,
            session_id: "",
            current: OTHER_PASSWORD,
            new: OTHER_PASSWORD,
        };
        let changed = crate::service::credentials::change_password(&shop, &call, &change, shop.entropy());
        assert_eq!(case(&changed), as_staff("wrong-credentials"));
        let asked = crate::service::credentials::request_verification(&shop, &call, &id, shop.entropy());
        assert_eq!(case(&asked), own);
        assert_eq!(case(&use_accounts::list_users(&shop, &call, "", &first_page(10))), staff_only);
        assert_eq!(case(&use_accounts::set_role(&shop, &call, &id, Role::Shopper)), staff_only);
        assert_eq!(case(&use_accounts::enable(&shop, &call, &id)), staff_only);
        assert_eq!(case(&use_accounts::disable(&shop, &call, &nobody)), "not-found");
        assert_eq!(case(&use_accounts::get_profile(&shop, &call, &nobody)), "not-found");
        assert_eq!(case(&use_accounts::get_profile(&shop, &call, "\0")), "not-found");
    }
}

#[test]
fn a_name_is_set_on_the_version_that_was_read() {
    let shop = Shop::new();
    shop.registered(1);
    let owner = shop.as_user(&user_id(1));
    let set = |name: &str, version| use_accounts::set_name(&shop, &owner, &user_id(1), name, version);
    let told = |outcome: Result<Profile, UserError>| match outcome {
        Ok(profile) => format!("{} {}", profile.name, profile.version),
        refused @ Err(_) => case(&refused),
    };
    for (name, version, outcome) in [
        ("", None, "/name required"),
        ("Ada", Some(2), "conflict"),
        ("Ada", Some(1), "Ada 2"),
        ("Ada", Some(1), "Ada 2"), // a repeat
        ("Grace", Some(1), "conflict"),
        ("Grace", None, "Grace 3"),
        ("Grace", None, "Grace 3"),
        ("Grace", Some(3), "Grace 3"),
        ("Ada", Some(3), "Ada 4"),
    ] {
        assert_eq!(told(set(name, version)), outcome, "{name} on {version:?}");
    }
}

#[test]
fn a_name_set_in_a_race_loses_only_when_it_named_a_version() {
    for (version, outcome, name) in [(None, "ok", "Mine"), (Some(1), "conflict", "Theirs")] {
        let shop = Shop::new();
        shop.registered(1);
        shop.interrupt(|shop| {
            use_accounts::set_name(shop, &shop.as_system(), &user_id(1), "Theirs", None).expect("nobody else writes");
        });
        let set = use_accounts::set_name(&shop, &shop.as_user(&user_id(1)), &user_id(1), "Mine", version);
        assert_eq!(case(&set), outcome);
        assert_eq!(shop.profile(1).name, name);
    }
}

#[test]
fn roles_and_disabling_end_sessions_and_leave_the_shop_in_staff() {
    let shop = Shop::new();
    let boss = shop.first_staff().expect("there is no staff");
    let (worker, _) = shop.registered(2);
    let staff = shop.ports.call(Actor::Staff(user_id(1)));
    let set_role = |number, role| case(&use_accounts::set_role(&shop, &staff, &user_id(number), role));
    assert_eq!(set_role(1, Role::Shopper), "/user_id out_of_range", "nobody else could run the shop");
    assert_eq!(case(&use_accounts::disable(&shop, &staff, &user_id(1))), "/user_id out_of_range");
    assert_eq!(case(&shop.refresh(&boss.refresh_token)), "ok");
    assert_eq!(set_role(2, Role::Staff), "ok");
    assert_eq!(case(&shop.refresh(&worker.refresh_token)), "invalid-token");
    let worker = shop.sign_in(2, PASSWORD).expect("the account is as good as before");
    assert!(claims(&shop, &worker).staff);
    assert_eq!(set_role(2, Role::Staff), "ok", "a repeat ends nothing");
    assert_eq!(case(&shop.refresh(&worker.refresh_token)), "ok");
    assert_eq!(set_role(1, Role::Shopper), "ok");
    assert_eq!(set_role(2, Role::Shopper), "/user_id out_of_range");
    shop.audit();

    assert_eq!(case(&use_accounts::disable(&shop, &staff, &user_id(1))), "ok");
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "wrong-credentials");
    assert_eq!(case(&use_accounts::enable(&shop, &staff, &user_id(1))), "ok");
    assert_eq!(case(&shop.sign_in(1, PASSWORD)), "ok");
    shop.audit();
}

#[test]
fn two_members_of_staff_who_dismiss_each_other_at_once_leave_one() {
    let shop = Shop::new();
    shop.first_staff().expect("there is no staff");
    shop.registered(2);
    use_accounts::set_role(&shop, &shop.as_system(), &user_id(2), Role::Staff).expect("staff may");
    shop.interrupt(|shop| {
        let second = shop.ports.call(Actor::Staff(user_id(2)));
        use_accounts::set_role(shop, &second, &user_id(1), Role::Shopper).expect("two are left");
    });
    let first = shop.ports.call(Actor::Staff(user_id(1)));
    let outcome = use_accounts::set_role(&shop, &first, &user_id(2), Role::Shopper);
    assert_eq!(case(&outcome), "/user_id out_of_range");
    assert_eq!(shop.ports.integer("SELECT active FROM user_staffing"), 1);
    shop.audit();
}

#[test]
fn users_are_listed_newest_first_in_pages() {
    let shop = Shop::new();
    for number in 1..=7 {
        shop.registered(number);
        if number % 2 == 0 {
            shop.ports.advance(1); // the others share an instant
        }
    }
    let staff = shop.as_system();
    let mut page = first_page(3);
    let mut seen = Vec::new();
    loop {
        let users = use_accounts::list_users(&shop, &staff, "", &page).expect("staff may");
        assert!(users.items.len() <= 3);
        seen.extend(users.items.into_iter().map(|profile| profile.id));
        let Some(next) = users.next else { break };
        page.cursor = Some(next);
    }
    assert_eq!(seen, (1..=7).rev().map(user_id).collect::<Vec<_>>());

    let found = |search: &str| {
        let users = use_accounts::list_users(&shop, &staff, search, &first_page(10)).expect("staff may");
        users.items.len()
    };
    for (search, count) in [
        ("", 7),
        ("user", 7),
        ("USER3@EX", 1),
        ("user3@example.org", 1),
        ("ser3", 0),
        ("usr_", 7),
        (user_id(5).as_str(), 1),
        ("%", 0),
        ("'", 0),
    ] {
        assert_eq!(found(search), count, "{search}");
    }
    let refused = |search: &str, page: &PageRequest| case(&use_accounts::list_users(&shop, &staff, search, page));
    assert_eq!(refused("a\0", &first_page(10)), "/search malformed");
    assert_eq!(refused("", &first_page(0)), "/limit out_of_range");
    assert_eq!(refused("", &first_page(101)), "/limit out_of_range");
    for cursor in ["x".to_owned(), souk_kit::cursor::encode(&["1"]), souk_kit::cursor::encode(&["a", "b"])] {
        assert_eq!(refused("", &PageRequest { cursor: Some(cursor), limit: 10 }), "/cursor malformed");
    }
}

#[test]
fn an_audit_goes_through_every_account_and_names_what_is_broken() {
    let shop = Shop::new();
    shop.ports.configure("throttle_scale", "100");
    for number in 0..audit::ACCOUNTS_PER_STEP + 5 {
        shop.register(u64::from(number)).expect("nobody has this address");
    }
    let first = audit::check(&shop, &shop.as_system(), None).expect("it can be read");
    assert_eq!((first.checked, first.findings), (u64::from(audit::ACCOUNTS_PER_STEP) + 1, Vec::new()));
    let second = audit::check(&shop, &shop.as_system(), first.next).expect("it can be read");
    assert_eq!((second.checked, second.findings, second.next), (5, Vec::new(), None));
    assert!(audit::check(&shop, &shop.as_system(), Some("nonsense".to_owned())).is_err());

    let break_with = |sql: &str| {
        let write = souk_kit::sql::write(sql, []);
        shop.ports.commit(&Batch { id: sql.to_owned(), writes: vec![write], events: Vec::new() }).expect("it applies");
    };
    break_with("UPDATE user_staffing SET active = 3");
    break_with("UPDATE user_users SET email_key = 'x' WHERE id LIKE '%01'");
    break_with("UPDATE user_users SET disabled = 1 WHERE id LIKE '%02'");
    break_with("UPDATE user_sessions SET expires_at = expires_at + 1 WHERE user_id LIKE '%03'");
    let page = audit::check(&shop, &shop.as_system(), None).expect("it can be read");
    let broken: Vec<(&str, String)> = page.findings.into_iter().map(|f| (f.invariant, f.subject)).collect();
    assert_eq!(
        broken,
        [
            ("active_staff_is_counted", "staff".to_owned()),
            ("email_key_follows_from_email", user_id(1)),
            ("a_disabled_account_has_no_session", user_id(2)),
            ("sessions_last_thirty_days", user_id(3)),
        ]
    );
}
