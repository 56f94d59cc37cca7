//! Tables for the way of a message.

use super::*;

/// `STATE ATTEMPTS RESENDS | COMMAND | OUTCOME`
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [before, command, after] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("not a row: {row}")
        };
        let answer = match command {
            "taken" => Ok("ref".to_owned()),
            "refused" => Err(ChannelError::Refused("no such person".to_owned())),
            "unknown" => Err(ChannelError::UnknownProvider),
            "away" => Err(ChannelError::Unavailable("later".to_owned())),
            _ => Ok(String::new()),
        };
        let command = match command {
            "resend" => Command::Resend { batch_id: "b", now: 1000 },
            _ => Command::Tried { answer, batch_id: "b", now: 1000 },
        };
        let outcome = decide(message(before), command);
        assert_eq!(outcome.map_or_else(|refusal| format!("{refusal:?}"), |next| show(&next)), after, "{row}");
    }
}

fn message(text: &str) -> Message {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |place: usize| words[place].parse::<u32>().expect("a number");
    Message {
        id: "ntf_1".to_owned(),
        event_id: "e/0".to_owned(),
        template: "welcome".to_owned(),
        channel: EMAIL.to_owned(),
        recipient: "a@b".to_owned(),
        subject: "Welcome".to_owned(),
        state: match words[0] {
            "queued" => State::Queued(Due { event_id: "notification/a/0".to_owned(), at: 500 }),
            "sent" => State::Sent("old".to_owned()),
            "failed" => State::Failed,
            other => panic!("no state {other}"),
        },
        attempts: number(1),
        resends: number(2),
        last_error: "before".to_owned(),
        created_at: 1,
    }
}

fn show(message: &Message) -> String {
    let state = match &message.state {
        State::Queued(due) => format!("queued {} {} after {}", message.attempts, message.resends, due.at - 1000),
        State::Sent(_) => format!("sent {} {}", message.attempts, message.resends),
        State::Failed => format!("failed {} {}", message.attempts, message.resends),
    };
    format!("{state} {}", message.last_error).trim_end().to_owned()
}

#[test]
fn every_state_meets_every_command() {
    check(
        "
        queued 0 0 | taken   | sent 1 0
        queued 99 2 | taken  | sent 100 2
        queued 0 0 | refused | failed 1 0 refused: no such person
        queued 0 0 | away    | queued 1 0 after 60000 unavailable: later
        queued 1 0 | away    | queued 2 0 after 120000 unavailable: later
        queued 6 0 | away    | queued 7 0 after 3600000 unavailable: later
        queued 8 0 | away    | queued 9 0 after 3600000 unavailable: later
        queued 99 0 | away   | failed 100 0 unavailable: later
        queued 0 0 | unknown | queued 1 0 after 60000 no channel has the configured name
        queued 99 0 | unknown | failed 100 0 no channel has the configured name
        queued 3 1 | resend  | queued 0 2 after 0

        sent 1 0   | taken   | NotQueued
        sent 1 0   | refused | NotQueued
        sent 1 0   | away    | NotQueued
        sent 1 0   | unknown | NotQueued
        sent 1 0   | resend  | queued 0 1 after 0

        failed 9 0 | taken   | NotQueued
        failed 9 0 | refused | NotQueued
        failed 9 0 | away    | NotQueued
        failed 9 0 | unknown | NotQueued
        failed 9 4 | resend  | queued 0 5 after 0
    ",
    );
}

#[test]
fn pauses_double_up_to_an_hour() {
    let minutes: Vec<i64> = (1..ATTEMPTS_MAX).map(|attempts| delay_millis(attempts) / 60_000).collect();
    assert_eq!(minutes[..7], [1, 2, 4, 8, 16, 32, 60]);
    assert!(minutes[7..].iter().all(|minutes| *minutes == 60));
    assert_eq!(minutes.iter().sum::<i64>() / 1_440, 3, "it is given up on the fourth day");
}

#[test]
fn one_event_sends_a_message_and_every_other_is_late() {
    let queued = message("queued 0 0");
    assert!(queued.is_due_by("notification/a/0"));
    assert!(!queued.is_due_by("notification/b/0"));
    for state in ["sent 1 0", "failed 1 0"] {
        assert!(!message(state).is_due_by("notification/a/0"));
    }
    let next = decide(queued, Command::Resend { batch_id: "b", now: 1 }).expect("it may always be");
    assert!(next.is_due_by("notification/b/0") && !next.is_due_by("notification/a/0"));
}

#[test]
fn a_try_keeps_the_key_and_a_resend_changes_it() {
    let first = message("queued 0 0");
    let away = Command::Tried { answer: Err(ChannelError::Unavailable(String::new())), batch_id: "b", now: 1 };
    let again = decide(first.clone(), away).expect("it is queued");
    assert_eq!(again.key(), first.key());
    let resent = decide(first.clone(), Command::Resend { batch_id: "c", now: 1 }).expect("it may always be");
    assert_ne!(resent.key(), first.key());
}

#[test]
fn a_long_complaint_is_cut() {
    let refused = Err(ChannelError::Refused("é".repeat(10_000)));
    let next = decide(message("queued 0 0"), Command::Tried { answer: refused, batch_id: "b", now: 1 });
    assert_eq!(next.expect("it is queued").last_error.chars().count(), ERROR_CHARACTERS_MAX);
}
