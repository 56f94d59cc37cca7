//! What idempotency keys stand for, as long as they are kept.

use std::collections::{BTreeMap, BTreeSet};

/// The keys of an account.
#[derive(Clone, Debug)]
pub struct Keys<V> {
    kept: BTreeMap<String, V>,
    /// By when they are forgotten.
    ends: BTreeSet<(i64, String)>,
}

impl<V> Default for Keys<V> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), ends: BTreeSet::new() }
    }
}

impl<V> Keys<V> {
    /// What a key stands for.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.kept.get(key)
    }

    /// From now on a key, which is free, stands for this, until a time in milliseconds since 1970.
    pub fn keep(&mut self, key: String, value: V, until: i64) {
        self.ends.insert((until, key.clone()));
        let before = self.kept.insert(key, value);
        assert!(before.is_none(), "a key stands for one thing as long as it is kept");
    }

    /// Forgets what was kept until now.
    pub fn prune(&mut self, now: i64) {
        let later = self.ends.split_off(&(now.saturating_add(1), String::new()));
        for (_, key) in std::mem::replace(&mut self.ends, later) {
            self.kept.remove(&key);
        }
    }
}
