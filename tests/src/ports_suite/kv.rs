//! Cases of `kv`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{ALPHA, BETA, Backend};
use souk_store::values::{Condition, KvError};

/// Makes a test of every case of this module.
#[macro_export]
macro_rules! kv_cases {
    ($open:path) => {
        $crate::port_cases!($open, kv:
            what_was_set_is_got
            a_version_is_never_used_again
            a_set_happens_when_its_condition_holds
            a_delete_happens_when_its_condition_holds
            what_is_absent_cannot_be_deleted_on_that_condition
            a_value_ends_with_its_time_to_live
            every_write_sets_the_time_to_live_anew
            an_expired_key_is_absent_to_every_operation
            an_increment_counts_from_zero
            a_window_of_counting_ends_when_it_should
            an_increment_that_overflows_changes_nothing
            an_increment_of_a_text_is_invalid
            keys_and_values_keep_to_their_limits
            a_time_to_live_has_limits
            a_component_sees_its_own_keys
            concurrent_increments_all_count
            one_of_many_gets_an_absent_key
            one_of_many_replaces_a_version
            a_get_sees_every_answered_write
        );
    };
}

const ALWAYS: Condition = Condition::Always;

async fn value(backend: &impl Backend, key: &str) -> Option<String> {
    backend.get(ALPHA, key).await.expect("it reads").map(|entry| entry.value)
}

async fn version(backend: &impl Backend, key: &str) -> u64 {
    backend.get(ALPHA, key).await.expect("it reads").expect("the key is there").version
}

async fn put(backend: &impl Backend, key: &str, value: &str, ttl: Option<u64>) -> u64 {
    backend.set(ALPHA, key, value, ALWAYS, ttl).await.expect("it is set")
}

/// Any text, and the version that the set answered.
pub async fn what_was_set_is_got(backend: Arc<impl Backend>) {
    assert_eq!(backend.get(ALPHA, "k").await, Ok(None));
    for text in ["", "a", "{\"a\": 1}", "日本語 👩‍👩‍👧‍👦 \u{1}\r\n", "'; DROP TABLE souk_kv; --"] {
        let version = put(&*backend, "k", text, None).await;
        let entry = backend.get(ALPHA, "k").await.expect("it reads").expect("it is there");
        assert_eq!((entry.value.as_str(), entry.version), (text, version));
    }
    backend.delete(ALPHA, "k", ALWAYS).await.expect("it is deleted");
    assert_eq!(backend.get(ALPHA, "k").await, Ok(None));
    put(&*backend, "a key: with/any character ä", "v", None).await;
    assert_eq!(value(&*backend, "a key: with/any character ä").await.as_deref(), Some("v"));
}

/// Not by the same value, not after a delete, not after an expiry.
pub async fn a_version_is_never_used_again(backend: Arc<impl Backend>) {
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        assert!(seen.insert(put(&*backend, "k", "same", None).await));
        assert!(seen.insert(put(&*backend, "k", "same", Some(1)).await));
        backend.advance(Duration::from_secs(2));
        backend.increment(ALPHA, "k", 1, None).await.expect("it counts");
        assert!(seen.insert(version(&*backend, "k").await));
        backend.increment(ALPHA, "k", 0, None).await.expect("it counts");
        assert!(seen.insert(version(&*backend, "k").await));
        backend.delete(ALPHA, "k", ALWAYS).await.expect("it is deleted");
    }
    assert!(!seen.contains(&0));
}

/// Every condition meets every state.
pub async fn a_set_happens_when_its_condition_holds(backend: Arc<impl Backend>) {
    let old = put(&*backend, "present", "old", None).await;
    let current = put(&*backend, "present", "current", None).await;
    let expired = put(&*backend, "expired", "old", Some(1)).await;
    backend.advance(Duration::from_secs(1));
    let table = [
        ("present", Condition::Absent, false),
        ("present", Condition::Version(old), false),
        ("present", Condition::Version(0), false),
        ("present", Condition::Version(u64::MAX), false),
        ("missing", Condition::Version(current), false),
        ("missing", Condition::Version(0), false),
        ("expired", Condition::Version(expired), false),
        ("present", Condition::Version(current), true),
        ("missing", Condition::Absent, true),
        ("expired", Condition::Absent, true),
        ("present", ALWAYS, true),
        ("another", ALWAYS, true),
    ];
    for (key, condition, holds) in table {
        let before = value(&*backend, key).await;
        let answer = backend.set(ALPHA, key, "new", condition, None).await;
        assert_eq!(answer.is_ok(), holds, "{key} {condition:?}: {answer:?}");
        if holds {
            assert_eq!(value(&*backend, key).await.as_deref(), Some("new"), "{key} {condition:?}");
        } else {
            assert_eq!(answer, Err(KvError::Conflict), "{key} {condition:?}");
            assert_eq!(value(&*backend, key).await, before, "{key} {condition:?}");
        }
    }
}

/// Every condition meets every state.
pub async fn a_delete_happens_when_its_condition_holds(backend: Arc<impl Backend>) {
    let old = put(&*backend, "k", "old", None).await;
    let current = put(&*backend, "k", "current", None).await;
    let expired = put(&*backend, "expired", "old", Some(1)).await;
    backend.advance(Duration::from_secs(1));
    for (key, condition, expected) in [
        ("k", Condition::Version(old), Err(KvError::Conflict)),
        ("missing", Condition::Version(current), Err(KvError::Conflict)),
        ("expired", Condition::Version(expired), Err(KvError::Conflict)),
        ("missing", ALWAYS, Ok(())),
        ("expired", ALWAYS, Ok(())),
    ] {
        assert_eq!(backend.delete(ALPHA, key, condition).await, expected, "{key} {condition:?}");
    }
    assert_eq!(value(&*backend, "k").await.as_deref(), Some("current"));
    assert_eq!(backend.delete(ALPHA, "k", Condition::Version(current)).await, Ok(()));
    assert_eq!(value(&*backend, "k").await, None);
    assert_eq!(backend.delete(ALPHA, "k", ALWAYS).await, Ok(()));
}

/// `absent` is invalid there.
pub async fn what_is_absent_cannot_be_deleted_on_that_condition(backend: Arc<impl Backend>) {
    put(&*backend, "k", "v", None).await;
    for key in ["k", "missing"] {
        let answer = backend.delete(ALPHA, key, Condition::Absent).await;
        assert!(matches!(answer, Err(KvError::Invalid(_))), "{answer:?}");
    }
    assert_eq!(value(&*backend, "k").await.as_deref(), Some("v"));
}

/// To the second; without one it stays.
pub async fn a_value_ends_with_its_time_to_live(backend: Arc<impl Backend>) {
    put(&*backend, "short", "v", Some(10)).await;
    put(&*backend, "long", "v", None).await;
    backend.advance(Duration::from_millis(9_999));
    assert_eq!(value(&*backend, "short").await.as_deref(), Some("v"));
    backend.advance(Duration::from_millis(1));
    assert_eq!(value(&*backend, "short").await, None);
    backend.advance(Duration::from_secs(20 * 365 * 24 * 3_600));
    assert_eq!(value(&*backend, "long").await.as_deref(), Some("v"));
}

/// Also to none.
pub async fn every_write_sets_the_time_to_live_anew(backend: Arc<impl Backend>) {
    put(&*backend, "longer", "v", Some(10)).await;
    put(&*backend, "shorter", "v", Some(10)).await;
    put(&*backend, "forever", "v", Some(10)).await;
    backend.advance(Duration::from_secs(5));
    put(&*backend, "longer", "v", Some(10)).await;
    put(&*backend, "shorter", "v", Some(1)).await;
    put(&*backend, "forever", "v", None).await;
    backend.advance(Duration::from_secs(1));
    assert_eq!(value(&*backend, "shorter").await, None);
    backend.advance(Duration::from_secs(8));
    assert_eq!(value(&*backend, "longer").await.as_deref(), Some("v"));
    backend.advance(Duration::from_secs(1));
    assert_eq!(value(&*backend, "longer").await, None);
    assert_eq!(value(&*backend, "forever").await.as_deref(), Some("v"));
}

/// Also to those that write.
pub async fn an_expired_key_is_absent_to_every_operation(backend: Arc<impl Backend>) {
    for key in ["get", "set", "delete", "increment"] {
        put(&*backend, key, "7", Some(1)).await;
    }
    backend.advance(Duration::from_secs(1));
    assert_eq!(backend.get(ALPHA, "get").await, Ok(None));
    assert!(backend.set(ALPHA, "set", "v", Condition::Absent, None).await.is_ok());
    assert_eq!(backend.delete(ALPHA, "delete", ALWAYS).await, Ok(()));
    assert_eq!(backend.increment(ALPHA, "increment", 1, None).await, Ok(1));
}

/// In both directions; the number is a value like any other.
pub async fn an_increment_counts_from_zero(backend: Arc<impl Backend>) {
    for (by, sum) in [(5, 5), (-8, -3), (0, -3), (i64::MAX, i64::MAX - 3)] {
        assert_eq!(backend.increment(ALPHA, "k", by, None).await, Ok(sum));
        assert_eq!(value(&*backend, "k").await, Some(sum.to_string()));
    }
    put(&*backend, "k", "40", None).await;
    assert_eq!(backend.increment(ALPHA, "k", 2, None).await, Ok(42));
    let before = version(&*backend, "k").await;
    backend.increment(ALPHA, "k", 1, None).await.expect("it counts");
    let late = backend.set(ALPHA, "k", "0", Condition::Version(before), None).await;
    assert_eq!(late, Err(KvError::Conflict), "an increment is a write");
}

/// The first increment opens it, and no later one prolongs it.
pub async fn a_window_of_counting_ends_when_it_should(backend: Arc<impl Backend>) {
    assert_eq!(backend.increment(ALPHA, "k", 1, Some(10)).await, Ok(1));
    for sum in 2..=10 {
        backend.advance(Duration::from_secs(1));
        assert_eq!(backend.increment(ALPHA, "k", 1, Some(10)).await, Ok(sum));
    }
    backend.advance(Duration::from_secs(1));
    assert_eq!(backend.increment(ALPHA, "k", 1, Some(10)).await, Ok(1));
    put(&*backend, "stays", "1", None).await;
    assert_eq!(backend.increment(ALPHA, "stays", 1, Some(1)).await, Ok(2));
    backend.advance(Duration::from_secs(5));
    assert_eq!(value(&*backend, "stays").await.as_deref(), Some("2"), "a present key keeps the time it has");
}

/// At both ends.
pub async fn an_increment_that_overflows_changes_nothing(backend: Arc<impl Backend>) {
    for (start, by) in [(i64::MAX, 1), (i64::MIN, -1), (1, i64::MAX), (-2, i64::MIN)] {
        let start = start.to_string();
        put(&*backend, "k", &start, None).await;
        let answer = backend.increment(ALPHA, "k", by, None).await;
        assert!(matches!(answer, Err(KvError::Invalid(_))), "{start} {by}: {answer:?}");
        assert_eq!(value(&*backend, "k").await, Some(start));
    }
}

/// And changes nothing.
pub async fn an_increment_of_a_text_is_invalid(backend: Arc<impl Backend>) {
    for text in ["", "a", "1.5", "1 ", "0x1", "9223372036854775808", "{}"] {
        put(&*backend, "k", text, None).await;
        let answer = backend.increment(ALPHA, "k", 1, None).await;
        assert!(matches!(answer, Err(KvError::Invalid(_))), "{text:?}: {answer:?}");
        assert_eq!(value(&*backend, "k").await.as_deref(), Some(text));
    }
}

fn assert_invalid<T: std::fmt::Debug>(what: &str, answer: Result<T, KvError>) {
    assert!(matches!(answer, Err(KvError::Invalid(_))), "{what}: {answer:?}");
}

/// In bytes.
pub async fn keys_and_values_keep_to_their_limits(backend: Arc<impl Backend>) {
    let longest = "ä".repeat(100);
    put(&*backend, &longest, "v", None).await;
    assert_eq!(value(&*backend, &longest).await.as_deref(), Some("v"));
    for key in [String::new(), longest + "a", "a\0".into()] {
        assert_invalid("get", backend.get(ALPHA, &key).await);
        assert_invalid("set", backend.set(ALPHA, &key, "v", ALWAYS, None).await);
        assert_invalid("delete", backend.delete(ALPHA, &key, ALWAYS).await);
        assert_invalid("increment", backend.increment(ALPHA, &key, 1, None).await);
    }
    let largest = "ä".repeat(128 * 1024);
    put(&*backend, "k", &largest, None).await;
    assert_eq!(value(&*backend, "k").await.as_ref(), Some(&largest));
    for value in [&format!("{largest}a"), "a\0"] {
        assert_invalid("value", backend.set(ALPHA, "k", value, ALWAYS, None).await);
    }
    assert_eq!(value(&*backend, "k").await, Some(largest));
}

/// From a second to ten years.
pub async fn a_time_to_live_has_limits(backend: Arc<impl Backend>) {
    const TEN_YEARS: u64 = 10 * 365 * 24 * 3_600;
    for ttl in [1, TEN_YEARS] {
        put(&*backend, "k", "1", Some(ttl)).await;
        assert!(backend.increment(ALPHA, &format!("n{ttl}"), 1, Some(ttl)).await.is_ok());
    }
    for ttl in [0, TEN_YEARS + 4 * 24 * 3_600, u64::MAX] {
        assert_invalid("set", backend.set(ALPHA, "k", "2", ALWAYS, Some(ttl)).await);
        assert_invalid("increment", backend.increment(ALPHA, "k", 1, Some(ttl)).await);
    }
    assert_eq!(value(&*backend, "k").await.as_deref(), Some("1"));
}

/// And no others.
pub async fn a_component_sees_its_own_keys(backend: Arc<impl Backend>) {
    let version = put(&*backend, "k", "alpha's", None).await;
    assert_eq!(backend.get(BETA, "k").await, Ok(None));
    assert_eq!(backend.set(BETA, "k", "v", Condition::Version(version), None).await, Err(KvError::Conflict));
    assert!(backend.set(BETA, "k", "beta's", Condition::Absent, None).await.is_ok());
    assert_eq!(backend.delete(BETA, "k", ALWAYS).await, Ok(()));
    assert_eq!(value(&*backend, "k").await.as_deref(), Some("alpha's"));
}

/// 16 at once.
pub async fn concurrent_increments_all_count(backend: Arc<impl Backend>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let mut sums = Vec::new();
            for _ in 0..50 {
                sums.push(backend.increment(ALPHA, "k", 1, Some(60)).await.expect("it counts"));
            }
            assert!(sums.is_sorted());
            sums
        });
    }
    let sums: BTreeSet<i64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(sums, (1..=800).collect());
}

/// The others hear `conflict`.
pub async fn one_of_many_gets_an_absent_key(backend: Arc<impl Backend>) {
    for round in 0..20 {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16 {
            let backend = Arc::clone(&backend);
            tasks.spawn(async move {
                let value = task.to_string();
                let answer = backend.set(ALPHA, &format!("k{round}"), &value, Condition::Absent, None).await;
                assert!(matches!(answer, Ok(_) | Err(KvError::Conflict)), "{answer:?}");
                answer.is_ok().then_some(value)
            });
        }
        let winners: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(value(&*backend, &format!("k{round}")).await.as_ref(), winners.first());
    }
}

/// A counter made of `get` and conditional `set` loses nothing.
pub async fn one_of_many_replaces_a_version(backend: Arc<impl Backend>) {
    put(&*backend, "k", "0", None).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let mut done = 0;
            while done < 10 {
                let entry = backend.get(ALPHA, "k").await.expect("it reads").expect("it is there");
                let next = entry.value.parse::<i64>().expect("it is a number") + 1;
                let condition = Condition::Version(entry.version);
                match backend.set(ALPHA, "k", &next.to_string(), condition, None).await {
                    Ok(_) => done += 1,
                    Err(error) => assert_eq!(error, KvError::Conflict),
                }
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(value(&*backend, "k").await.as_deref(), Some("160"));
}

/// From any task, at once.
pub async fn a_get_sees_every_answered_write(backend: Arc<impl Backend>) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let key = format!("k{task}");
            for round in 0..50 {
                let text = round.to_string();
                let version = put(&*backend, &key, &text, None).await;
                let entry = backend.get(ALPHA, &key).await.expect("it reads").expect("it is there");
                assert_eq!((entry.value, entry.version), (text, version));
                backend.delete(ALPHA, &key, Condition::Version(version)).await.expect("it is deleted");
                assert_eq!(backend.get(ALPHA, &key).await, Ok(None));
            }
        });
    }
    tasks.join_all().await;
}
