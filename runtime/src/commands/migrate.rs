//! `souk migrate`: brings the tables of every component up to date, and makes the secrets that are missing.

use anyhow::Context;
use souk_store::Store;

use super::{Outcome, Place};
use crate::{app::Parts, variables::Make};

/// Applies what has not been applied and says what that was.
pub async fn run(place: &Place) -> anyhow::Result<Outcome> {
    let engine = place.engine()?;
    // Here too, since on a lattice and under Spin no `souk up` ever makes them.
    let parts = place.load(&engine, Make::Missing)?;
    let host = place.open(engine, &parts)?;
    for (component, applied) in apply(&host.providers.store, &parts).await? {
        println!("{component}: {applied} applied");
    }
    Ok(Outcome::Good)
}

/// Applies the migrations of every component; answers how many that were, by component.
pub async fn apply(store: &Store, parts: &Parts) -> anyhow::Result<Vec<(String, u32)>> {
    let mut all = Vec::new();
    for (component, dir) in parts.migrations() {
        let applied = store
            .migrate(component, dir)
            .await
            .with_context(|| format!("the migrations of {component} in {}", dir.display()))?;
        all.push((component.to_owned(), applied));
    }
    Ok(all)
}
