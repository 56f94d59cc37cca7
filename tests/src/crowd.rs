//! Many who do something at once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::client::{Answer, Client};

/// How often a request that may succeed later is sent again.
const REPEATS_MAX: u32 = 60;
/// The wait before a repeat when the answer names none.
const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// Each race has the machine to itself: two at once would not race harder, only slower.
pub async fn machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::const_new(());
    MACHINE.lock().await
}

/// Makes numbered tries with so many clients at once, and answers what came of them in the order of their numbers.
pub async fn crowd<T, F, Fut>(clients: usize, tries: usize, each: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (next, each) = (Arc::clone(&next), each.clone());
        tasks.spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= tries {
                    return outcomes;
                }
                outcomes.push((number, each(number).await));
            }
        });
    }
    let outcomes: BTreeMap<usize, T> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(outcomes.len(), tries);
    outcomes.into_values().collect()
}

/// The code of a problem; empty for anything else.
pub fn code(answer: &Answer) -> String {
    if answer.status < 400 { String::new() } else { answer.problem() }
}

/// Posts JSON under an idempotency key until the answer says what became of it.
pub async fn patiently(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let headers = [("idempotency-key", key), ("content-type", "application/json")];
    send_patiently(client, "POST", path, &headers, Some(body.to_string().into_bytes())).await
}

/// Sends a request again and again until its answer says what became of it, with the waits that the answers name.
pub async fn send_patiently(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Answer {
    for _ in 0..REPEATS_MAX {
        let answer = client.send(method, path, headers, body.clone()).await;
        let undecided = match code(&answer).as_str() {
            "unavailable"
            | "storage_full"
            | "throttled"
            | "idempotency_in_progress"
            | "completion_in_progress"
            | "conflict" => true,
            "" => answer.status == 503,
            _ => false,
        };
        if !undecided {
            return answer;
        }
        let named = answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let mut wait = interval(named.unwrap_or(REPEAT_AFTER));
        wait.set_missed_tick_behavior(MissedTickBehavior::Delay);
        wait.tick().await; // the first comes at once
        wait.tick().await;
    }
    panic!("{method} {path} with {headers:?} is undecided after {REPEATS_MAX} tries");
}
