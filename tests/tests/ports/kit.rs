//! The services' own tests run on `kit`'s test ports: a model in memory, one caller at a time.
//!
//! These are the cases whose sentences the model claims. It checks no limits and keeps no components apart, and hands
//! events to whoever takes them; services are tested for what they do with answers, and hosts for giving them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use souk_kit::bindings::souk::shop::{events as kit_events, kv as kit_kv, sql as kit_sql};
use souk_kit::ports::{Kv as _, Sql as _};
use souk_kit::testing::TestPorts;
use souk_store::values;
use souk_tests::ports_suite::{Backend, Ears, Fixture};

struct Kit {
    ports: Mutex<BTreeMap<&'static str, TestPorts>>,
    subscribers: &'static [(&'static str, &'static [&'static str])],
}

impl Kit {
    async fn open(fixture: &Fixture) -> Kit {
        let ports = fixture.components.iter().map(|(name, sql)| (*name, TestPorts::new(name, &[sql])));
        Kit { ports: Mutex::new(ports.collect()), subscribers: fixture.subscribers }
    }

    fn ports(&self) -> MutexGuard<'_, BTreeMap<&'static str, TestPorts>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Kit {
    async fn query(
        &self,
        component: &str,
        reads: Vec<values::Read>,
        batch_id: Option<&str>,
    ) -> Result<values::Snapshot, values::SqlError> {
        let read = |read: values::Read| kit_sql::Read { sql: read.sql, params: values(read.params) };
        let reads: Vec<_> = reads.into_iter().map(read).collect();
        let snapshot = self.ports()[component].query(&reads, batch_id).map_err(sql_error)?;
        let rows = |rows: kit_sql::Rows| values::Rows { columns: rows.columns, packed: rows.packed };
        Ok(values::Snapshot {
            committed: snapshot.committed,
            results: snapshot.results.into_iter().map(rows).collect(),
        })
    }

    async fn commit(&self, component: &str, batch: values::Batch) -> Result<Vec<u64>, values::SqlError> {
        let write = |write: values::Write| kit_sql::Write {
            sql: write.sql,
            params: values(write.params),
            expect: write.expect,
        };
        let event = |event: values::NewEvent| kit_events::NewEvent {
            topic: event.topic,
            key: event.key,
            payload: event.payload,
            not_before: event.not_before,
        };
        let batch = kit_sql::Batch {
            id: batch.id,
            writes: batch.writes.into_iter().map(write).collect(),
            events: batch.events.into_iter().map(event).collect(),
        };
        self.ports()[component].commit(&batch).map_err(sql_error)
    }

    async fn get(&self, component: &str, key: &str) -> Result<Option<values::Entry>, values::KvError> {
        let entry = self.ports()[component].get(key).map_err(kv_error)?;
        Ok(entry.map(|entry| values::Entry { value: entry.value, version: entry.version }))
    }

    async fn set(
        &self,
        component: &str,
        key: &str,
        value: &str,
        condition: values::Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, values::KvError> {
        self.ports()[component].set(key, value, kit_condition(condition), ttl_seconds).map_err(kv_error)
    }

    async fn delete(&self, component: &str, key: &str, condition: values::Condition) -> Result<(), values::KvError> {
        self.ports()[component].delete(key, kit_condition(condition)).map_err(kv_error)
    }

    async fn increment(
        &self,
        component: &str,
        key: &str,
        by: i64,
        ttl_seconds: Option<u64>,
    ) -> Result<i64, values::KvError> {
        self.ports()[component].increment(key, by, ttl_seconds).map_err(kv_error)
    }

    fn now_ms(&self) -> i64 {
        self.ports().values().next().map_or(0, TestPorts::now)
    }

    fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("the cases move time by years at most");
        self.ports().values().for_each(|ports| ports.advance(by));
    }

    async fn deliver_due(&self, ears: Ears) {
        let due: Vec<_> = self.ports().values().flat_map(TestPorts::take_due_events).collect();
        for event in due {
            let heard = self.subscribers.iter().filter(|(topic, _)| *topic == event.topic);
            let event = values::Event {
                id: event.id,
                topic: event.topic.clone(),
                key: event.key,
                payload: event.payload,
                committed_at: event.committed_at,
                attempt: event.attempt,
            };
            for ear in heard.flat_map(|(_, ears)| ears.iter()) {
                ears(ear, &event).expect("the cases of this file take every event");
            }
        }
    }
}

fn values(values: Vec<values::Value>) -> Vec<kit_sql::Value> {
    let value = |value| match value {
        values::Value::Null => kit_sql::Value::Null,
        values::Value::Integer(integer) => kit_sql::Value::Integer(integer),
        values::Value::Text(text) => kit_sql::Value::Text(text),
    };
    values.into_iter().map(value).collect()
}

fn sql_error(error: kit_sql::SqlError) -> values::SqlError {
    match error {
        kit_sql::SqlError::Invalid(reason) => values::SqlError::Invalid(reason),
        kit_sql::SqlError::TooLarge(reason) => values::SqlError::TooLarge(reason),
        kit_sql::SqlError::Constraint(reason) => values::SqlError::Constraint(reason),
        kit_sql::SqlError::GuardMissed(missed) => values::SqlError::GuardMissed(values::MissedGuard {
            write: missed.write,
            expected: missed.expected,
            touched: missed.touched,
        }),
        kit_sql::SqlError::StorageFull => values::SqlError::StorageFull,
        kit_sql::SqlError::Unavailable(reason) => values::SqlError::Unavailable(reason),
    }
}

fn kv_error(error: kit_kv::KvError) -> values::KvError {
    match error {
        kit_kv::KvError::Invalid(reason) => values::KvError::Invalid(reason),
        kit_kv::KvError::Conflict => values::KvError::Conflict,
        kit_kv::KvError::StorageFull => values::KvError::StorageFull,
        kit_kv::KvError::Unavailable(reason) => values::KvError::Unavailable(reason),
    }
}

fn kit_condition(condition: values::Condition) -> kit_kv::Condition {
    match condition {
        values::Condition::Always => kit_kv::Condition::Always,
        values::Condition::Absent => kit_kv::Condition::Absent,
        values::Condition::Version(version) => kit_kv::Condition::Version(version),
    }
}

souk_tests::port_cases!(Kit::open, query:
    cells_are_packed_without_padding
    integers_keep_all_their_bits
    text_keeps_every_character
    no_rows_still_have_columns
    a_query_without_reads_answers_none
    results_come_in_the_order_of_the_reads
    a_read_may_start_with_a_common_table_expression
    the_portable_functions_work
    text_sorts_by_its_bytes
    a_page_is_found_by_row_comparison
    nothing_is_committed_before_it_is
    whether_a_batch_was_committed_is_said_per_component
);

souk_tests::port_cases!(Kit::open, commit:
    the_answer_counts_the_rows_of_each_write
    each_write_sees_those_before_it
    what_stays_the_same_is_touched_all_the_same
    an_upsert_adds_to_what_is_there
    null_is_stored_and_found
    an_empty_batch_is_remembered
    a_missed_guard_undoes_all_and_names_itself
    a_met_guard_lets_the_batch_pass
    a_repeat_changes_nothing_and_gets_the_first_answer
    a_repeat_may_hold_anything
    a_failed_batch_is_not_remembered
    an_id_belongs_to_its_component
    racing_repeats_commit_once
    a_constraint_undoes_the_batch
    an_invalid_write_undoes_the_batch
    no_more_leaves_than_is_there
);

souk_tests::port_cases!(Kit::open, kv:
    what_was_set_is_got
    a_version_is_never_used_again
    a_set_happens_when_its_condition_holds
    a_delete_happens_when_its_condition_holds
    a_value_ends_with_its_time_to_live
    every_write_sets_the_time_to_live_anew
    an_expired_key_is_absent_to_every_operation
    an_increment_counts_from_zero
    a_window_of_counting_ends_when_it_should
    an_increment_that_overflows_changes_nothing
    an_increment_of_a_text_is_invalid
    one_of_many_replaces_a_version
);

souk_tests::port_cases!(Kit::open, events:
    an_event_arrives_as_it_was_stated
    each_subscriber_hears_once
    an_event_that_nobody_hears_is_no_error
    an_id_is_the_component_the_batch_and_the_place
    a_repeated_batch_repeats_no_event
    a_batch_of_another_component_with_the_same_id_is_heard_too
    an_event_for_later_waits_for_its_instant
    a_later_event_does_not_wait_for_a_timer
    timers_come_by_their_instants
    timers_of_one_instant_come_in_the_order_of_their_commits
    a_timer_in_the_past_is_due_at_once
);
