//! Instants as PayPal writes them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970 as `2026-10-28T12:00:00Z`.
pub fn date_time(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).expect("the year has four digits");
    at.format(&Rfc3339).expect("the year has four digits")
}
