//! The ports as a component of a world sees them.

use souk::ports::bindings::souk::shop::{config, http_out, kv, log, passwords, sql};
use souk::ports::bindings::wasi::{clocks::wall_clock, random::random};
use wasmtime::component::{HasData, Linker};

use crate::fault::Effect;
use crate::shop::State;
use crate::world::Verdict;

/// What stands before a password in its simulated hash: hashing for real would be most of the work.
const HASH: &str = "simulated:";

/// Adds every port to a linker.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    fn get(state: &mut State) -> &mut State {
        state
    }
    sql::add_to_linker::<State, InStore>(linker, get)?;
    kv::add_to_linker::<State, InStore>(linker, get)?;
    http_out::add_to_linker::<State, InStore>(linker, get)?;
    passwords::add_to_linker::<State, InStore>(linker, get)?;
    config::add_to_linker::<State, InStore>(linker, get)?;
    log::add_to_linker::<State, InStore>(linker, get)?;
    wall_clock::add_to_linker::<State, InStore>(linker, get)?;
    random::add_to_linker::<State, InStore>(linker, get)
}

struct InStore;

impl HasData for InStore {
    type Data<'a> = &'a mut State;
}

fn refused() -> String {
    "the simulation refused it".to_owned()
}

fn lost() -> String {
    "the simulation lost the answer".to_owned()
}

impl State {
    fn name(&self) -> &str {
        &self.grants.component
    }

    /// A read: every other time others have their turn before it.
    async fn turn(&self) {
        if self.scope.world.inner().order.below(2) == 0 {
            self.scope.world.wait(1).await;
        }
    }

    /// A write of a key, with all that can go wrong.
    async fn key<T>(
        &mut self,
        what: &str,
        work: impl FnOnce(&souk_store::Memory, &str, i64) -> Result<T, souk_store::values::KvError> + Send,
    ) -> Result<T, kv::KvError>
    where
        T: Send,
    {
        let step = self.step(Effect::Key);
        let world = self.scope.world.clone();
        let verdict = world.before(Some(self.scope.host), step).await;
        if verdict == Verdict::Refuse {
            return Err(kv::KvError::Unavailable(refused()));
        }
        let done = {
            let mut inner = world.inner();
            let now = inner.now;
            let done = work(&inner.memory, self.name(), now);
            inner.trace.note(now, self.name(), what, if done.is_ok() { "ok" } else { "error" });
            inner.tally.commits += 1;
            done
        };
        world.after(Some(self.scope.host), verdict).await;
        if verdict == Verdict::Lose && done.is_ok() {
            return Err(kv::KvError::Unavailable(lost()));
        }
        done.map_err(Into::into)
    }
}

impl sql::Host for State {
    async fn query(&mut self, reads: Vec<sql::Read>, batch_id: Option<String>) -> Result<sql::Snapshot, sql::SqlError> {
        self.turn().await;
        let reads: Vec<_> = reads.into_iter().map(Into::into).collect();
        let inner = self.scope.world.inner();
        Ok(inner.memory.query(self.name(), &reads, batch_id.as_deref())?.into())
    }

    async fn commit(&mut self, batch: sql::Batch) -> Result<Vec<u64>, sql::SqlError> {
        let step = self.step(Effect::Commit);
        let world = self.scope.world.clone();
        let verdict = world.before(Some(self.scope.host), step).await;
        if verdict == Verdict::Refuse {
            return Err(sql::SqlError::Unavailable(refused()));
        }
        let done = {
            let shop = &world.shop;
            let mut inner = world.inner();
            let now = inner.now;
            let batch: souk_store::values::Batch = batch.into();
            for event in &batch.events {
                let hearers = shop.topics.get(&event.topic);
                for (place, (subscriber, _)) in shop.subscribers.iter().enumerate() {
                    if hearers.is_some_and(|hearers| hearers.contains(subscriber)) {
                        inner.dirty[place] = true;
                    }
                }
            }
            let id = batch.id.clone();
            let done = inner.memory.commit(self.name(), batch, &shop.topics, now);
            let said = match &done {
                Ok(_) => "ok",
                Err(souk_store::values::SqlError::GuardMissed(_)) => "guard-missed",
                Err(_) => "error",
            };
            inner.trace.note(now, self.name(), &id, said);
            inner.tally.commits += 1;
            if let Err(souk_store::values::SqlError::Constraint(text) | souk_store::values::SqlError::Invalid(text)) =
                &done
            {
                let text = format!("{} commit {id}: {text}", self.name());
                inner.violations.push(text);
            }
            inner.check_changes();
            done
        };
        world.after(Some(self.scope.host), verdict).await;
        if verdict == Verdict::Lose && done.is_ok() {
            return Err(sql::SqlError::Unavailable(lost()));
        }
        Ok(done?)
    }
}

impl kv::Host for State {
    async fn get(&mut self, key: String) -> Result<Option<kv::Entry>, kv::KvError> {
        self.turn().await;
        let inner = self.scope.world.inner();
        Ok(inner.memory.kv_get(self.name(), &key, inner.now)?.map(Into::into))
    }

    async fn set(
        &mut self,
        key: String,
        value: String,
        condition: kv::Condition,
        ttl_seconds: Option<u64>,
    ) -> Result<u64, kv::KvError> {
        self.key("kv.set", move |memory, owner, now| {
            memory.kv_set(owner, &key, &value, condition.into(), ttl_seconds, now)
        })
        .await
    }

    async fn delete(&mut self, key: String, condition: kv::Condition) -> Result<(), kv::KvError> {
        self.key("kv.delete", move |memory, owner, now| memory.kv_delete(owner, &key, condition.into(), now)).await
    }

    async fn increment(&mut self, key: String, by: i64, ttl_seconds: Option<u64>) -> Result<i64, kv::KvError> {
        self.key("kv.increment", move |memory, owner, now| memory.kv_increment(owner, &key, by, ttl_seconds, now)).await
    }
}

impl http_out::Host for State {
    async fn send(&mut self, _: http_out::OutRequest) -> Result<http_out::InResponse, http_out::HttpOutError> {
        Err(http_out::HttpOutError::NotGranted("a simulated shop has no network".to_owned()))
    }
}

impl passwords::Host for State {
    async fn hash(&mut self, password: String) -> Result<String, passwords::PasswordError> {
        Ok(format!("{HASH}{password}"))
    }

    async fn verify(&mut self, password: String, hash: String) -> Result<passwords::Verdict, passwords::PasswordError> {
        let right = hash.strip_prefix(HASH) == Some(&password);
        Ok(if right { passwords::Verdict::Right } else { passwords::Verdict::Wrong })
    }
}

impl config::Host for State {
    fn get(&mut self, name: String) -> Option<String> {
        let own = self.scope.world.inner().config.get(&name).cloned();
        self.grants.variables.get(&name).map(|value| own.unwrap_or_else(|| value.clone()))
    }
}

impl log::Host for State {
    fn error(&mut self, message: String) {
        let mut inner = self.scope.world.inner();
        let now = inner.now;
        inner.trace.note(now, self.name(), "log", &message);
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wall_clock::Datetime {
        let now = self.scope.world.inner().clock(self.scope.host).max(0).unsigned_abs();
        wall_clock::Datetime {
            seconds: now / 1_000,
            nanoseconds: u32::try_from(now % 1_000).unwrap_or_default() * 1_000_000,
        }
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        Ok(self.scope.world.inner().bytes(usize::try_from(len)?))
    }
}
