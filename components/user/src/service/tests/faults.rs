//! Every command with a failure at each commit and a repeat afterwards: the tables add up, and the command is done once.

use super::*;
use crate::service::addresses::{delete_address, set_address};
use crate::service::credentials::{self, PasswordChange};
use souk_kit::testing::Fault;

/// A command on a shop with one member of staff, user 1, and two shoppers; says how it ended.
type Command = fn(&Shop, &Start) -> String;

/// What the commands need from before.
struct Start {
    session: Session,
    verification: String,
    password_reset: String,
}

fn start() -> (Shop, Start) {
    let shop = Shop::new();
    shop.first_staff().expect("there is no staff");
    shop.registered(3);
    let (session, verification) = shop.registered(2);
    let owner = shop.as_user(&user_id(2));
    set_address(&shop, &owner, &user_id(2), &saved_address(1)).expect("there is room");
    credentials::request_password_reset(&shop, &shop.guest(), &email(2), shop.entropy()).expect("few were sent");
    let password_reset = shop.mailed("user.password-reset-requested");
    (shop, Start { session, verification, password_reset })
}

/// Name, command, and how its repeat ends once it has been done.
const COMMANDS: [(&str, Command, &str); 16] = [
    ("register", |shop, _| case(&shop.register(4)), "ok"),
    ("sign in", |shop, _| case(&shop.sign_in(2, PASSWORD)), "ok"),
    ("refresh", |shop, start| case(&shop.refresh(&start.session.refresh_token)), "ok"),
    ("sign out", |shop, start| case(&use_sessions::sign_out(shop, &shop.guest(), &start.session.refresh_token)), "ok"),
    (
        "end session",
        |shop, start| {
            case(&use_sessions::end_session(shop, &shop.as_user(&user_id(2)), &user_id(2), &start.session.id))
        },
        "ok",
    ),
    (
        "change password",
        |shop, start| {
            let change = PasswordChange {
                user_id: &user_id(2),
                session_id: &start.session.id,
                current: PASSWORD,
                new: OTHER_PASSWORD,
            };
            case(&credentials::change_password(shop, &shop.as_user(&user_id(2)), &change, shop.entropy()))
        },
        "wrong-credentials",
    ),
    (
        "request reset",
        |shop, _| case(&credentials::request_password_reset(shop, &shop.guest(), &email(3), shop.entropy())),
        "ok",
    ),
    (
        "reset password",
        |shop, start| {
            let token = &start.password_reset;
            case(&credentials::reset_password(shop, &shop.guest(), token, OTHER_PASSWORD, shop.entropy()))
        },
        "invalid-token",
    ),
    (
        "request verification",
        |shop, _| {
            let call = shop.as_user(&user_id(3));
            case(&credentials::request_verification(shop, &call, &user_id(3), shop.entropy()))
        },
        "ok",
    ),
    (
        "verify email",
        |shop, start| case(&credentials::verify_email(shop, &shop.guest(), &start.verification, shop.entropy())),
        "invalid-token",
    ),
    (
        "set name",
        |shop, _| case(&use_accounts::set_name(shop, &shop.as_user(&user_id(2)), &user_id(2), "Ada", Some(1))),
        "ok",
    ),
    (
        "set address",
        |shop, _| {
            let address = SavedAddress { default_shipping: true, ..saved_address(2) };
            case(&set_address(shop, &shop.as_user(&user_id(2)), &user_id(2), &address))
        },
        "ok",
    ),
    (
        "delete address",
        |shop, _| case(&delete_address(shop, &shop.as_user(&user_id(2)), &user_id(2), &address_id(1))),
        "ok",
    ),
    ("set role", |shop, _| case(&use_accounts::set_role(shop, &shop.as_system(), &user_id(2), Role::Staff)), "ok"),
    ("disable", |shop, _| case(&use_accounts::disable(shop, &shop.as_system(), &user_id(2))), "ok"),
    ("enable", |shop, _| case(&use_accounts::enable(shop, &shop.as_system(), &user_id(2))), "ok"),
];

/// What a command leaves behind, without what is new each time: accounts, addresses, and how many rows there are.
fn left_behind(shop: &Shop) -> String {
    let mut text = format!("sessions {}", shop.ports.integer("SELECT count(*) FROM user_sessions"));
    let tokens = shop.ports.integer("SELECT count(*) FROM user_mail_tokens");
    text.push_str(&format!(" tokens {tokens}\n"));
    let users = use_accounts::list_users(shop, &shop.as_system(), "", &first_page(100)).expect("staff may");
    for profile in users.items {
        let addresses = crate::service::addresses::list_addresses(shop, &shop.as_system(), &profile.id);
        text.push_str(&format!("{profile:?} {:?}\n", addresses.expect("the user exists")));
    }
    text
}

#[test]
fn a_failed_commit_changes_nothing_and_the_command_can_be_sent_again() {
    for (name, command, _) in COMMANDS {
        let (shop, start) = start();
        let before = left_behind(&shop);
        let commits = shop.ports.commits();
        shop.ports.fail_commit(0, Fault::BeforeCommit);
        let failed = command(&shop, &start);
        if shop.ports.commits() == commits {
            assert_eq!(failed, "ok", "{name} had nothing to write");
            continue;
        }
        assert_eq!(failed, "unavailable", "{name}");
        shop.ports.fail_commit(0, Fault::StorageFull);
        assert_eq!(command(&shop, &start), "storage-full", "{name}");
        assert_eq!(left_behind(&shop), before, "{name}");
        assert_eq!(shop.ports.take_due_events().len(), 0, "{name}");
        assert_eq!(shop.ports.commits(), commits + 2, "{name} has one commit");
        assert_eq!(command(&shop, &start), "ok", "{name}");
        shop.audit();
    }
}

#[test]
fn a_lost_answer_is_a_command_that_was_done_and_its_repeat_does_no_more() {
    for (name, command, repeat) in COMMANDS {
        let (once, once_start) = start();
        assert_eq!(command(&once, &once_start), "ok", "{name}");

        let (shop, start) = start();
        let commits = shop.ports.commits();
        shop.ports.fail_commit(0, Fault::LostReply);
        let lost = command(&shop, &start);
        if shop.ports.commits() == commits {
            continue;
        }
        assert_eq!(lost, "unavailable", "{name}");
        assert_eq!(left_behind(&shop), left_behind(&once), "{name} was done");
        let events = shop.ports.take_due_events().len();
        assert_eq!(events, once.ports.take_due_events().len(), "{name}");
        assert_eq!(command(&shop, &start), repeat, "{name}");
        shop.audit();
    }
}

#[test]
fn a_command_done_twice_is_done_once() {
    for (name, command, repeat) in COMMANDS {
        let (shop, start) = start();
        assert_eq!(command(&shop, &start), "ok", "{name}");
        let (after, events) = (left_behind(&shop), shop.ports.take_due_events().len());
        assert_eq!(command(&shop, &start), repeat, "{name}");
        shop.audit();
        match name {
            // Each opens a session of its own or mails a token of its own: that is what the contract says.
            "register" | "sign in" => assert!(shop.ports.take_due_events().is_empty(), "{name}"),
            "request reset" | "request verification" => assert_eq!((events, left_behind(&shop)), (1, after), "{name}"),
            _ => assert_eq!((shop.ports.take_due_events().len(), left_behind(&shop)), (0, after), "{name}"),
        }
    }
}

#[test]
fn a_renewal_whose_answer_was_lost_gives_the_same_successor_again() {
    let (shop, start) = start();
    shop.ports.fail_commit(0, Fault::LostReply);
    assert_eq!(case(&shop.refresh(&start.session.refresh_token)), "unavailable");
    let renewed = shop.refresh(&start.session.refresh_token).expect("within the grace");
    assert_eq!(case(&shop.refresh(&renewed.refresh_token)), "ok");
    assert_eq!(shop.open_sessions(2), 1);
}
