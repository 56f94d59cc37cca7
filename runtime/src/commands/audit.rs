//! `souk audit`: asks every component that can whether its own books add up, and whether every event was taken.
//!
//! It works beside a running host, which then does the asking, and without one.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

use clap::Args;
use reqwest::Method;
use souk_server::trace::{self, Trace};
use souk_store::Store;
use wasmtime::component::{ComponentNamedList, Lift, Lower};

use super::{Outcome, Place, operator::Running};
use crate::{
    app::App,
    call::{Failure, Scope},
    edge::{AuditPage, Context, Typed},
    variables::Make,
};

/// Where a running host is asked.
pub const PATH: &str = "/audit";
/// How every report of an audit without findings ends.
const ALL_WELL: &str = ", 0 failed";
/// Steps of one component's audit.
const STEPS_MAX: u32 = 1_000_000;
/// Findings of one component that are shown; all are counted.
const SHOWN_MAX: u64 = 1_000;
/// Dead letters that are counted.
const DEAD_LETTERS_MAX: u32 = 1_000;
/// How long one step waits for a turn.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What is done beside checking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct Extent {
    /// Also compares the books with those outside, such as payment providers. Each subject costs a call there.
    #[arg(long)]
    pub outside: bool,
    /// Computes anew what is kept for speed and was found wrong, then audits again. What was counted, paid or agreed is
    /// never touched.
    #[arg(long)]
    pub repair: bool,
}

impl Extent {
    /// As a running host is asked for it.
    pub fn asked(query: &str) -> Self {
        let has = |name| query.split('&').any(|part| part == name);
        Self { outside: has("outside"), repair: has("repair") }
    }

    fn query(self) -> String {
        let parts = [(self.outside, "outside"), (self.repair, "repair")];
        let asked: Vec<&str> = parts.into_iter().filter(|(asked, _)| *asked).map(|(_, name)| name).collect();
        asked.join("&")
    }
}

/// Audits every component; finds when anything does not add up or could not be checked.
pub async fn run(place: &Place, extent: Extent) -> anyhow::Result<Outcome> {
    let text = match Running::find(&place.data).await {
        Some(host) => host.ask(Method::POST, &format!("{PATH}?{}", extent.query())).await?,
        None => {
            let engine = place.engine()?;
            let parts = place.load(&engine, Make::Missing)?;
            let host = place.open(engine, &parts)?;
            report(&parts.join(&host)?, &host.providers.store, extent).await?
        }
    };
    print!("{text}");
    Ok(if text.trim_end().ends_with(ALL_WELL) { Outcome::Good } else { Outcome::Found })
}

/// Audits every component of an application. The last line counts what passed and what failed.
pub async fn report(app: &App, store: &Store, extent: Extent) -> anyhow::Result<String> {
    let mut text = String::new();
    if extent.repair {
        Audit { app, repairs: true, text: &mut text }.everything(store, Extent::default()).await?;
        let _ = writeln!(text, "and again:");
    }
    Audit { app, repairs: false, text: &mut text }.everything(store, extent).await?;
    Ok(text)
}

/// One audit, and what it has to say.
struct Audit<'a> {
    app: &'a App,
    /// Whether what is found is repaired where it can be.
    repairs: bool,
    text: &'a mut String,
}

impl Audit<'_> {
    async fn everything(&mut self, store: &Store, extent: Extent) -> anyhow::Result<()> {
        let app = self.app;
        let outside = app.reconciles.iter().filter(|_| extent.outside);
        let inside = app.audits.iter().map(|(component, check)| (component, component.clone(), check));
        let checks =
            inside.chain(outside.map(|(component, check)| (component, format!("{component}, outside"), check)));
        let (mut passed, mut failed) = (0_u64, 0_u64);
        for (component, title, check) in checks {
            let line = match self.component(component, check).await {
                Ok((checked, 0)) => {
                    passed += 1;
                    format!("{checked} checked, all adds up")
                }
                Ok((checked, found)) => {
                    failed += 1;
                    format!("{checked} checked, {found} findings")
                }
                Err(reason) => {
                    failed += 1;
                    format!("not checked to the end: {reason}")
                }
            };
            let _ = writeln!(self.text, "{title}: {line}");
        }
        match store.dead_letters(DEAD_LETTERS_MAX).await?.as_slice() {
            [] => {
                passed += 1;
                let _ = writeln!(self.text, "events: each was taken or is on its way");
            }
            dead => {
                failed += 1;
                let _ = writeln!(self.text, "events: {} could not be delivered; see `souk dead-letters`", dead.len());
            }
        }
        let _ = writeln!(self.text, "{passed} passed, {failed} failed");
        Ok(())
    }

    /// Audits one component; answers how many subjects were checked and how many findings there are.
    async fn component(&mut self, component: &str, check: &Typed) -> Result<(u64, u64), String> {
        let repair = self.app.repairs.get(component).filter(|_| self.repairs);
        let (mut checked, mut found) = (0, 0);
        let mut rebuilt = BTreeSet::new();
        let mut cursor = None;
        for _ in 0..STEPS_MAX {
            let page: AuditPage = ask(check, cursor).await?;
            checked += page.checked;
            for finding in page.findings {
                found += 1;
                let (invariant, subject, detail) = (finding.invariant, finding.subject, finding.detail);
                if found <= SHOWN_MAX {
                    let _ = writeln!(self.text, "{component}: {invariant} {subject}: {detail}");
                }
                if let Some(repair) = repair
                    && rebuilt.insert(subject.clone())
                    && ask(repair, subject.clone()).await?
                {
                    let _ = writeln!(self.text, "{component}: {subject} is rebuilt");
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok((checked, found)),
            }
        }
        Err(format!("more than {STEPS_MAX} steps"))
    }
}

/// Calls a function with one parameter beside the context. The text of an error is for a person.
async fn ask<P, R>(function: &Typed, parameter: P) -> Result<R, String>
where
    (Context, P): ComponentNamedList + Lower + Send + Sync,
    (Result<R, String>,): ComponentNamedList + Lift + Send + Sync + 'static,
{
    let request_id = trace::request_id(None);
    let trace = Trace::continued(None);
    let deadline = Instant::now() + function.unit.limits.deadline;
    let scope = Scope::new(request_id.clone(), trace.trace_id, deadline);
    let context = Context::system(&request_id, "audit");
    let called = async {
        let _turn = function.unit.turn(deadline, WAIT_MAX).await?;
        let (answer,): (Result<R, String>,) = function.call(&scope, trace.span_id, (context, parameter)).await?;
        Ok(answer)
    };
    called.await.unwrap_or_else(|failure: Failure| {
        function.unit.failed(&failure, &scope, function.interface, function.function);
        Err(failure.outcome().to_owned())
    })
}
