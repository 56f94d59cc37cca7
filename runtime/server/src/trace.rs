//! Who asked: request ids and W3C trace context.
//!
//! A client's own identifiers are taken over when they are well formed and replaced when they are not; they
//! are never trusted for anything but finding log lines again.

use std::{
    cell::Cell,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The longest request id that is taken over from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// A trace and the span within it that acts now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: u128,
    /// The span.
    pub span_id: u64,
}

impl Trace {
    /// Goes on with the trace of a `traceparent` header, or starts one.
    pub fn continued(traceparent: Option<&str>) -> Self {
        let trace_id =
            traceparent.and_then(parse).unwrap_or_else(|| (u128::from(random()) << 64 | u128::from(random())).max(1));
        Self { trace_id, span_id: span_id() }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace_id, self.span_id)
    }
}

/// The trace id of a version 00 `traceparent`.
fn parse(header: &str) -> Option<u128> {
    let mut parts = header.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let well_formed = version == "00" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    if !well_formed || parts.next().is_some() || parent.bytes().all(|byte| byte == b'0') {
        return None;
    }
    u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)
}

/// A fresh span id, never zero.
pub fn span_id() -> u64 {
    random().max(1)
}

/// The client's request id when it is well formed, otherwise a minted one.
pub fn request_id(sent: Option<&str>) -> Arc<str> {
    let well_formed = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match sent.filter(well_formed) {
        Some(id) => id.into(),
        None => minted().into(),
    }
}

/// `req_` and 32 hexadecimal digits that sort by time.
fn minted() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    format!("req_{now:012x}{:020x}", u128::from(random()) << 16 | u128::from(random() as u16))
}

/// Random bits that nobody's secret depends on: SplitMix64, seeded per thread by the operating system.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15));
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Trace, request_id};

    #[test]
    fn a_trace_goes_on_only_when_its_header_is_well_formed() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let id = u128::from_str_radix(trace, 16).expect("hexadecimal");
        let good = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(Trace::continued(Some(&good)).trace_id, id);
        for bad in [
            "".to_owned(),
            good.to_uppercase(),
            format!("{good}-extra"),
            good.replace("00-", "ff-"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
        ] {
            assert_ne!(Trace::continued(Some(&bad)).trace_id, id, "{bad}");
        }
    }

    #[test]
    fn a_request_id_is_echoed_only_when_it_is_well_formed() {
        for (sent, echoed) in
            [(Some("abc-DEF_123"), true), (Some(""), false), (Some("a b"), false), (Some("a\"b"), false), (None, false)]
        {
            assert_eq!(Some(&*request_id(sent)) == sent, echoed, "{sent:?}");
        }
        assert_eq!(&*request_id(Some(&"x".repeat(64))), "x".repeat(64));
        let minted = request_id(Some(&"x".repeat(65)));
        assert!(minted.starts_with("req_") && minted.len() == 36, "{minted}");
        assert_ne!(request_id(None), request_id(None));
    }
}
