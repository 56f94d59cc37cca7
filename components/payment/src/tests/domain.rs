//! Tables: every state meets every command, and every state meets every word of a provider.

use souk_kit::payment::{PaymentError, PaymentState};
use souk_kit::payment_extension::{CapturePolicy, ProviderPayment, ProviderState};
use souk_kit::types::Money;

use super::{ORD, PAY, asked, refusal};
use crate::domain::hear::{Heard, hear};
use crate::domain::{
    self, CHECK_AGE_MAX_MS, CHECK_DELAY_HELD_MS, Command, CommandChange, Fact, Kind, LATE_HOLD, Payment, Progress,
    Step, intend, request,
};

/// `authorized 100 60 10 +capture 20`: a state, its amounts, and the command on its way.
fn payment(text: &str) -> Payment {
    let mut words = text.split_whitespace();
    let mut payment = intend(&asked(CapturePolicy::Manual), 0).next;
    payment.state = match words.next() {
        Some("pending") => PaymentState::Pending,
        Some("action") => PaymentState::RequiresAction,
        Some("authorized") => PaymentState::Authorized,
        Some("declined") => PaymentState::Declined,
        Some("voided") => PaymentState::Voided,
        other => panic!("no state {other:?}"),
    };
    let number =
        |words: &mut std::str::SplitWhitespace<'_>| words.next().map_or(0, |word| word.parse().expect("a number"));
    if payment.state == PaymentState::Authorized {
        payment.authorized = number(&mut words);
        payment.captured = number(&mut words);
        payment.refunded = number(&mut words);
    }
    if let Some(kind) = words.next() {
        let kind = kind.strip_prefix('+').expect("a command on its way has a plus");
        payment.in_flight = Some(command("cmd_old", kind, number(&mut words)));
    }
    payment
}

fn command(id: &str, kind: &str, amount: i64) -> Command {
    let kind = match kind {
        "capture" => Kind::Capture,
        "void" => Kind::Void,
        "refund" => Kind::Refund,
        other => panic!("no command {other}"),
    };
    let reason = String::new();
    Command {
        id: id.to_owned(),
        payment_id: PAY.to_owned(),
        kind,
        amount,
        reason,
        progress: Progress::InFlight,
        created_at: 0,
    }
}

fn show(step: &Step) -> String {
    let p = &step.next;
    let mut text = match p.state {
        PaymentState::Pending => "pending".to_owned(),
        PaymentState::RequiresAction => "action".to_owned(),
        PaymentState::Authorized => format!("authorized {} {} {}", p.authorized, p.captured, p.refunded),
        PaymentState::Declined => "declined".to_owned(),
        PaymentState::Voided => "voided".to_owned(),
    };
    if let Some(command) = &p.in_flight {
        text += match command.kind {
            Kind::Capture => " +capture",
            Kind::Void => " +void",
            Kind::Refund => " +refund",
        };
        if command.amount > 0 {
            text += &format!(" {}", command.amount);
        }
    }
    for change in &step.commands {
        match change {
            CommandChange::Added(command) if command.progress == Progress::Done => {
                text += &format!(", adopted {}", command.amount)
            }
            CommandChange::Added(_) => {}
            CommandChange::Ended(_, Progress::Done) => text += ", done",
            CommandChange::Ended(_, Progress::Refused(_)) => text += ", refused",
            CommandChange::Ended(_, Progress::InFlight) => panic!("in flight is no end"),
        }
    }
    for fact in &step.facts {
        match fact {
            Fact::Settled => text += ", settled",
            Fact::Changed => text += ", changed",
            Fact::CheckDue => {}
        }
    }
    if !p.problem.is_empty() {
        text += ", problem";
    }
    text
}

fn rows(table: &str) -> impl Iterator<Item = [&str; 3]> {
    table.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("three cells: {cells:?}"))
    })
}

fn check_request(table: &str) {
    for [before, wanted, expected] in rows(table) {
        let mut words = wanted.split_whitespace();
        let kind = words.next().expect("a kind");
        let amount = words.next().map_or(0, |word| word.parse().expect("a number"));
        let outcome = match request(&payment(before), command("cmd_new", kind, amount)) {
            Ok(step) => show(&step),
            Err(PaymentError::WrongState(_)) => "wrong state".to_owned(),
            Err(PaymentError::Exceeds(left)) => format!("exceeds {left}"),
            Err(PaymentError::Unavailable(_)) => "busy".to_owned(),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(outcome, expected, "{before} | {wanted}");
    }
}

#[test]
fn a_command_reserves_what_is_left_and_nothing_more() {
    check_request(
        "
        pending                            | capture 1   | wrong state
        pending                            | refund 1    | wrong state
        pending                            | void        | pending +void
        pending +void                      | capture 1   | wrong state
        pending +void                      | refund 1    | wrong state
        pending +void                      | void        | busy
        action                             | capture 1   | wrong state
        action                             | refund 1    | wrong state
        action                             | void        | action +void
        action +void                       | void        | busy
        declined                           | capture 1   | wrong state
        declined                           | refund 1    | wrong state
        declined                           | void        | wrong state
        voided                             | capture 1   | wrong state
        voided                             | refund 1    | wrong state
        voided                             | void        | wrong state
        authorized 100 0 0                 | capture 100 | authorized 100 100 0 +capture 100
        authorized 100 0 0                 | capture 101 | exceeds 100
        authorized 100 0 0                 | refund 1    | exceeds 0
        authorized 100 0 0                 | void        | authorized 100 0 0 +void
        authorized 100 60 0                | capture 40  | authorized 100 100 0 +capture 40
        authorized 100 60 0                | capture 41  | exceeds 40
        authorized 100 60 0                | refund 60   | authorized 100 60 60 +refund 60
        authorized 100 60 0                | refund 61   | exceeds 60
        authorized 100 60 0                | void        | wrong state
        authorized 100 100 0               | capture 1   | exceeds 0
        authorized 100 60 60               | refund 1    | exceeds 0
        authorized 100 60 60               | void        | wrong state
        authorized 100 60 60               | capture 40  | authorized 100 100 60 +capture 40
        authorized 100 60 20 +refund 20    | refund 40   | busy
        authorized 100 60 20 +refund 20    | refund 41   | exceeds 40
        authorized 100 60 20 +refund 20    | capture 40  | busy
        authorized 100 60 20 +refund 20    | void        | wrong state
        authorized 100 60 0 +capture 60    | refund 1    | exceeds 0
        authorized 100 60 0 +capture 60    | capture 41  | exceeds 40
        authorized 100 60 0 +capture 60    | capture 40  | busy
        authorized 100 60 0 +capture 60    | void        | wrong state
        authorized 100 0 0 +void           | capture 1   | busy
        authorized 100 0 0 +void           | refund 1    | exceeds 0
        authorized 100 0 0 +void           | void        | busy
    ",
    );
}

/// `authorized 60 10`: the provider's state, captured and refunded.
fn told(text: &str) -> ProviderPayment {
    let mut words = text.split_whitespace();
    let state = match words.next() {
        Some("processing") => ProviderState::Processing,
        Some("action") => ProviderState::RequiresAction("/act".to_owned()),
        Some("authorized") => ProviderState::Authorized,
        Some("declined") => ProviderState::Declined(refusal()),
        Some("voided") => ProviderState::Voided,
        other => panic!("no state {other:?}"),
    };
    let mut number = || words.next().map_or(0, |word| word.parse().expect("a number"));
    ProviderPayment {
        reference: "ref".to_owned(),
        order_id: ORD.to_owned(),
        amount: Money::new(100, "USD"),
        state,
        captured: number(),
        refunded: number(),
        held_until: None,
    }
}

fn check_heard(how: Heard, table: &str) {
    for [before, word, expected] in rows(table) {
        let payment = payment(before);
        let outcome =
            hear(&payment, &told(word), how, 0).map_or_else(|_| "not believed".to_owned(), |step| show(&step));
        let expected = if expected == "same" { before } else { expected };
        assert_eq!(outcome, expected, "{before} | {word}");
    }
}

#[test]
fn a_lookup_only_raises_what_is_known() {
    check_heard(
        Heard::Lookup,
        "
        pending                          | processing         | same
        pending                          | action             | action
        pending                          | authorized 0 0     | authorized 100 0 0, settled
        pending                          | authorized 100 0   | authorized 100 100 0, settled
        pending                          | authorized 100 30  | authorized 100 100 30, adopted 30, settled
        pending                          | declined           | declined, settled
        pending                          | voided             | voided, settled
        pending +void                    | processing         | same
        pending +void                    | action             | action +void
        pending +void                    | authorized 0 0     | same
        pending +void                    | authorized 100 0   | authorized 100 100 0, refused, settled
        pending +void                    | declined           | declined, done, settled
        pending +void                    | voided             | voided, done, settled
        action                           | processing         | pending
        action                           | action             | same
        action                           | authorized 0 0     | authorized 100 0 0, settled
        action                           | declined           | declined, settled
        action                           | voided             | voided, settled
        action +void                     | authorized 0 0     | same
        action +void                     | voided             | voided, done, settled
        authorized 100 0 0               | processing         | same
        authorized 100 0 0               | action             | same
        authorized 100 0 0               | declined           | not believed
        authorized 100 0 0               | voided             | voided, settled
        authorized 100 0 0               | authorized 0 0     | same
        authorized 100 0 0               | authorized 60 0    | authorized 100 60 0, changed
        authorized 100 60 0              | authorized 59 0    | not believed
        authorized 100 60 0              | authorized 60 0    | same
        authorized 100 60 0              | voided             | not believed
        authorized 100 60 0              | authorized 100 70  | authorized 100 100 70, adopted 70, changed
        authorized 100 60 20             | authorized 60 19   | not believed
        authorized 100 60 0 +capture 60  | authorized 0 0     | same
        authorized 100 60 0 +capture 60  | authorized 30 0    | same
        authorized 100 60 0 +capture 60  | authorized 60 0    | authorized 100 60 0, done, changed
        authorized 100 60 0 +capture 60  | authorized 80 0    | authorized 100 80 0, done, changed
        authorized 100 60 0 +capture 60  | voided             | voided, refused, settled
        authorized 100 60 0 +capture 30  | authorized 30 10   | authorized 100 60 10 +capture 30, adopted 10, changed
        authorized 100 60 20 +refund 20  | authorized 60 0    | same
        authorized 100 60 20 +refund 20  | authorized 60 10   | same
        authorized 100 60 20 +refund 20  | authorized 60 20   | authorized 100 60 20, done, changed
        authorized 100 60 20 +refund 20  | authorized 60 50   | authorized 100 60 50, done, adopted 30, changed
        authorized 100 60 20 +refund 20  | authorized 80 0    | authorized 100 80 20 +refund 20, changed
        authorized 100 60 20 +refund 20  | voided             | not believed
        authorized 100 0 0 +void         | authorized 0 0     | same
        authorized 100 0 0 +void         | voided             | voided, done, settled
        authorized 100 0 0 +void         | authorized 60 0    | authorized 100 60 0, refused, changed
        authorized 100 0 0 +void         | declined           | not believed
        declined                         | processing         | same
        declined                         | action             | same
        declined                         | declined           | same
        declined                         | voided             | same
        declined                         | authorized 0 0     | declined, problem
        voided                           | processing         | same
        voided                           | action             | same
        voided                           | declined           | same
        voided                           | voided             | same
        voided                           | authorized 0 0     | voided, problem
        voided                           | authorized 100 40  | voided, problem
        voided                           | authorized 100 100 | same
        pending                          | processing 1       | not believed
        pending                          | declined 1         | not believed
        pending                          | authorized 101 0   | not believed
        pending                          | authorized -1 0    | not believed
        pending                          | authorized 10 11   | not believed
        pending                          | authorized 10 -1   | not believed
    ",
    );
}

#[test]
fn an_answer_to_a_command_must_be_what_was_asked_for() {
    check_heard(
        Heard::Answer,
        "
        pending                          | authorized 100 0   | authorized 100 100 0, settled
        authorized 100 60 0 +capture 60  | authorized 60 0    | authorized 100 60 0, done
        authorized 100 60 0 +capture 60  | authorized 0 0     | not believed
        authorized 100 60 0 +capture 60  | authorized 61 0    | not believed
        authorized 100 60 0 +capture 60  | authorized 60 1    | not believed
        authorized 100 60 20 +refund 20  | authorized 60 20   | authorized 100 60 20, done
        authorized 100 60 20 +refund 20  | authorized 60 0    | not believed
        authorized 100 60 20 +refund 20  | authorized 60 21   | not believed
        authorized 100 60 20 +refund 20  | authorized 61 20   | not believed
        authorized 100 0 0 +void         | voided             | voided, done, settled
        authorized 100 0 0 +void         | authorized 0 0     | not believed
        pending +void                    | voided             | voided, done, settled
        pending +void                    | processing         | same
    ",
    );
}

#[test]
fn a_word_about_something_else_is_not_believed() {
    let pending = payment("pending");
    let known = Payment { reference: "ref".to_owned(), ..pending.clone() };
    let wrong: [fn(&mut ProviderPayment); 9] = [
        |told| told.order_id.push('x'),
        |told| told.amount.minor = 101,
        |told| told.amount.minor = 99,
        |told| told.amount.currency = "EUR".to_owned(),
        |told| told.reference = "other".to_owned(),
        |told| told.reference.clear(),
        |told| told.state = ProviderState::RequiresAction("javascript:alert(1)".to_owned()),
        |told| told.state = ProviderState::RequiresAction("//elsewhere.example/".to_owned()),
        |told| told.state = ProviderState::RequiresAction("/a\r\nb".to_owned()),
    ];
    assert!(hear(&known, &told("authorized 100 0"), Heard::Answer, 0).is_ok());
    for (place, change) in wrong.iter().enumerate() {
        let mut word = told("authorized 100 0");
        change(&mut word);
        if matches!(word.state, ProviderState::RequiresAction(_)) {
            word.captured = 0;
        }
        assert!(hear(&known, &word, Heard::Answer, 0).is_err(), "{place}");
    }
}

#[test]
fn late_money_is_written_down_when_it_has_been_let_go() {
    for word in ["voided", "authorized 100 100", "authorized 40 40"] {
        let voided = Payment { problem: LATE_HOLD.to_owned(), ..payment("voided") };
        let step = hear(&voided, &told(word), Heard::Lookup, 0).expect("it is believed");
        assert!(step.next.problem.is_empty() && step.transfers.len() >= 2, "{word}: {step:?}");
    }
}

#[test]
fn waits_grow_with_age_and_end() {
    let pending = payment("pending");
    for (age, wait) in [
        (0, 10_000),
        (10_000, 10_000),
        (30_000, 30_000),
        (60_000, 45_000),
        (3_600_000, 45_000),
        (90_000_000, 45_000),
        (3 * 86_400_000, 3_600_000),
    ] {
        assert_eq!(pending.next_check(age), Some(age + wait), "{age}");
    }
    assert_eq!(pending.next_check(CHECK_AGE_MAX_MS), None);
    assert_eq!(payment("declined").next_check(0), None);
    assert_eq!(payment("authorized 100 100 0").next_check(0), None);
    for held in ["authorized 100 0 0", "authorized 100 60 0"] {
        assert_eq!(payment(held).next_check(7), Some(7 + CHECK_DELAY_HELD_MS), "{held}");
        assert_eq!(payment(held).next_check(CHECK_AGE_MAX_MS), None, "{held}");
    }
    assert!(payment("authorized 100 60 0 +capture 60").next_check(0).is_some());
}

#[test]
fn a_refused_command_gives_back_what_it_reserved() {
    for (before, after) in [
        ("authorized 100 60 0 +capture 60", "authorized 100 0 0, refused"),
        ("authorized 100 60 20 +refund 20", "authorized 100 60 0, refused"),
        ("authorized 100 0 0 +void", "authorized 100 0 0, refused"),
        ("pending +void", "pending, refused"),
    ] {
        assert_eq!(show(&domain::refuse(&payment(before), &refusal())), after, "{before}");
    }
}

#[test]
fn everything_wrong_with_an_authorization_is_named() {
    let mut wrong = asked(CapturePolicy::Manual);
    wrong.payment_id = "pay_1".to_owned();
    wrong.order_id.clear();
    wrong.amount = Money::new(0, "usd");
    wrong.provider.clear();
    wrong.token = "t".repeat(201);
    wrong.return_url = "/a\nb".to_owned();
    let errors = domain::check_authorization(&wrong).expect_err("all of it is wrong");
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/payment_id", "/order_id", "/amount/minor", "/amount/currency", "/provider", "/token", "/return_url"]
    );
    for (minor, fine) in [(-1, false), (0, false), (1, true), (i64::MAX, false)] {
        let amount = Money::new(minor, "USD");
        assert_eq!(domain::check_command(&"cmd".to_owned(), Some(&amount), "").is_ok(), fine, "{minor}");
    }
}
