//! Stories of messages on a real SQLite, with a channel that may be away and commits that may fail.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use souk_kit::sql::{Batch, Read, Snapshot};
use souk_kit::testing::{Fault, TestPorts};
use souk_kit::types::Actor;

use super::*;
use crate::audit;
use crate::domain::ATTEMPTS_MAX;

const MIGRATION: &str = include_str!("../../migrations/0001_messages.sql");

/// Test ports and a channel that keeps what it takes, once per key.
struct Post {
    ports: TestPorts,
    taken: RefCell<BTreeMap<String, RenderedMessage>>,
    calls: RefCell<Vec<(String, String)>>,
    answers: RefCell<VecDeque<ChannelError>>,
}

impl Post {
    fn new() -> Self {
        let ports = TestPorts::new("notification", &[MIGRATION]);
        ports.configure("public_url", "http://127.0.0.1:3000/");
        ports.configure("shop_name", "Tea & Co");
        Self { ports, taken: RefCell::default(), calls: RefCell::default(), answers: RefCell::default() }
    }

    fn system(&self) -> Call {
        self.ports.call(Actor::System("relay".to_owned()))
    }

    /// The channel will say this to the next calls.
    fn will_say(&self, answers: impl IntoIterator<Item = ChannelError>) {
        self.answers.borrow_mut().extend(answers);
    }

    /// Delivers every event that is due until none is, and again what failed.
    fn deliver(&self) {
        for _ in 0..100 {
            let events = self.ports.take_due_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                let delivered = (0..5).any(|_| handle(self, &self.system(), &event).is_ok());
                assert!(delivered, "five deliveries are enough for one fault");
                handle(self, &self.system(), &event).expect("a delivery too many is harmless");
            }
        }
        panic!("the events never end");
    }

    /// Delivers all that becomes due within five days.
    fn deliver_for_days(&self) {
        for _ in 0..5 * 24 * 60 {
            self.deliver();
            self.ports.advance(60_000);
        }
    }

    fn only(&self) -> NotificationSummary {
        let page = self.list("", None, 100);
        assert_eq!(page.items.len(), 1, "{:?}", page.items);
        page.items[0].clone()
    }

    fn list(&self, recipient: &str, cursor: Option<String>, limit: u32) -> NotificationPage {
        let staff = self.ports.call(Actor::Staff("usr_s".to_owned()));
        list(self, &staff, recipient, &PageRequest { cursor, limit }).expect("the page is read")
    }

    fn resend(&self, command: &str, id: &Id) -> Result<(), NotificationError> {
        resend(self, &self.ports.call(Actor::Staff("usr_s".to_owned())), &command.to_owned(), id)
    }

    fn assert_sound(&self) {
        assert_eq!(audit::check(&self.ports, &self.system(), None).expect("it is read").findings, []);
    }
}

impl Sql for Post {
    fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        self.ports.query(reads, batch_id)
    }

    fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
        self.ports.commit(batch)
    }
}

impl Config for Post {
    fn get(&self, name: &str) -> Option<String> {
        Config::get(&self.ports, name)
    }
}

impl Channels for Post {
    fn send(&self, _: &Context, provider: &str, message: &RenderedMessage) -> Result<String, ChannelError> {
        self.calls.borrow_mut().push((provider.to_owned(), message.key.clone()));
        match self.answers.borrow_mut().pop_front() {
            Some(error) => Err(error),
            None => {
                self.taken.borrow_mut().entry(message.key.clone()).or_insert_with(|| message.clone());
                Ok(format!("ref-{}", message.key))
            }
        }
    }
}

fn away() -> ChannelError {
    ChannelError::Unavailable("away".to_owned())
}

fn registered(id: &str, email: &str) -> Event {
    Event {
        id: id.to_owned(),
        topic: "user.registered".to_owned(),
        key: "usr_1".to_owned(),
        payload: format!(r#"{{"user_id":"usr_1","email":"{email}","name":"Ada","token":"tok"}}"#),
        committed_at: 0,
        attempt: 1,
    }
}

#[test]
fn a_fact_becomes_one_mail_however_often_it_is_heard() {
    let post = Post::new();
    for _ in 0..3 {
        handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
        post.deliver();
    }
    let message = post.only();
    assert_eq!((message.state, message.attempts, &message.last_error[..]), (DeliveryState::Sent, 1, ""));
    assert_eq!((&message.template[..], &message.channel[..]), ("welcome", "email"));
    let taken = post.taken.borrow();
    let sent = taken.values().next().expect("it was sent");
    assert_eq!(taken.len(), 1);
    assert_eq!((&sent.recipient[..], &sent.subject[..]), ("ada@example.org", "Welcome to Tea & Co"));
    assert!(sent.text.contains("http://127.0.0.1:3000/account/verify?token=tok"));
    assert!(sent.html.contains("http://127.0.0.1:3000/account/verify?token=tok"));
    assert_eq!(post.calls.borrow()[..], [("mailbox".to_owned(), sent.key.clone())]);
    post.assert_sound();
}

#[test]
fn a_fact_heard_again_after_its_batch_was_forgotten_changes_nothing() {
    let post = Post::new();
    let event = registered("e/0", "ada@example.org");
    handle(&post, &post.system(), &event).expect("it is heard");
    post.deliver();
    let sent = post.only();
    let fact = Fact::parse(&event.topic, &event.payload).expect("it is one");
    let mail = mail::render(&shop(&post).expect("it is configured"), &fact);
    let again = Message::new(&event.id, &mail, "another-batch", post.ports.now());
    store::insert(&post, "another-batch", &again, &mail).expect("it is committed");
    post.deliver();
    assert_eq!(post.only(), sent);
    assert_eq!(post.calls.borrow().len(), 1, "its timer is late");
    post.assert_sound();
}

#[test]
fn the_configuration_names_the_channel() {
    let post = Post::new();
    post.ports.configure("email_channel", "smtp");
    handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
    post.deliver();
    assert_eq!(post.calls.borrow()[0].0, "smtp");
}

#[test]
fn without_an_address_of_the_shop_no_mail_is_made() {
    for public_url in [None, Some("shop.example"), Some("javascript:alert(1)")] {
        let post = Post { ports: TestPorts::new("notification", &[MIGRATION]), ..Post::new() };
        if let Some(public_url) = public_url {
            post.ports.configure("public_url", public_url);
        }
        let refused = handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect_err("it is refused");
        assert!(refused.contains("`public_url`"), "{refused}");
        assert_eq!(post.ports.commits(), 0);
    }
}

#[test]
fn a_channel_that_is_away_is_tried_again_later() {
    let post = Post::new();
    post.will_say([away(), away(), ChannelError::UnknownProvider]);
    handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
    post.deliver();
    let waiting = post.only();
    assert_eq!(
        (waiting.state, waiting.attempts, &waiting.last_error[..]),
        (DeliveryState::Queued, 1, "unavailable: away")
    );
    assert_eq!(post.calls.borrow().len(), 1, "not before its time");
    post.ports.advance(59_999);
    post.deliver();
    assert_eq!(post.calls.borrow().len(), 1);
    post.ports.advance(1);
    post.deliver();
    assert_eq!(post.calls.borrow().len(), 2);
    post.deliver_for_days();
    let sent = post.only();
    assert_eq!((sent.state, sent.attempts, &sent.last_error[..]), (DeliveryState::Sent, 4, ""));
    assert_eq!(post.taken.borrow().len(), 1);
    post.assert_sound();
}

#[test]
fn a_message_is_given_up_after_four_days_and_at_once_when_it_is_refused() {
    for (answers, tries) in [(vec![away(); 150], ATTEMPTS_MAX), (vec![ChannelError::Refused("no".to_owned())], 1)] {
        let post = Post::new();
        post.will_say(answers);
        handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
        post.deliver_for_days();
        let message = post.only();
        assert_eq!((message.state, message.attempts), (DeliveryState::Failed, tries));
        assert_ne!(message.last_error, "");
        assert_eq!(post.calls.borrow().len(), tries as usize);
        post.assert_sound();

        post.answers.borrow_mut().clear();
        post.resend("c1", &message.id).expect("a person asks for it");
        post.deliver();
        assert_eq!(post.only().state, DeliveryState::Sent);
        assert_eq!(post.taken.borrow().len(), 1);
    }
}

#[test]
fn a_resend_sends_once_more_and_its_repeat_does_not() {
    let post = Post::new();
    handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
    post.deliver();
    let id = post.only().id;
    for _ in 0..3 {
        post.resend("c1", &id).expect("a repeat is harmless");
        post.deliver();
    }
    assert_eq!(post.taken.borrow().len(), 2);
    post.resend("c2", &id).expect("another command");
    post.deliver();
    let keys: Vec<String> = post.taken.borrow().keys().cloned().collect();
    assert_eq!(keys, [format!("{id}-0"), format!("{id}-1"), format!("{id}-2")]);
    post.assert_sound();
}

#[test]
fn a_timer_of_before_a_resend_sends_nothing() {
    let post = Post::new();
    post.will_say([away(), away()]);
    handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
    post.deliver(); // the first try; the next is due in a minute
    post.resend("c1", &post.only().id).expect("someone is impatient");
    post.deliver(); // the first try of the resend; its next is due in a minute, too
    post.ports.advance(60_000);
    post.deliver();
    assert_eq!(post.calls.borrow().len(), 3, "the timer of the first chain is late");
    assert_eq!(post.taken.borrow().len(), 1);
    post.assert_sound();
}

#[test]
fn a_resend_while_the_message_is_being_sent_wins() {
    /// Sends the message again just while the channel works.
    struct Meanwhile(Post);
    impl Sql for Meanwhile {
        fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
            self.0.query(reads, batch_id)
        }
        fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
            self.0.commit(batch)
        }
    }
    impl Config for Meanwhile {
        fn get(&self, name: &str) -> Option<String> {
            Config::get(&self.0, name)
        }
    }
    impl Channels for Meanwhile {
        fn send(&self, ctx: &Context, provider: &str, message: &RenderedMessage) -> Result<String, ChannelError> {
            self.0.resend("c1", &self.0.only().id).expect("it may always be");
            self.0.send(ctx, provider, message)
        }
    }
    let post = Meanwhile(Post::new());
    handle(&post, &post.0.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
    let first = post.0.ports.take_due_events();
    handle(&post, &post.0.system(), &first[0]).expect_err("the row changed under it");
    handle(&post, &post.0.system(), &first[0]).expect("it is late now");
    post.0.deliver();
    assert_eq!(post.0.taken.borrow().len(), 2);
    assert_eq!(post.0.only().state, DeliveryState::Sent);
    post.0.assert_sound();
}

#[test]
fn a_failure_at_any_commit_sends_no_mail_twice_and_loses_none() {
    // The commits: heard, tried, tried again, resent, tried.
    for fault in [Fault::BeforeCommit, Fault::LostReply, Fault::StorageFull] {
        for skip in 0..5 {
            let post = Post::new();
            post.will_say([away()]);
            post.ports.fail_commit(skip, fault);
            let heard = (0..2).any(|_| handle(&post, &post.system(), &registered("e/0", "ada@example.org")).is_ok());
            assert!(heard);
            post.deliver_for_days();
            let id = post.only().id;
            let resent = (0..2).any(|_| post.resend("c1", &id).is_ok());
            assert!(resent);
            post.deliver_for_days();
            assert_eq!(post.only().state, DeliveryState::Sent, "{fault:?} {skip}");
            let keys: Vec<String> = post.taken.borrow().keys().cloned().collect();
            assert_eq!(keys, [format!("{id}-0"), format!("{id}-1")], "{fault:?} {skip}");
            post.assert_sound();
        }
    }
}

#[test]
fn the_log_is_read_newest_first_in_pages() {
    let post = Post::new();
    for number in 0..7 {
        let email = if number % 2 == 0 { "even@example.org" } else { "odd@example.org" };
        handle(&post, &post.system(), &registered(&format!("e{number}/0"), email)).expect("it is heard");
        if number != 3 {
            post.ports.advance(1); // two of them are made at the same instant
        }
    }
    for (recipient, count) in [("", 7), ("even@example.org", 4), ("odd@example.org", 3), ("none@example.org", 0)] {
        for limit in 1..=8 {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = post.list(recipient, cursor, limit);
                assert!(page.items.len() <= limit as usize);
                seen.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen.len(), count, "{recipient} by {limit}");
            assert!(seen.is_sorted_by(|a, b| (a.created_at, &a.id) > (b.created_at, &b.id)), "newest first, each once");
        }
    }
}

#[test]
fn the_log_is_for_staff() {
    let post = Post::new();
    handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
    let id = post.only().id;
    for actor in [Actor::Guest, Actor::User("usr_1".to_owned())] {
        let call = post.ports.call(actor);
        let page = list(&post, &call, "", &PageRequest { cursor: None, limit: 10 }).expect("nothing is seen");
        assert_eq!(page.items.len(), 0);
        assert_eq!(resend(&post, &call, &"c1".to_owned(), &id), Err(NotificationError::NotFound));
    }
}

#[test]
fn input_that_is_not_acceptable_is_refused() {
    let post = Post::new();
    let staff = post.ports.call(Actor::Staff("usr_s".to_owned()));
    let foreign = cursor::encode(&["yesterday", "ntf_1"]);
    for (cursor, limit) in [(None, 0), (None, 101), (Some("%%".to_owned()), 10), (Some(foreign), 10)] {
        let refused = list(&post, &staff, "", &PageRequest { cursor, limit });
        assert!(matches!(refused, Err(NotificationError::Invalid(_))), "{refused:?}");
    }
    let unknown = ids::derive("ntf", &["unknown"]);
    assert_eq!(post.resend("c1", &unknown), Err(NotificationError::NotFound));
    assert!(matches!(post.resend("", &unknown), Err(NotificationError::Invalid(_))));
    assert!(matches!(post.resend("c1", &"ntf_1".to_owned()), Err(NotificationError::Invalid(_))));
}

#[test]
fn an_event_that_is_not_understood_fails_its_delivery_and_changes_nothing() {
    let post = Post::new();
    let event = |topic: &str, payload: &str| Event {
        topic: topic.to_owned(),
        payload: payload.to_owned(),
        ..registered("e/0", "a@b")
    };
    for event in [
        event("user.registered", "{}"),
        event("user.deleted", "{}"),
        event(store::SEND_DUE, "{}"),
        event(store::SEND_DUE, r#"{"notification_id":"ntf_1"}"#),
    ] {
        handle(&post, &post.system(), &event).expect_err("it is not understood");
    }
    assert_eq!(post.ports.commits(), 0);
}

#[test]
fn the_audit_finds_what_does_not_add_up() {
    let post = Post::new();
    handle(&post, &post.system(), &registered("e/0", "ada@example.org")).expect("it is heard");
    post.assert_sound();
    post.ports.advance(audit::STUCK_AFTER_MILLIS + 1);
    let found = |post: &Post| -> Vec<&'static str> {
        let page = audit::check(&post.ports, &post.system(), None).expect("it is read");
        assert_eq!((page.checked, page.next), (1, None));
        page.findings.iter().map(|finding| finding.invariant).collect()
    };
    assert_eq!(found(&post), ["queued_message_is_tried"]);
    let forge = |number: u32, sql: &str| {
        let batch =
            Batch { id: format!("forged-{number}"), writes: vec![souk_kit::sql::write(sql, [])], events: Vec::new() };
        post.commit(&batch).expect("the constraints allow it");
    };
    forge(1, "UPDATE notification_messages SET recipient = 'other@example.org'");
    forge(2, "UPDATE notification_messages SET state = 'sent', due_event = NULL, due_at = NULL");
    assert_eq!(found(&post), ["message_id_is_derived", "sent_message_was_tried"]);
    forge(3, "UPDATE notification_messages SET state = 'failed'");
    assert_eq!(found(&post), ["message_id_is_derived", "failed_message_was_tried"]);
}
