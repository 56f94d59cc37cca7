//! `souk dead-letters`: events that a subscriber failed to take ten times.

use std::fmt::Write as _;

use clap::Subcommand;
use reqwest::Method;
use souk_store::{Replay, Store};

use super::{Outcome, Place, operator::Running};

/// Where a running host is asked.
pub const PATH: &str = "/dead-letters";
/// Dead letters that are listed at once.
const LISTED_MAX: u32 = 1_000;
/// What is listed when there are none.
const NONE: &str = "0 dead letters";

/// What to do with dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Shows them, the oldest first; exits with 1 when there are any.
    List,
    /// Puts them back among the events to deliver.
    Replay {
        /// The number that `list` shows. All of them when it is left out.
        id: Option<i64>,
    },
}

/// Shows or replays, by the running host when there is one.
pub async fn run(place: &Place, action: &Action) -> anyhow::Result<Outcome> {
    let running = Running::find(&place.data).await;
    let text = match (action, running) {
        (Action::List, Some(host)) => host.ask(Method::POST, PATH).await?,
        (Action::List, None) => list(&*place.store()?).await?,
        (Action::Replay { id }, Some(host)) => {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            host.ask(Method::POST, &format!("{PATH}/replay?{id}")).await?
        }
        (Action::Replay { id }, None) => replay(&*place.store()?, *id).await?,
    };
    print!("{text}");
    let well = !matches!(action, Action::List) || text.trim_end().ends_with(NONE);
    Ok(if well { Outcome::Good } else { Outcome::Found })
}

/// The oldest dead letters, one a line, and how many these are.
pub async fn list(store: &Store) -> anyhow::Result<String> {
    let letters = store.dead_letters(LISTED_MAX).await?;
    let mut text = String::new();
    for letter in &letters {
        let event = &letter.event;
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{} deliveries\t{}",
            letter.id, letter.subscriber, event.topic, event.key, event.attempt, letter.error
        );
    }
    let _ = writeln!(text, "{} dead letters", letters.len());
    Ok(text)
}

/// Puts one or all of them back.
pub async fn replay(store: &Store, id: Option<i64>) -> anyhow::Result<String> {
    let which = id.map_or(Replay::All, Replay::One);
    Ok(format!("{} to be delivered again\n", store.replay(which).await?))
}
