//! Signatures of webhooks, judged by our connector and by Stripe's own library for Python: the verdicts are the same
//! but for the differences that [`Difference`] lists, in which we refuse more.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;
use souk_kit::testing::Dice;
use souk_providers::stripe::signature::sign;
use souk_stripe::signature::{FUTURE_MAX_MS, PAST_MAX_MS, SIGNATURES_MAX, verify};
use souk_tests::shop::root;

use crate::report;

/// Those on which the verdicts must be equal; the documented differences come beside them. All of them in every run:
/// they take seconds.
const VECTORS: usize = 10_000;
const SEED: u64 = 7;
/// When they are judged, in seconds since 1970.
const NOW: i64 = 1_790_000_000;
/// The secrets of a shop while one replaces another.
const SECRETS: [&str; 2] = ["whsec_new", "whsec_old"];

/// What the library takes and we do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// A time further ahead than [`FUTURE_MAX_MS`]: the library looks at the past alone.
    Future,
    /// A time that is not written in digits alone: the library reads it as Python reads numbers.
    Digits,
    /// A signature that comes after [`SIGNATURES_MAX`] others.
    Many,
}

/// One webhook as it arrives.
struct Vector {
    kind: &'static str,
    header: String,
    body: String,
    /// Why the library takes it although we do not.
    difference: Option<Difference>,
}

/// Makes the header of a body that was signed at a time under a secret.
type Make = fn(&mut Dice, &Signed) -> (String, Option<Difference>);

struct Signed {
    at: i64,
    /// The signature alone, in hexadecimal digits.
    hex: String,
}

impl Signed {
    fn of(body: &str, at: i64, secret: &str) -> Self {
        let header = sign(body.as_bytes(), at, &[secret]);
        Self { at, hex: header.split_once("v1=").expect("it is signed").1.to_owned() }
    }
}

/// A signature of somebody else's.
fn noise(dice: &mut Dice) -> String {
    (0..4).map(|_| format!("{:016x}", dice.roll())).collect()
}

/// Headers of every kind over a genuine signature of a good age.
const KINDS: &[(&str, Make)] = &[
    ("valid", |_, Signed { at, hex }| (format!("t={at},v1={hex}"), None)),
    ("wrong secret", |dice, Signed { at, .. }| (format!("t={at},v1={}", noise(dice)), None)),
    ("another time", |dice, Signed { at, hex }| {
        (format!("t={},v1={hex}", at + 1 + i64::try_from(dice.below(9)).expect("a digit")), None)
    }),
    ("several v1", |dice, Signed { at, hex }| {
        let mut all: Vec<String> = (0..dice.below(5)).map(|_| noise(dice)).collect();
        all.insert(usize::try_from(dice.below(all.len() as u64 + 1)).expect("an index"), hex.clone());
        (format!("t={at},v1={}", all.join(",v1=")), None)
    }),
    ("very many v1", |dice, Signed { at, hex }| {
        let others = SIGNATURES_MAX - 2 + usize::try_from(dice.below(4)).expect("a digit");
        let mut all: Vec<String> = (0..others).map(|_| noise(dice)).collect();
        all.push(hex.clone());
        (format!("t={at},v1={}", all.join(",v1=")), (others >= SIGNATURES_MAX).then_some(Difference::Many))
    }),
    ("other schemes", |dice, Signed { at, hex }| {
        let other = noise(dice);
        let text =
            *dice.pick(&["t={at},v0={other},v1={hex}", "v1={hex},t={at}", "t={at},v0={hex}", "t={at},v2={hex},x,=,"]);
        (text.replace("{at}", &at.to_string()).replace("{other}", &other).replace("{hex}", hex), None)
    }),
    ("malformed", |dice, Signed { at, hex }| {
        let texts = [
            "",
            ",",
            "=",
            "t",
            "t=",
            "t={at}",
            "v1={hex}",
            "t={at};v1={hex}",
            "{at},{hex}",
            "t={at},v1",
            "t={at},v1=",
            "t,v1={hex}",
            "t=,v1={hex}",
            "t=now,v1={hex}",
            "t={at}.0,v1={hex}",
            "t=0x6ab13b80,v1={hex}",
            "T={at},V1={hex}",
            "t:{at},v1:{hex}",
            "t={at},v1={hex},v1",
            "t={at},v1={hex},t",
            "t={at},v1={hex},",
            "t={at},v1=\"{hex}\"",
            "t=1,t={at},v1={hex}",
            "t={at},t=1,v1={hex}",
            "t={at},v1={hex}=",
            "t={at}=1,v1={hex}=2",
            "t={at},v1=={hex}",
            "t={at},v1={hex}é",
            "é={hex},t={at}",
        ];
        (dice.pick(&texts).replace("{at}", &at.to_string()).replace("{hex}", hex), None)
    }),
    ("odd digits", |dice, Signed { at, hex }| {
        let texts = [
            format!("t={at},v1={}", hex.to_uppercase()),
            format!("t={at},v1={}", &hex[..63]),
            format!("t={at},v1={hex}0"),
            format!("t={at},v1=0x{hex}"),
            format!("t=00{at},v1={hex}"),
            format!("t=-{at},v1={hex}"),
        ];
        (dice.pick(&texts).clone(), None)
    }),
    ("odd whitespace", |dice, Signed { at, hex }| {
        let texts = [
            "t={at}, v1={hex}",
            " t={at},v1={hex}",
            "t={at},v1= {hex}",
            "t={at},v1={hex} ",
            "t={at} ,v1={hex}",
            "t= {at},v1={hex}",
            "t\t={at},v1={hex}",
            "t={at},v1 ={hex}",
            "t={at},\tv1={hex}",
            "t=\t{at}\t,v1={hex}",
        ];
        let place = usize::try_from(dice.below(texts.len() as u64)).expect("an index");
        let difference = matches!(place, 4 | 5 | 9).then_some(Difference::Digits);
        (texts[place].replace("{at}", &at.to_string()).replace("{hex}", hex), difference)
    }),
    ("odd numbers", |dice, Signed { at, hex }| {
        let (head, tail) = (at / 1_000, at % 1_000);
        let texts = [format!("t=+{at},v1={hex}"), format!("t={head}_{tail:03},v1={hex}")];
        (dice.pick(&texts).clone(), Some(Difference::Digits))
    }),
];

/// How old signatures are, in seconds, and what is refused for it.
fn age(dice: &mut Dice) -> (i64, &'static str, Option<Difference>) {
    let (past, future) = (PAST_MAX_MS / 1_000, FUTURE_MAX_MS / 1_000);
    let some = |dice: &mut Dice, below: i64| i64::try_from(dice.below(below.unsigned_abs())).expect("it is small");
    match dice.below(10) {
        0 => (past + 1 + some(dice, 100_000), "stale", None),
        1 => (past + some(dice, 2), "about to be stale", None),
        2 => (-future - 1 - some(dice, 100_000), "future", Some(Difference::Future)),
        3 => (-some(dice, future + 1), "a little ahead", None),
        _ => (some(dice, past + 1), "fresh", None),
    }
}

fn vector(dice: &mut Dice) -> Vector {
    let letters = ["{}", "{\"id\":\"evt_1\"}", " {\"a\": 1} \n", "", "é€😀", "{\"t\":\"1,v1=2\"}", "\u{0}\r\n"];
    let body = format!("{}{}", dice.pick(&letters), dice.roll());
    let (age, title, from_age) = age(dice);
    // Either secret of ours, or the one before them, which is out of use.
    let secret = match dice.below(10) {
        0 => "whsec_older",
        1..6 => SECRETS[0],
        _ => SECRETS[1],
    };
    let signed = Signed::of(&body, NOW - age, secret);
    let is_fresh = title == "fresh";
    let (kind, make) = if is_fresh { *dice.pick(KINDS) } else { KINDS[0] };
    let (header, from_header) = make(dice, &signed);
    let is_changed = dice.below(16) == 0;
    let body = if is_changed { format!("{body} ") } else { body };
    let is_ours = SECRETS.contains(&secret) && !is_changed;
    let kind = match (is_fresh, is_changed, is_ours) {
        (_, true, _) => "changed body",
        (_, _, false) => "secret out of use",
        (true, ..) => kind,
        (false, ..) => title,
    };
    Vector { kind, header, body, difference: from_age.or(from_header).filter(|_| is_ours) }
}

/// The verdicts of the library.
fn verdicts(vectors: &[Vector]) -> Vec<bool> {
    let libraries = root().join("target/providers/python");
    assert!(libraries.exists(), "run tests/providers/setup.sh first");
    let mut python = Command::new("python3")
        .arg(root().join("tests/providers/sdk/stripe_signatures.py"))
        .env("PYTHONPATH", libraries)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("there is a Python");
    let mut stdin = python.stdin.take().expect("it is piped");
    let lines: String = vectors
        .iter()
        .map(|Vector { header, body, .. }| {
            json!({"now": NOW, "header": header, "body": body, "secrets": SECRETS}).to_string() + "\n"
        })
        .collect();
    // It answers while it reads.
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().expect("it ends with its input");
    writer.join().expect("the writer does not panic").expect("it reads to the end");
    assert!(output.status.success(), "{}", output.status);
    let said = String::from_utf8(output.stdout).expect("digits");
    said.lines().map(|line| line == "1").collect()
}

#[test]
fn verdicts_on_signatures_are_those_of_stripes_library() {
    let begin = Instant::now();
    let mut dice = Dice::new(SEED);
    let (mut vectors, mut equal) = (Vec::new(), 0);
    while equal < VECTORS {
        let vector = vector(&mut dice);
        equal += usize::from(vector.difference.is_none());
        vectors.push(vector);
    }
    let theirs = verdicts(&vectors);
    assert_eq!(theirs.len(), vectors.len());
    let (mut taken, mut differences) = (0, BTreeMap::new());
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for (vector, theirs) in vectors.iter().zip(theirs) {
        let headers = [("stripe-signature".to_owned(), vector.header.clone())];
        let ours = verify(&headers, vector.body.as_bytes(), &SECRETS.join(","), NOW * 1_000).is_ok();
        let expected = if vector.difference.is_some() { (false, true) } else { (theirs, theirs) };
        assert_eq!((ours, theirs), expected, "{}: {:?} {:?}", vector.kind, vector.header, vector.difference);
        taken += usize::from(ours);
        *by_kind.entry(vector.kind).or_default() += 1;
        if let Some(difference) = vector.difference {
            *differences.entry(difference).or_insert(0_usize) += 1;
        }
    }
    assert!(taken > VECTORS / 4 && taken < VECTORS * 3 / 4, "{taken} hold: {by_kind:?}");
    report(
        "signatures",
        begin,
        format!(
            "{equal} verdicts of {equal} equal to Stripe's Python library's ({} kinds, {taken} accepted), and beside them \
             refused by us alone as documented {differences:?}",
            by_kind.len()
        ),
    );
}
