//! Cases of `events` and of the delivery that `subscriber` promises.

use std::sync::Arc;
use std::time::Duration;

use super::{
    ALPHA, BETA, Backend, Ears, Heard, batch, committed, deliver, deliver_to, event, fact, guarded, item, refused,
};
use souk_store::values::{Batch, NewEvent};

/// Makes a test of every case of this module.
#[macro_export]
macro_rules! events_cases {
    ($open:path) => {
        $crate::port_cases!($open, events:
            an_event_arrives_as_it_was_stated
            each_subscriber_hears_once
            an_event_that_nobody_hears_is_no_error
            an_id_is_the_component_the_batch_and_the_place
            a_repeated_batch_repeats_no_event
            a_refused_batch_states_nothing
            a_batch_of_another_component_with_the_same_id_is_heard_too
            events_of_a_key_come_in_the_order_of_their_commits
            many_keys_keep_their_orders_at_once
            another_key_does_not_wait_for_a_failing_one
            another_topic_of_the_key_does_not_wait
            another_subscriber_does_not_wait
            later_events_of_the_key_wait_for_a_failing_one
            a_failed_delivery_is_repeated_after_growing_delays
            the_tenth_failure_is_the_last
            what_waited_for_a_dead_event_goes_on
            a_panic_is_a_failed_delivery
            an_event_for_later_waits_for_its_instant
            a_later_event_does_not_wait_for_a_timer
            timers_come_by_their_instants
            timers_of_one_instant_come_in_the_order_of_their_commits
            a_timer_in_the_past_is_due_at_once
            a_timer_that_came_due_waits_for_a_failing_one_before_it
            a_timer_that_came_due_holds_what_is_behind_it
            an_event_stated_by_a_handler_is_delivered_too
        );
    };
}

/// A name for what a subscriber takes: everything but the events of these ids.
fn all_but(ids: &'static [&'static str]) -> impl Fn(&str, &super::Event) -> bool + Send + Sync + 'static {
    move |_, event| !ids.contains(&event.id.as_str())
}

async fn after(backend: &impl Backend, seconds: u64) -> Vec<String> {
    backend.advance(Duration::from_secs(seconds));
    deliver(backend).await
}

async fn timer(backend: &impl Backend, id: &str, key: &str, seconds: i64) {
    let at = backend.now_ms() + seconds * 1_000;
    committed(backend, Batch { events: vec![event("thing.happened", key, Some(at))], ..batch(id, vec![]) }).await;
}

/// Every field.
pub async fn an_event_arrives_as_it_was_stated(backend: Arc<impl Backend>) {
    let stated = NewEvent {
        topic: "thing.happened".into(),
        key: "a key ä".into(),
        payload: r#"{ "text": "日本\u0000", "list": [1, 2.5, null] }"#.into(),
        not_before: None,
    };
    let at = backend.now_ms();
    committed(&*backend, Batch { events: vec![stated.clone()], ..batch("a", vec![item("x", 1)]) }).await;
    backend.advance(Duration::from_secs(3));
    let heard = Heard::default();
    let notes = heard.clone();
    let ears: Ears = Arc::new(move |subscriber, event| {
        notes.note(subscriber, event);
        Ok(())
    });
    backend.deliver_due(ears).await;
    let heard = heard.take();
    assert_eq!(heard.len(), 1);
    let (subscriber, event) = &heard[0];
    assert_eq!(subscriber, "ear-a");
    assert_eq!((&event.topic, &event.key, &event.payload), (&stated.topic, &stated.key, &stated.payload));
    assert_eq!((event.id.as_str(), event.committed_at, event.attempt), ("alpha/a/0", at, 1));
}

/// And not again.
pub async fn each_subscriber_hears_once(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.shared", "x")).await;
    assert_eq!(deliver(&*backend).await, ["ear-a alpha/a/0 1", "ear-b alpha/a/0 1"]);
    assert!(deliver(&*backend).await.is_empty());
    assert!(after(&*backend, 100_000).await.is_empty());
}

/// The batch is committed all the same.
pub async fn an_event_that_nobody_hears_is_no_error(backend: Arc<impl Backend>) {
    let batch = Batch { events: vec![event("thing.unheard", "x", None)], ..batch("a", vec![item("x", 1)]) };
    assert_eq!(committed(&*backend, batch).await, [1]);
    assert!(deliver(&*backend).await.is_empty());
}

/// From zero.
pub async fn an_id_is_the_component_the_batch_and_the_place(backend: Arc<impl Backend>) {
    let events = (0..12).map(|_| event("thing.happened", "x", None)).collect();
    committed(&*backend, Batch { events, ..batch("step/1", vec![]) }).await;
    let expected: Vec<String> = (0..12).map(|n| format!("ear-a alpha/step/1/{n} 1")).collect();
    assert_eq!(deliver(&*backend).await, expected);
}

/// Before its delivery or after it.
pub async fn a_repeated_batch_repeats_no_event(backend: Arc<impl Backend>) {
    for _ in 0..3 {
        committed(&*backend, fact("a", "thing.happened", "x")).await;
    }
    assert_eq!(deliver(&*backend).await, ["ear-a alpha/a/0 1"]);
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    assert!(deliver(&*backend).await.is_empty());
}

/// Whatever refused it.
pub async fn a_refused_batch_states_nothing(backend: Arc<impl Backend>) {
    let said = vec![event("thing.happened", "x", None)];
    let missed = vec![item("x", 1), guarded(1, "DELETE FROM alpha_parts", vec![])];
    let answer = backend.commit(ALPHA, Batch { events: said.clone(), ..batch("a", missed) }).await;
    refused("guard", answer, "guard-missed");
    let answer = backend.commit(ALPHA, Batch { events: said.clone(), ..batch("a", vec![item("x", -1)]) }).await;
    refused("check", answer, "constraint");
    let mut events = said;
    events.push(NewEvent { payload: "no".into(), ..event("thing.happened", "x", None) });
    refused("payload", backend.commit(ALPHA, Batch { events, ..batch("a", vec![]) }).await, "invalid");
    assert!(deliver(&*backend).await.is_empty());
}

/// Ids of batches belong to a component, and so do those of its events.
pub async fn a_batch_of_another_component_with_the_same_id_is_heard_too(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    backend.commit(BETA, fact("a", "thing.ended", "x")).await.expect("it is its own");
    let mut heard = deliver(&*backend).await;
    heard.sort();
    assert_eq!(heard, ["ear-a alpha/a/0 1", "ear-a beta/a/0 1"]);
}

/// And of their places in one batch, whoever commits.
pub async fn events_of_a_key_come_in_the_order_of_their_commits(backend: Arc<impl Backend>) {
    let two = |id: &str| Batch { events: vec![event("thing.happened", "x", None); 2], ..batch(id, vec![]) };
    committed(&*backend, two("c")).await;
    backend.commit(BETA, two("a")).await.expect("it is its own");
    committed(&*backend, two("b")).await;
    let expected =
        ["alpha/c/0", "alpha/c/1", "beta/a/0", "beta/a/1", "alpha/b/0", "alpha/b/1"].map(|id| format!("ear-a {id} 1"));
    assert_eq!(deliver(&*backend).await, expected);
}

/// 20 keys, 10 events each, two subscribers, every third delivery failing once.
pub async fn many_keys_keep_their_orders_at_once(backend: Arc<impl Backend>) {
    for round in 0..10 {
        let events = (0..20).map(|key| event("thing.shared", &format!("k{key}"), None)).collect();
        committed(&*backend, Batch { events, ..batch(&format!("{round}"), vec![]) }).await;
    }
    let taken = Heard::default();
    for _ in 0..30 {
        let notes = taken.clone();
        deliver_to(&*backend, move |subscriber, event| {
            let digits: u32 = event.id.bytes().map(u32::from).sum();
            let takes = event.attempt > 1 || !digits.is_multiple_of(3);
            if takes {
                notes.note(subscriber, event);
            }
            takes
        })
        .await;
        backend.advance(Duration::from_secs(1));
    }
    let taken = taken.take();
    assert_eq!(taken.len(), 400);
    for ear in ["ear-a", "ear-b"] {
        for key in 0..20 {
            let key = format!("k{key}");
            let of_key = taken.iter().filter(|(who, event)| who == ear && event.key == key);
            let batches: Vec<_> = of_key.filter_map(|(_, event)| event.id.split('/').nth(1)).collect();
            assert_eq!(batches, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "{ear} {key}");
        }
    }
}

/// It goes its own way.
pub async fn another_key_does_not_wait_for_a_failing_one(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    committed(&*backend, fact("b", "thing.happened", "y")).await;
    let heard = deliver_to(&*backend, all_but(&["alpha/a/0"])).await;
    assert!(heard.contains(&"ear-a alpha/b/0 1".to_owned()) && heard.len() == 2, "{heard:?}");
    assert_eq!(after(&*backend, 1).await, ["ear-a alpha/a/0 2"]);
}

/// The order is one of a topic and a key.
pub async fn another_topic_of_the_key_does_not_wait(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    committed(&*backend, fact("b", "thing.ended", "x")).await;
    let heard = deliver_to(&*backend, all_but(&["alpha/a/0"])).await;
    assert!(heard.contains(&"ear-a alpha/b/0 1".to_owned()), "{heard:?}");
}

/// Nor does it hear twice.
pub async fn another_subscriber_does_not_wait(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.shared", "x")).await;
    committed(&*backend, fact("b", "thing.shared", "x")).await;
    let heard = deliver_to(&*backend, |subscriber, _| subscriber == "ear-b").await;
    assert_eq!(heard, ["ear-a alpha/a/0 1", "ear-b alpha/a/0 1", "ear-b alpha/b/0 1"]);
    assert_eq!(after(&*backend, 1).await, ["ear-a alpha/a/0 2", "ear-a alpha/b/0 1"]);
}

/// Those that came before the failure and those that come after it.
pub async fn later_events_of_the_key_wait_for_a_failing_one(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    committed(&*backend, fact("b", "thing.happened", "x")).await;
    assert_eq!(deliver_to(&*backend, all_but(&["alpha/a/0"])).await, ["ear-a alpha/a/0 1"]);
    committed(&*backend, fact("c", "thing.happened", "x")).await;
    assert!(deliver(&*backend).await.is_empty());
    backend.advance(Duration::from_secs(1));
    assert_eq!(deliver_to(&*backend, all_but(&["alpha/a/0"])).await, ["ear-a alpha/a/0 2"]);
    assert!(after(&*backend, 1).await.is_empty());
    assert_eq!(after(&*backend, 1).await, ["ear-a alpha/a/0 3", "ear-a alpha/b/0 1", "ear-a alpha/c/0 1"]);
}

/// 1 s, and twice as long each time: the nine delays of an event that is never taken.
pub async fn a_failed_delivery_is_repeated_after_growing_delays(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    assert_eq!(deliver_to(&*backend, |_, _| false).await, ["ear-a alpha/a/0 1"]);
    for (attempt, delay) in (2..).zip([1, 2, 4, 8, 16, 32, 64, 128, 256]) {
        backend.advance(Duration::from_millis(delay * 1_000 - 1));
        assert!(deliver_to(&*backend, |_, _| false).await.is_empty(), "attempt {attempt}");
        backend.advance(Duration::from_millis(1));
        assert_eq!(deliver_to(&*backend, |_, _| false).await, [format!("ear-a alpha/a/0 {attempt}")]);
    }
}

/// It is a dead letter then, of that subscriber alone.
pub async fn the_tenth_failure_is_the_last(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.shared", "x")).await;
    let mut heard = Vec::new();
    for _ in 0..20 {
        heard.extend(deliver_to(&*backend, |subscriber, _| subscriber == "ear-b").await);
        backend.advance(Duration::from_secs(3_600));
    }
    heard.sort();
    let mut expected: Vec<String> = (1..=10).map(|attempt| format!("ear-a alpha/a/0 {attempt}")).collect();
    expected.push("ear-b alpha/a/0 1".into());
    expected.sort();
    assert_eq!(heard, expected);
}

/// In order.
pub async fn what_waited_for_a_dead_event_goes_on(backend: Arc<impl Backend>) {
    for id in ["a", "b", "c"] {
        committed(&*backend, fact(id, "thing.happened", "x")).await;
    }
    for _ in 0..9 {
        assert_eq!(deliver_to(&*backend, all_but(&["alpha/a/0"])).await.len(), 1);
        backend.advance(Duration::from_secs(3_600));
    }
    let heard = deliver_to(&*backend, all_but(&["alpha/a/0"])).await;
    assert_eq!(heard, ["ear-a alpha/a/0 10", "ear-a alpha/b/0 1", "ear-a alpha/c/0 1"]);
}

/// A trap looks like this to the relay.
pub async fn a_panic_is_a_failed_delivery(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    let heard = deliver_to(&*backend, |_, event| {
        assert!(event.attempt > 1, "the case's own panic: it belongs to the test");
        true
    });
    assert_eq!(heard.await, ["ear-a alpha/a/0 1"]);
    assert_eq!(after(&*backend, 1).await, ["ear-a alpha/a/0 2"]);
}

/// To the millisecond.
pub async fn an_event_for_later_waits_for_its_instant(backend: Arc<impl Backend>) {
    timer(&*backend, "a", "x", 60).await;
    assert!(deliver(&*backend).await.is_empty());
    backend.advance(Duration::from_millis(59_999));
    assert!(deliver(&*backend).await.is_empty());
    backend.advance(Duration::from_millis(1));
    assert_eq!(deliver(&*backend).await, ["ear-a alpha/a/0 1"]);
    assert!(deliver(&*backend).await.is_empty());
}

/// Of the same key.
pub async fn a_later_event_does_not_wait_for_a_timer(backend: Arc<impl Backend>) {
    timer(&*backend, "a", "x", 60).await;
    committed(&*backend, fact("b", "thing.happened", "x")).await;
    committed(&*backend, fact("c", "thing.happened", "x")).await;
    assert_eq!(deliver(&*backend).await, ["ear-a alpha/b/0 1", "ear-a alpha/c/0 1"]);
    assert_eq!(after(&*backend, 60).await, ["ear-a alpha/a/0 1"]);
}

/// Not by their commits, when they are due at different times.
pub async fn timers_come_by_their_instants(backend: Arc<impl Backend>) {
    timer(&*backend, "a", "x", 30).await;
    timer(&*backend, "b", "x", 10).await;
    timer(&*backend, "c", "x", 20).await;
    assert!(deliver(&*backend).await.is_empty());
    assert_eq!(after(&*backend, 10).await, ["ear-a alpha/b/0 1"]);
    assert_eq!(after(&*backend, 10).await, ["ear-a alpha/c/0 1"]);
    assert_eq!(after(&*backend, 10).await, ["ear-a alpha/a/0 1"]);
}

/// Also when nobody looked until long after.
pub async fn timers_of_one_instant_come_in_the_order_of_their_commits(backend: Arc<impl Backend>) {
    for id in ["c", "a", "d", "b"] {
        timer(&*backend, id, "x", 10).await;
    }
    committed(&*backend, fact("e", "thing.happened", "x")).await;
    let expected = ["c/0", "a/0", "d/0", "b/0", "e/0"].map(|id| format!("ear-a alpha/{id} 1"));
    assert_eq!(after(&*backend, 1_000).await, expected);
}

/// And stands in the order of commits like any other.
pub async fn a_timer_in_the_past_is_due_at_once(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    timer(&*backend, "b", "x", -60).await;
    timer(&*backend, "c", "x", 0).await;
    committed(&*backend, fact("d", "thing.happened", "x")).await;
    let expected = ["a/0", "b/0", "c/0", "d/0"].map(|id| format!("ear-a alpha/{id} 1"));
    assert_eq!(deliver(&*backend).await, expected);
}

/// Its instant has come, and so has its place in the order.
pub async fn a_timer_that_came_due_waits_for_a_failing_one_before_it(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    timer(&*backend, "b", "x", 1).await;
    assert_eq!(deliver_to(&*backend, all_but(&["alpha/a/0"])).await, ["ear-a alpha/a/0 1"]);
    backend.advance(Duration::from_secs(1));
    assert_eq!(deliver_to(&*backend, all_but(&["alpha/a/0"])).await, ["ear-a alpha/a/0 2"]);
    assert_eq!(after(&*backend, 2).await, ["ear-a alpha/a/0 3", "ear-a alpha/b/0 1"]);
}

/// Until it is delivered.
pub async fn a_timer_that_came_due_holds_what_is_behind_it(backend: Arc<impl Backend>) {
    timer(&*backend, "a", "x", 10).await;
    committed(&*backend, fact("b", "thing.happened", "x")).await;
    assert_eq!(deliver_to(&*backend, |_, _| false).await, ["ear-a alpha/b/0 1"]);
    backend.advance(Duration::from_secs(10));
    assert_eq!(deliver_to(&*backend, all_but(&["alpha/a/0"])).await, ["ear-a alpha/a/0 1"]);
    committed(&*backend, fact("c", "thing.happened", "x")).await;
    assert!(deliver(&*backend).await.is_empty());
    assert_eq!(after(&*backend, 1).await, ["ear-a alpha/a/0 2", "ear-a alpha/b/0 2", "ear-a alpha/c/0 1"]);
}

/// In the same go.
pub async fn an_event_stated_by_a_handler_is_delivered_too(backend: Arc<impl Backend>) {
    committed(&*backend, fact("a", "thing.happened", "x")).await;
    let runtime = tokio::runtime::Handle::current();
    let shop = Arc::clone(&backend);
    let heard = deliver_to(&*backend, move |_, event| {
        if event.topic == "thing.happened" {
            let shop = Arc::clone(&shop);
            let said = fact(&event.id, "thing.ended", "x");
            let answer = std::thread::scope(|scope| {
                let said = scope.spawn(|| runtime.block_on(shop.commit(ALPHA, said)));
                said.join().expect("the commit has no reason to panic")
            });
            assert_eq!(answer, Ok(vec![]));
        }
        true
    });
    assert_eq!(heard.await, ["ear-a alpha/a/0 1", "ear-a alpha/alpha/a/0/0 1"]);
}
