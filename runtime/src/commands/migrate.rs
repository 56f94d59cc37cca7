//! `souk migrate`: brings the tables of every component up to date.

use anyhow::Context;

use super::{Outcome, Place};
use crate::{app::Parts, providers::Providers, variables::Make};

/// Applies what has not been applied and says what that was.
pub fn run(place: &Place) -> anyhow::Result<Outcome> {
    let engine = place.engine()?;
    let parts = place.load(&engine, Make::Nothing)?;
    let host = place.open(engine, &parts)?;
    for (component, applied) in apply(&host.providers, &parts)? {
        println!("{component}: {applied} applied");
    }
    Ok(Outcome::Good)
}

/// Applies the migrations of every component; answers how many that were, by component.
pub fn apply(providers: &Providers, parts: &Parts) -> anyhow::Result<Vec<(String, u32)>> {
    parts
        .migrations()
        .map(|(component, dir)| {
            let applied = providers
                .migrate(component, dir)
                .with_context(|| format!("the migrations of {component} in {}", dir.display()))?;
            Ok((component.to_owned(), applied))
        })
        .collect()
}
