//! Ports for native tests: the `sql` contract on a real SQLite in memory, `kv` in a map, a clock that tests set,
//! and faults on demand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ffi};

use crate::bindings::souk::shop::{events, kv, passwords, sql};
use crate::ports::{Call, Config, Kv, Passwords, Sql};
use crate::types::{Actor, Context, Instant};

/// When tests begin, unless they say otherwise: 2026-01-01T00:00:00Z.
pub const START: Instant = 1_767_225_600_000;

/// What goes wrong at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is committed, and the caller hears `unavailable`.
    BeforeCommit,
    /// The batch is committed, and the caller hears `unavailable` all the same.
    LostReply,
    /// Nothing is committed, since there is no room for it.
    StorageFull,
}

/// A value of `kv`.
struct Slot {
    value: String,
    version: u64,
    expires_at: Option<Instant>,
}

/// All ports at once, single-threaded. Each test makes its own.
pub struct TestPorts {
    component: &'static str,
    db: Connection,
    slots: RefCell<BTreeMap<String, Slot>>,
    version: Cell<u64>,
    now: Cell<Instant>,
    events: RefCell<Vec<(events::Event, Option<Instant>)>>,
    config: RefCell<BTreeMap<String, String>>,
    fault: Cell<Option<(u32, Fault)>>,
    commits: Cell<u32>,
    passwords_checked: Cell<u32>,
}

impl TestPorts {
    /// The ports of a component, with these migrations applied.
    pub fn new(component: &'static str, migrations: &[&str]) -> Self {
        let db = Connection::open_in_memory().expect("SQLite opens in memory");
        db.execute_batch(
            "PRAGMA foreign_keys = ON; CREATE TABLE test_batches (id TEXT PRIMARY KEY, outcome TEXT NOT NULL);",
        )
        .expect("the table of batches is made");
        for migration in migrations {
            db.execute_batch(migration).expect("the migration applies");
        }
        Self {
            component,
            db,
            slots: RefCell::default(),
            version: Cell::new(0),
            now: Cell::new(START),
            events: RefCell::default(),
            config: RefCell::default(),
            fault: Cell::new(None),
            commits: Cell::new(0),
            passwords_checked: Cell::new(0),
        }
    }

    /// A call on behalf of an actor, now.
    pub fn call(&self, actor: Actor) -> Call {
        let ctx = Context { request_id: "test".to_owned(), actor, client: "192.0.2.1".to_owned() };
        Call { ctx, now: self.now.get() }
    }

    /// Moves the clock.
    pub fn advance(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Grants a value of the configuration.
    pub fn configure(&self, name: &str, value: &str) {
        self.config.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    /// Lets the commit after the next `skip` ones go wrong, once.
    pub fn fail_commit(&self, skip: u32, fault: Fault) {
        self.fault.set(Some((skip, fault)));
    }

    /// How many commits were asked for so far.
    pub fn commits(&self) -> u32 {
        self.commits.get()
    }

    /// How many passwords were hashed or verified so far.
    pub fn passwords_checked(&self) -> u32 {
        self.passwords_checked.get()
    }

    /// Takes the events that are due, in the order of their commits.
    pub fn take_due_events(&self) -> Vec<events::Event> {
        let now = self.now.get();
        let (due, later) = self.events.take().into_iter().partition(|(_, at)| at.is_none_or(|at| at <= now));
        self.events.replace(later);
        let due: Vec<(events::Event, Option<Instant>)> = due;
        due.into_iter().map(|(event, _)| event).collect()
    }

    /// Reads one integer with SQL of the test's own, to check what the service left behind.
    pub fn integer(&self, sql: &str) -> i64 {
        self.db.query_row(sql, [], |row| row.get(0)).expect("the test's own statement gives an integer")
    }

    fn commit_once(&self, batch: &sql::Batch) -> Result<Vec<u64>, sql::SqlError> {
        let stored: Option<String> = self
            .db
            .query_row("SELECT outcome FROM test_batches WHERE id = ?1", [&batch.id], |row| row.get(0))
            .map_or_else(
                |error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(error) },
                |v| Ok(Some(v)),
            )
            .map_err(classify)?;
        if let Some(outcome) = stored {
            return Ok(serde_json::from_str(&outcome).expect("outcomes are written as JSON"));
        }
        let transaction = self.db.unchecked_transaction().map_err(classify)?;
        let mut touched = Vec::with_capacity(batch.writes.len());
        for (place, write) in batch.writes.iter().enumerate() {
            let mut statement = transaction.prepare_cached(&write.sql).map_err(classify)?;
            if statement.readonly() {
                return Err(sql::SqlError::Invalid("a write is an INSERT, UPDATE or DELETE".to_owned()));
            }
            let rows = statement.execute(rusqlite::params_from_iter(&write.params)).map_err(classify)? as u64;
            if let Some(expected) = write.expect.filter(|expected| *expected != rows) {
                let write = u32::try_from(place).expect("batches are small");
                return Err(sql::SqlError::GuardMissed(sql::MissedGuard { write, expected, touched: rows }));
            }
            touched.push(rows);
        }
        let outcome = serde_json::to_string(&touched).expect("numbers are JSON");
        transaction
            .execute("INSERT INTO test_batches (id, outcome) VALUES (?1, ?2)", [&batch.id, &outcome])
            .map_err(classify)?;
        transaction.commit().map_err(classify)?;
        self.store_events(batch);
        Ok(touched)
    }

    fn store_events(&self, batch: &sql::Batch) {
        for (place, event) in batch.events.iter().enumerate() {
            let stored = events::Event {
                id: format!("{}/{}/{place}", self.component, batch.id),
                topic: event.topic.clone(),
                key: event.key.clone(),
                payload: event.payload.clone(),
                committed_at: self.now.get(),
                attempt: 1,
            };
            self.events.borrow_mut().push((stored, event.not_before));
        }
    }

    fn present(&self, key: &str) -> Option<kv::Entry> {
        let now = self.now.get();
        let slots = self.slots.borrow();
        let slot = slots.get(key).filter(|slot| slot.expires_at.is_none_or(|at| now < at))?;
        Some(kv::Entry { value: slot.value.clone(), version: slot.version })
    }

    fn holds(&self, key: &str, condition: kv::Condition) -> Result<(), kv::KvError> {
        let version = self.present(key).map(|entry| entry.version);
        let holds = match condition {
            kv::Condition::Always => true,
            kv::Condition::Absent => version.is_none(),
            kv::Condition::Version(wanted) => version == Some(wanted),
        };
        if holds { Ok(()) } else { Err(kv::KvError::Conflict) }
    }

    fn expiry(&self, ttl_seconds: Option<u64>) -> Option<Instant> {
        ttl_seconds.map(|ttl| self.now.get() + i64::try_from(ttl).expect("tests keep times short") * 1000)
    }

    fn put(&self, key: &str, value: String, expires_at: Option<Instant>) -> u64 {
        let version = self.version.get() + 1;
        self.version.set(version);
        self.slots.borrow_mut().insert(key.to_owned(), Slot { value, version, expires_at });
        version
    }
}

impl Sql for TestPorts {
    fn query(&self, reads: &[sql::Read], batch_id: Option<&str>) -> Result<sql::Snapshot, sql::SqlError> {
        let mut results = Vec::with_capacity(reads.len());
        for read in reads {
            let mut statement = self.db.prepare_cached(&read.sql).map_err(classify)?;
            if !statement.readonly() {
                return Err(sql::SqlError::Invalid("a read is a SELECT".to_owned()));
            }
            let columns = statement.column_count();
            let mut packed = Vec::new();
            let mut rows = statement.query(rusqlite::params_from_iter(&read.params)).map_err(classify)?;
            while let Some(row) = rows.next().map_err(classify)? {
                for column in 0..columns {
                    pack(&mut packed, row.get_ref(column).map_err(classify)?)?;
                }
            }
            results.push(sql::Rows { columns: u32::try_from(columns).expect("few columns"), packed });
        }
        let committed = match batch_id {
            None => false,
            Some(id) => {
                self.db
                    .query_row("SELECT count(*) FROM test_batches WHERE id = ?1", [id], |row| row.get::<_, i64>(0))
                    .map_err(classify)?
                    > 0
            }
        };
        Ok(sql::Snapshot { committed, results })
    }

    fn commit(&self, batch: &sql::Batch) -> Result<Vec<u64>, sql::SqlError> {
        self.commits.set(self.commits.get() + 1);
        let unavailable = || sql::SqlError::Unavailable("a fault that the test asked for".to_owned());
        match self.fault.take() {
            Some((0, Fault::BeforeCommit)) => Err(unavailable()),
            Some((0, Fault::LostReply)) => self.commit_once(batch).and_then(|_| Err(unavailable())),
            Some((0, Fault::StorageFull)) => Err(sql::SqlError::StorageFull),
            Some((skip, fault)) => {
                self.fault.set(Some((skip - 1, fault)));
                self.commit_once(batch)
            }
            None => self.commit_once(batch),
        }
    }
}

impl Kv for TestPorts {
    fn get(&self, key: &str) -> Result<Option<kv::Entry>, kv::KvError> {
        Ok(self.present(key))
    }

    fn set(
        &self,
        key: &str,
        value: &str,
        condition: kv::Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, kv::KvError> {
        self.holds(key, condition)?;
        Ok(self.put(key, value.to_owned(), self.expiry(ttl_seconds)))
    }

    fn delete(&self, key: &str, condition: kv::Condition) -> Result<(), kv::KvError> {
        self.holds(key, condition)?;
        self.slots.borrow_mut().remove(key);
        Ok(())
    }

    fn increment(&self, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, kv::KvError> {
        let (before, expires_at) = match self.present(key) {
            None => (0, self.expiry(ttl_seconds)),
            Some(entry) => {
                let number = entry.value.parse::<i64>().map_err(|_| kv::KvError::Invalid("not a number".to_owned()))?;
                (number, self.slots.borrow()[key].expires_at)
            }
        };
        let sum = before.checked_add(by).ok_or_else(|| kv::KvError::Invalid("overflow".to_owned()))?;
        self.put(key, sum.to_string(), expires_at);
        Ok(sum)
    }
}

impl Passwords for TestPorts {
    fn hash(&self, password: &str) -> Result<String, passwords::PasswordError> {
        self.passwords_checked.set(self.passwords_checked.get() + 1);
        Ok(format!("test${password}"))
    }

    fn verify(&self, password: &str, hash: &str) -> Result<passwords::Verdict, passwords::PasswordError> {
        self.passwords_checked.set(self.passwords_checked.get() + 1);
        Ok(match hash.strip_prefix("test$") {
            Some(known) if known == password => passwords::Verdict::Right,
            Some(_) | None => passwords::Verdict::Wrong,
        })
    }
}

impl Config for TestPorts {
    fn get(&self, name: &str) -> Option<String> {
        self.config.borrow().get(name).cloned()
    }
}

impl ToSql for sql::Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn pack(packed: &mut Vec<u8>, cell: ValueRef<'_>) -> Result<(), sql::SqlError> {
    match cell {
        ValueRef::Null => packed.push(0),
        ValueRef::Integer(number) => {
            packed.push(1);
            packed.extend(number.to_le_bytes());
        }
        ValueRef::Text(text) => {
            packed.push(2);
            packed.extend(u32::try_from(text.len()).expect("texts are small").to_le_bytes());
            packed.extend(text);
        }
        ValueRef::Real(_) | ValueRef::Blob(_) => {
            return Err(sql::SqlError::Invalid("cells are integers and texts".to_owned()));
        }
    }
    Ok(())
}

fn classify(error: rusqlite::Error) -> sql::SqlError {
    match error {
        rusqlite::Error::SqliteFailure(ffi::Error { code: ffi::ErrorCode::ConstraintViolation, .. }, text) => {
            sql::SqlError::Constraint(text.unwrap_or_default())
        }
        other => sql::SqlError::Invalid(other.to_string()),
    }
}

/// Seeded numbers for laws: SplitMix64 (Steele, Lea, Flood 2014). A failing law prints its seed.
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero to `below`, which is excluded.
    pub fn below(&mut self, below: u64) -> u64 {
        self.roll() % below
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).expect("an index fits")]
    }
}

/// Runs a law once for each of `cases` seeds and names the seed that broke it.
pub fn law(cases: u64, mut check: impl FnMut(&mut Dice)) {
    for seed in 0..cases {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&mut Dice::new(seed))));
        if let Err(panic) = outcome {
            eprintln!("the law broke at seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
