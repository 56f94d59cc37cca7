//! Webhooks of the test provider. It sends none by itself: whoever has a secret can, to try out what a shop does with
//! them.
//!
//! The header `souk-test-signature` is `t=1767225600,v1=5257...`: seconds since 1970 UTC, and the HMAC-SHA256, in
//! hexadecimal digits, of these seconds as they stand there, a full stop and the raw body. `v1` may stand several
//! times. The body is `{"id":"evt_1","type":"payment.changed","reference":"tpr_...","payment_id":"pay_..."}`; the
//! payment may be left out. Other types are of no interest.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use souk_kit::Config;
use souk_kit::payment_extension::{Hook, HookError, News};
use souk_kit::ports::Call;

/// The header that carries the signature.
pub const HEADER: &str = "souk-test-signature";
/// Names the secrets in the configuration, separated by commas. Without one nothing is genuine.
pub const SECRETS: &str = "test_hook_secrets";
/// How old a signature may be.
pub const AGE_MAX_SECONDS: i64 = 300;
/// How far ahead of our clock it may be.
pub const AHEAD_MAX_SECONDS: i64 = 60;

/// Most secrets, and most signatures, that are tried.
const TRIED_MAX: usize = 4;
/// Bytes of an HMAC-SHA256.
const MAC_BYTES: usize = 32;

/// Checks a webhook and says what it is about.
pub fn read(config: &impl Config, call: &Call, hook: &Hook) -> Result<Option<News>, HookError> {
    let secrets = config.get(SECRETS).unwrap_or_default();
    verify(&secrets, call.now / 1000, hook).map_err(|why| HookError::Forged(why.to_owned()))?;
    let event: Value = serde_json::from_slice(&hook.body).map_err(|error| HookError::Malformed(error.to_string()))?;
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    if text("type").as_deref() != Some("payment.changed") {
        return Ok(None);
    }
    match (text("id"), text("reference")) {
        (Some(event_id), Some(reference)) => Ok(Some(News { event_id, reference, key: text("payment_id") })),
        (_, _) => Err(HookError::Malformed("an event has an id and a reference".to_owned())),
    }
}

fn verify(secrets: &str, now_seconds: i64, hook: &Hook) -> Result<(), &'static str> {
    let mut headers = hook.headers.iter().filter(|(name, _)| name == HEADER).map(|(_, value)| value.as_str());
    let (Some(header), None) = (headers.next(), headers.next()) else { return Err("there is not one signature") };
    let values = |name: &'static str| {
        header.split(',').filter_map(move |part| part.split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v))
    };
    let mut times = values("t");
    let (Some(time), None) = (times.next(), times.next()) else { return Err("there is not one time") };
    let seconds: i64 = time.parse().map_err(|_| "the time is not a number of seconds")?;
    if !(now_seconds.saturating_sub(AGE_MAX_SECONDS)..=now_seconds.saturating_add(AHEAD_MAX_SECONDS)).contains(&seconds)
    {
        return Err("it was signed too long ago, or ahead of time");
    }
    for secret in secrets.split(',').map(str::trim).filter(|secret| !secret.is_empty()).take(TRIED_MAX) {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(&hook.body);
        // `verify_slice` takes the same time wherever the two differ.
        if values("v1").take(TRIED_MAX).filter_map(unhex).any(|given| mac.clone().verify_slice(&given).is_ok()) {
            return Ok(());
        }
    }
    Err("no secret gives this signature")
}

fn unhex(text: &str) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    let digits = text.as_bytes();
    if digits.len() != 2 * MAC_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use souk_kit::testing::{TestPorts, law};
    use souk_kit::types::Actor;

    use super::*;

    const BODY: &str = r#"{"id":"evt_1","type":"payment.changed","reference":"tpr_1","payment_id":"pay_1"}"#;

    /// `HMAC-SHA256("whsec_test", "1700000000." + BODY)`, from Python's `hmac`.
    const KNOWN: &str = "9b89a6491bf6e899a3444609837627cd1af07820936e0d2afe3be8dc8a8b1ac2";

    fn sign(secret: &str, time: &str, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(format!("{time}.{body}").as_bytes());
        souk_kit::ids::hex(&mac.finalize().into_bytes())
    }

    fn read_with(secrets: &str, header: &str, body: &str) -> Result<Option<News>, HookError> {
        let ports = TestPorts::new("test-payments", &[]);
        ports.configure(SECRETS, secrets);
        ports.advance(1_700_000_000_000 - ports.now());
        let hook = Hook { headers: vec![(HEADER.to_owned(), header.to_owned())], body: body.as_bytes().to_vec() };
        read(&ports, &ports.call(Actor::Guest), &hook)
    }

    fn show(answer: &Result<Option<News>, HookError>) -> &'static str {
        match answer {
            Ok(Some(_)) => "news",
            Ok(None) => "nothing",
            Err(HookError::Forged(_)) => "forged",
            Err(HookError::Malformed(_)) => "malformed",
            Err(HookError::UnknownProvider) => "unknown",
            Err(HookError::StorageFull | HookError::Unavailable(_)) => "unavailable",
        }
    }

    #[test]
    fn signatures_hold_for_their_time_and_under_any_secret() {
        // secrets | header, with `NEW@t` for what `new` gives at that time | outcome
        for row in "
            new      | t=1700000000,v1=NEW@1700000000                          | news
            old, new | t=1700000000,v1=NEW@1700000000                          | news
            new,old  | t=1700000000,v1=OLD@1700000000                          | news
            new      | t=1700000000,v1=OLD@1700000000,v1=NEW@1700000000        | news
            new      | v0=zz,v1=NEW@1700000000,t=1700000000                    | news
            new      | t=1699999700,v1=NEW@1699999700                          | news
            new      | t=1699999699,v1=NEW@1699999699                          | forged
            new      | t=1700000060,v1=NEW@1700000060                          | news
            new      | t=1700000061,v1=NEW@1700000061                          | forged
            new      | t=1700000000,v1=NEW@1700000001                          | forged
            new      | t=1700000000,v1=OLD@1700000000                          | forged
            new      | t=1700000000,v0=NEW@1700000000                          | forged
            new      | t=1700000000,t=1699999699,v1=NEW@1700000000             | forged
            new      | t=-1,v1=NEW@-1                                          | forged
            new      | t=9223372036854775807,v1=NEW@9223372036854775807        | forged
            new      | t=99999999999999999999,v1=NEW@99999999999999999999      | forged
            new      | t=,v1=NEW@                                              | forged
            new      | v1=NEW@1700000000                                       | forged
            new      | t=1700000000,v1=                                        | forged
            new      | t=1700000000                                            | forged
            new      |                                                         | forged
                     | t=1700000000,v1=EMPTY@1700000000                        | forged
            ,        | t=1700000000,v1=EMPTY@1700000000                        | forged
        "
        .lines()
        .filter(|row| !row.trim().is_empty())
        {
            let [secrets, header, wanted] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
                panic!("three cells: {row}")
            };
            let mut written = String::new();
            for (place, part) in header.split(',').enumerate() {
                let signed = [("NEW", "new"), ("OLD", "old"), ("EMPTY", "")].into_iter().find_map(|(name, secret)| {
                    let time = part.split_once('=')?.1.strip_prefix(name)?.strip_prefix('@')?;
                    Some(format!("{}={}", part.split_once('=')?.0, sign(secret, time, BODY)))
                });
                written += if place > 0 { "," } else { "" };
                written += signed.as_deref().unwrap_or(part);
            }
            assert_eq!(show(&read_with(secrets, &written, BODY)), wanted, "{row}");
        }
    }

    #[test]
    fn what_another_implementation_signs_is_genuine() {
        let news = News { event_id: "evt_1".to_owned(), reference: "tpr_1".to_owned(), key: Some("pay_1".to_owned()) };
        assert_eq!(read_with("whsec_test", &format!("t=1700000000,v1={KNOWN}"), BODY), Ok(Some(news.clone())));
        assert_eq!(read_with("whsec_test", &format!("t=1700000000,v1={}", KNOWN.to_uppercase()), BODY), Ok(Some(news)));
    }

    #[test]
    fn one_changed_bit_is_a_forgery() {
        law(500, |dice| {
            let mut text = BODY.as_bytes().to_vec();
            let at = usize::try_from(dice.below(text.len() as u64)).expect("an index fits");
            text[at] ^= 1 << dice.below(7);
            let changed = String::from_utf8(text).expect("ASCII stays ASCII");
            let header = format!("t=1700000000,v1={KNOWN}");
            assert_eq!(show(&read_with("whsec_test", &header, &changed)), "forged", "{changed}");
        });
    }

    #[test]
    fn only_what_is_signed_is_read() {
        for (body, wanted) in [
            (BODY, "news"),
            (r#"{"id":"evt_1","type":"payment.changed","reference":"tpr_1"}"#, "news"),
            (r#"{"id":"evt_1","type":"customer.created"}"#, "nothing"),
            ("{}", "nothing"),
            (r#"{"id":1,"type":"payment.changed","reference":"tpr_1"}"#, "malformed"),
            (r#"{"id":"evt_1","type":"payment.changed"}"#, "malformed"),
            ("", "malformed"),
            ("{", "malformed"),
        ] {
            let header = format!("t=1700000000,v1={}", sign("new", "1700000000", body));
            assert_eq!(show(&read_with("new", &header, body)), wanted, "{body}");
        }
        let twice = Hook {
            headers: vec![(HEADER.to_owned(), format!("t=1700000000,v1={KNOWN}")); 2],
            body: BODY.as_bytes().to_vec(),
        };
        assert!(verify("whsec_test", 1_700_000_000, &twice).is_err());
    }
}
