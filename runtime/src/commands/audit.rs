//! `souk audit`: asks every component that can whether its own books add up.
//!
//! It works beside a running host, which then does the asking, and without one.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use reqwest::Method;
use souk_server::trace::{self, Trace};

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
/// How long one step waits for a turn.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Audits every component; finds when anything does not add up or could not be checked.
pub async fn run(place: &Place) -> anyhow::Result<Outcome> {
    let text = match Running::find(&place.data).await {
        Some(host) => host.ask(Method::POST, PATH).await?,
        None => {
            let engine = place.engine()?;
            let parts = place.load(&engine, Make::Missing)?;
            let host = place.open(engine, &parts)?;
            report(&parts.join(&host)?).await
        }
    };
    print!("{text}");
    Ok(if text.trim_end().ends_with(ALL_WELL) { Outcome::Good } else { Outcome::Found })
}

/// Audits every component of an application. The last line counts those that passed and those that failed.
pub async fn report(app: &App) -> String {
    let (mut passed, mut failed) = (0_u64, 0_u64);
    let mut text = String::new();
    for (component, check) in &app.audits {
        let line = match audit(component, check, &mut text).await {
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
        let _ = writeln!(text, "{component}: {line}");
    }
    let _ = writeln!(text, "{passed} passed, {failed} failed");
    text
}

/// Audits one component; answers how many subjects were checked and how many findings there are.
async fn audit(component: &str, check: &Typed, text: &mut String) -> Result<(u64, u64), String> {
    let (mut checked, mut found) = (0, 0);
    let mut cursor = None;
    for _ in 0..STEPS_MAX {
        let page = step(check, cursor).await?;
        checked += page.checked;
        for finding in page.findings {
            found += 1;
            if found <= SHOWN_MAX {
                let (invariant, subject, detail) = (finding.invariant, finding.subject, finding.detail);
                let _ = writeln!(text, "{component}: {invariant} {subject}: {detail}");
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok((checked, found)),
        }
    }
    Err(format!("more than {STEPS_MAX} steps"))
}

async fn step(check: &Typed, cursor: Option<String>) -> Result<AuditPage, String> {
    let request_id = trace::request_id(None);
    let trace = Trace::continued(None);
    let deadline = Instant::now() + check.unit.limits.deadline;
    let scope = Scope::new(request_id.clone(), trace.trace_id, deadline);
    let context = Context::system(&request_id, "audit");
    let called = async {
        let _turn = check.unit.turn(deadline, WAIT_MAX).await?;
        let (page,): (Result<AuditPage, String>,) = check.call(&scope, trace.span_id, (context, cursor)).await?;
        Ok(page)
    };
    called.await.unwrap_or_else(|failure: Failure| {
        check.unit.failed(&failure, &scope, check.interface, check.function);
        Err(failure.outcome().to_owned())
    })
}
