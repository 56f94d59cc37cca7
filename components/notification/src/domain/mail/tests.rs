//! Every mail, word for word in plain text, and what its HTML must and must not hold.

use super::*;

const ACCOUNT: &str =
    r#""user_id":"usr_1","email":"ada@example.org","name":"Ada <script>alert(1)</script>","token":"t/o+k=en""#;
const ORDER: &str =
    r#""order_id":"ord_1","number":"S-1042","access_token":"a&b","email":"ada@example.org","name":"Ada \"A\" & B""#;
const LINES: &str = r#""lines":[
    {"title":"Tea <b>","variant_title":"Green / 100 g","sku":"TEA-1","quantity":2,"total_minor":1998},
    {"title":"Cup","variant_title":"","sku":"CUP-1","quantity":1,"total_minor":1250}]"#;

fn shop() -> Shop {
    Shop { name: "Tea & Co".to_owned(), public_url: "http://127.0.0.1:3000".to_owned() }
}

fn mail(topic: &str, fields: &str) -> Mail {
    let fact = Fact::parse(topic, &format!("{{{fields}}}")).expect("the payload is as the topic promises");
    render(&shop(), &fact)
}

fn all() -> Vec<Mail> {
    vec![
        mail("user.registered", ACCOUNT),
        mail("user.verification-requested", ACCOUNT),
        mail("user.password-reset-requested", ACCOUNT),
        mail(
            "order.placed",
            &format!(
                r#"{ORDER},"currency":"EUR","subtotal_minor":3248,"shipping_minor":490,"tax_minor":711,"total_minor":4449,{LINES}"#
            ),
        ),
        mail("order.canceled", &format!(r#"{ORDER},"currency":"EUR","total_minor":4449,"reason":"out_of_stock""#)),
        mail("order.refunded", &format!(r#"{ORDER},"currency":"JPY","amount_minor":4449,"reason":"broken <i>""#)),
        mail("order.shipped", &format!(r#"{ORDER},"carrier":"DHL","tracking_number":"00 34",{LINES}"#)),
    ]
}

#[test]
fn every_mail_says_this_in_plain_text() {
    let expected = [
        "Welcome to Tea & Co
Hello Ada <script>alert(1)</script>,

Your account at Tea & Co is ready. Please confirm that this is your
e-mail address. The link works once, for three days:

http://127.0.0.1:3000/account/verify?token=t%2Fo%2Bk%3Den

Tea & Co",
        "Confirm your e-mail address for Tea & Co
Hello Ada <script>alert(1)</script>,

Please confirm that this is your e-mail address. The link works once, for
three days:

http://127.0.0.1:3000/account/verify?token=t%2Fo%2Bk%3Den

Tea & Co",
        "Reset your password for Tea & Co
Hello Ada <script>alert(1)</script>,

Someone asked for a new password for your account at Tea & Co. The
link works once, for an hour:

http://127.0.0.1:3000/account/reset?token=t%2Fo%2Bk%3Den

If it was not you, ignore this mail: nothing has changed.

Tea & Co",
        "Your order S-1042 at Tea & Co
Hello Ada \"A\" & B,

Thank you. We have your order S-1042:

2 x Tea <b>, Green / 100 g (TEA-1): 19.98 EUR
1 x Cup (CUP-1): 12.50 EUR

Subtotal: 32.48 EUR
Shipping: 4.90 EUR
Tax: 7.11 EUR
Total: 44.49 EUR

View your order:
http://127.0.0.1:3000/orders/ord_1?token=a%26b

Tea & Co",
        "Your order S-1042 was canceled
Hello Ada \"A\" & B,

Your order S-1042 over 44.49 EUR was canceled.
Something in it had sold out before the order was complete.

Money that was held for it is let go; money that was taken is given back.

View your order:
http://127.0.0.1:3000/orders/ord_1?token=a%26b

Tea & Co",
        "A refund for your order S-1042
Hello Ada \"A\" & B,

We gave back 4449 JPY for your order S-1042. Until your
bank shows it, some days may pass.

Reason: broken <i>

View your order:
http://127.0.0.1:3000/orders/ord_1?token=a%26b

Tea & Co",
        "Your order S-1042 is on its way
Hello Ada \"A\" & B,

A parcel of your order S-1042 has left us:

2 x Tea <b>, Green / 100 g
1 x Cup

Carrier: DHL
Tracking number: 00 34

View your order:
http://127.0.0.1:3000/orders/ord_1?token=a%26b

Tea & Co",
    ];
    let all = all();
    assert_eq!(all.len(), expected.len());
    for (mail, expected) in all.iter().zip(expected) {
        assert_eq!(format!("{}\n{}", mail.subject, mail.text.trim_end()), expected, "{}", mail.template);
        assert_eq!(mail.recipient, "ada@example.org");
    }
}

#[test]
fn every_html_escapes_what_people_typed_and_has_its_link_twice() {
    for mail in all() {
        let Mail { template, html, text, .. } = &mail;
        for typed in ["<script", "<b>", "<i>", "Ada \"A\"", "Tea & Co", "a&b"] {
            assert!(!html.contains(typed), "{template} holds {typed}\n{html}");
        }
        let name = if text.contains("script") {
            "Ada &#60;script&#62;alert(1)&#60;/script&#62;"
        } else {
            "Ada &#34;A&#34; &#38; B"
        };
        assert!(html.contains(&format!("Hello {name},")), "{template}\n{html}");
        let link = text.lines().find(|line| line.starts_with("http")).expect("each mail has a link");
        assert_eq!(html.matches(&format!("href=\"{link}\"")).count(), 2, "{template}\n{html}");
        assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{template}");
        assert!(html.contains("Tea &#38; Co"), "{template}");
        for tag in ["p", "div", "a", "tr", "td", "ul", "li", "table", "strong", "h1", "span"] {
            let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag} in {template}");
        }
        for forbidden in ["<img", "src=", "javascript:", "{{", "{%"] {
            assert!(!html.contains(forbidden), "{template} holds {forbidden}");
        }
    }
}

#[test]
fn an_order_is_shown_with_its_lines_and_totals() {
    let html = &all()[3].html;
    for shown in [
        "S-1042",
        "2 &times; Tea &#60;b&#62;, Green / 100 g",
        "TEA-1",
        "19.98 EUR",
        "32.48 EUR",
        "4.90 EUR",
        "7.11 EUR",
        "44.49 EUR",
    ] {
        assert!(html.contains(shown), "{shown}\n{html}");
    }
    let html = &all()[6].html;
    for shown in ["1 &times; Cup", "Carrier: DHL", "Tracking number: 00 34"] {
        assert!(html.contains(shown), "{shown}\n{html}");
    }
}

#[test]
fn what_is_not_known_is_not_mentioned() {
    let shipped = mail("order.shipped", &format!(r#"{ORDER},"carrier":"","tracking_number":"",{LINES}"#));
    let refunded = mail("order.refunded", &format!(r#"{ORDER},"currency":"EUR","amount_minor":1,"reason":"""#));
    let canceled = mail("order.canceled", &format!(r#"{ORDER},"currency":"EUR","total_minor":1,"reason":"""#));
    for mail in [shipped, refunded, canceled] {
        for part in [&mail.text, &mail.html] {
            for absent in ["Carrier", "Tracking", "Reason"] {
                assert!(!part.contains(absent), "{part}");
            }
        }
        assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
    }
    let nameless = mail("user.registered", &ACCOUNT.replace("Ada <script>alert(1)</script>", " "));
    assert!(nameless.text.starts_with("Hello,\n"));
}

#[test]
fn nothing_that_is_typed_can_break_a_line() {
    for breaking in [r"\r\nBcc: all@example.org", r"\n", r"\u0085", r"\u2028", r"\u0000", r"\u001b[31m"] {
        let order = ORDER.replace("S-1042", &format!("S-1{breaking}")).replace("Ada", &format!("Ada{breaking}Bob"));
        let mut mail =
            mail("order.refunded", &format!(r#"{order},"currency":"EUR","amount_minor":1,"reason":"x{breaking}y""#));
        assert!(!mail.subject.contains(breaks_a_line), "{:?}", mail.subject);
        mail.text.retain(|c| c != '\n');
        assert!(!mail.text.contains(breaks_a_line), "{:?}", mail.text);
        assert!(Fact::parse("order.refunded", &ORDER.replace("ada@", &format!("ada{breaking}@"))).is_err());
    }
    let shop = Shop { name: "Tea\r\nBcc: x@y".to_owned(), ..shop() };
    let fact = Fact::parse("user.registered", &format!("{{{ACCOUNT}}}")).expect("it is one");
    assert!(!render(&shop, &fact).subject.contains(breaks_a_line));
    let shop = Shop { name: "x".repeat(1000), ..shop };
    assert_eq!(render(&shop, &fact).subject.chars().count(), SUBJECT_CHARACTERS_MAX);
}

#[test]
fn a_payload_that_is_not_as_promised_is_refused_with_the_reason() {
    for (topic, payload, reason) in [
        ("user.registered", "{}", "missing field `email`"),
        ("user.registered", "[", "not as the topic promises"),
        ("user.registered", r#"{"email":"nobody","name":"A","token":"t"}"#, "not an e-mail address"),
        (
            "order.placed",
            r#"{"order_id":"o","number":"1","access_token":"t","email":"a@b","name":"A"}"#,
            "missing field `currency`",
        ),
        ("catalog.stock-changed", "{}", "no message for the topic"),
    ] {
        let refusal = Fact::parse(topic, payload).expect_err("it is not as promised");
        assert!(refusal.contains(reason), "{topic} {payload}: {refusal}");
    }
}
