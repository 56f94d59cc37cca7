//! Pictures: which are kept, under what id, and which URLs a product may show.
//!
//! A picture is what its bytes say, not what its sender calls it. An SVG is a document that a browser may run,
//! so only a plain subset is taken: no scripts, no handlers, no foreign content, nothing loaded from elsewhere.

use crate::values::{CatalogError, MediaFile};
use sha2::{Digest, Sha256};
use souk_kit::check::Check;
use souk_kit::ids;
use souk_kit::types::Id;

use super::done;

/// Largest picture, in bytes.
pub const MEDIA_BYTES_MAX: usize = 512 * 1024;

/// Longest URL of a picture, in bytes.
pub const URL_BYTES_MAX: usize = 2_000;

/// The id of a picture: it follows from its content.
pub fn media_id(bytes: &[u8]) -> Id {
    format!("med_{}", &ids::hex(&Sha256::digest(bytes))[..32])
}

/// An absolute https URL, or the path of a picture that the shop stores.
pub fn is_media_url(url: &str) -> bool {
    if let Some(id) = url.strip_prefix("/media/") {
        return ids::is_id("med", id);
    }
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    url.len() <= URL_BYTES_MAX
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
        && url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`'))
}

/// What makes a picture unacceptable.
pub fn check(file: &MediaFile) -> Result<(), CatalogError> {
    let mut check = Check::new();
    if file.bytes.is_empty() {
        check.fail("/bytes", "required", "the picture is empty");
    } else if file.bytes.len() > MEDIA_BYTES_MAX {
        check.fail("/bytes", "too_long", format!("at most {MEDIA_BYTES_MAX} bytes"));
    } else {
        let sound = match file.content_type.as_str() {
            "image/png" => file.bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
            "image/jpeg" => file.bytes.starts_with(b"\xff\xd8\xff"),
            "image/webp" => file.bytes.starts_with(b"RIFF") && file.bytes.get(8..12) == Some(b"WEBP"),
            "image/svg+xml" => {
                match std::str::from_utf8(&file.bytes).map_err(|_| "it is not UTF-8").and_then(check_svg) {
                    Ok(()) => true,
                    Err(detail) => {
                        check.fail("/bytes", "malformed", format!("this SVG is not acceptable: {detail}"));
                        return done(check);
                    }
                }
            }
            _ => {
                check.fail("/content_type", "unknown", "image/png, image/jpeg, image/webp or image/svg+xml");
                true
            }
        };
        if !sound {
            check.fail("/bytes", "malformed", "the content is not what the content type says");
        }
    }
    done(check)
}

/// Elements that run, load or embed something.
const FORBIDDEN_ELEMENTS: [&str; 10] =
    ["script", "foreignobject", "iframe", "embed", "object", "audio", "video", "handler", "listener", "link"];

fn check_svg(text: &str) -> Result<(), &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    if !text.starts_with("<svg") && !text.starts_with("<?xml") {
        return Err("it does not begin with <svg or <?xml");
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("javascript:") || lower.contains("@import") || lower.contains('\0') {
        return Err("it holds a script or an import");
    }
    // A backslash is an escape in CSS and has no use in a picture; it could spell `url` or `@import` differently.
    if lower.contains('\\') {
        return Err("it holds a backslash");
    }
    for after in lower.split("url(").skip(1) {
        if !after.trim_start_matches([' ', '\t', '\r', '\n', '"', '\'']).starts_with('#') {
            return Err("it refers to something outside itself");
        }
    }
    let mut rest = lower.as_str();
    let mut roots = 0u32;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = &comment[comment.find("-->").ok_or("a comment does not end")? + 3..];
        } else if let Some(instruction) = rest.strip_prefix('?') {
            if !instruction.starts_with("xml ") {
                return Err("it holds a processing instruction");
            }
            rest = &instruction[instruction.find("?>").ok_or("the declaration does not end")? + 2..];
        } else if rest.starts_with('!') {
            return Err("it holds a document type, an entity or a CDATA section");
        } else if let Some(closing) = rest.strip_prefix('/') {
            rest = &closing[closing.find('>').ok_or("a tag does not end")? + 1..];
        } else {
            let (name, after) = check_tag(rest)?;
            roots += u32::from(name == "svg");
            rest = after;
        }
    }
    if roots == 0 { Err("it holds no svg element") } else { Ok(()) }
}

/// Checks an opening tag; answers the name of its element and what comes after it.
fn check_tag(tag: &str) -> Result<(&str, &str), &'static str> {
    let end = tag.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').ok_or("a tag does not end")?;
    let name = local(&tag[..end]);
    if name.is_empty() || FORBIDDEN_ELEMENTS.contains(&name) {
        return Err("it holds an element that runs or loads something");
    }
    let mut rest = tag[end..].trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('>') {
            return Ok((name, after));
        }
        if let Some(after) = rest.strip_prefix('/') {
            rest = after.trim_start();
            continue;
        }
        let (attribute, after) = rest.split_once('=').ok_or("a tag does not end")?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("a value is not quoted")?;
        let (value, after) = after[1..].split_once(quote).ok_or("a value does not end")?;
        let attribute = attribute.trim();
        // In another namespace harmless names would mean elements of HTML.
        if attribute.starts_with("xmlns") && (value.contains("xhtml") || value.contains('&')) {
            return Err("it holds HTML");
        }
        check_attribute(local(attribute), value)?;
        rest = after.trim_start();
    }
}

fn check_attribute(name: &str, value: &str) -> Result<(), &'static str> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err("an attribute is malformed");
    }
    if name.starts_with("on") {
        return Err("it holds an event handler");
    }
    let embedded = ["data:image/png;", "data:image/jpeg;", "data:image/webp;"];
    if matches!(name, "href" | "src" | "base")
        && !value.starts_with('#')
        && !embedded.iter().any(|kind| value.starts_with(kind))
    {
        return Err("it refers to something outside itself");
    }
    // Animations may set any attribute but those that the lines above look at.
    if name == "attributename" && (local(value).starts_with("on") || local(value) == "href" || value.contains('&')) {
        return Err("it animates a reference or a handler");
    }
    // A character reference could spell what is refused above; style is where that would be understood.
    if name == "style" && value.contains('&') {
        return Err("a style holds a character reference");
    }
    Ok(())
}

/// A name without its namespace prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::CatalogError;

    fn outcome(content_type: &str, bytes: &[u8]) -> Result<(), String> {
        let file = MediaFile { content_type: content_type.to_owned(), bytes: bytes.to_vec() };
        match check(&file) {
            Ok(()) => Ok(()),
            Err(CatalogError::Invalid(errors)) => Err(format!("{} {}", errors[0].pointer, errors[0].code)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_picture_is_what_its_bytes_say() {
        for (content_type, bytes, wanted) in [
            ("image/png", b"\x89PNG\r\n\x1a\nxxxx".as_slice(), Ok(())),
            ("image/jpeg", b"\xff\xd8\xff\xe0".as_slice(), Ok(())),
            ("image/webp", b"RIFF\x10\0\0\0WEBPVP8 ".as_slice(), Ok(())),
            ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>".as_slice(), Ok(())),
            ("image/png", b"\xff\xd8\xff\xe0".as_slice(), Err("/bytes malformed")),
            ("image/webp", b"RIFF".as_slice(), Err("/bytes malformed")),
            ("image/jpeg", b"<svg></svg>".as_slice(), Err("/bytes malformed")),
            ("image/gif", b"GIF89a".as_slice(), Err("/content_type unknown")),
            ("text/html", b"<svg/>".as_slice(), Err("/content_type unknown")),
            ("image/png", b"".as_slice(), Err("/bytes required")),
        ] {
            assert_eq!(outcome(content_type, bytes), wanted.map_err(str::to_owned), "{content_type}");
        }
        assert_eq!(outcome("image/png", &vec![0; MEDIA_BYTES_MAX + 1]), Err("/bytes too_long".to_owned()));
    }

    #[test]
    fn an_svg_runs_and_loads_nothing() {
        for svg in [
            "<?xml version=\"1.0\"?><!-- c --><svg viewBox=\"0 0 1 1\"><path d=\"M0 0\"/></svg>",
            "<svg><defs><linearGradient id='a'/></defs><rect fill='url(#a)'/><use xlink:href='#a'/></svg>",
            "\u{feff} <svg><style>rect{fill:red}</style><text>one on two = 3</text></svg>",
            "<svg><image href='data:image/png;base64,AAAA'/></svg>",
        ] {
            assert_eq!(outcome("image/svg+xml", svg.as_bytes()), Ok(()), "{svg}");
        }
        for svg in [
            "<html><svg/></html>",
            "<svg><script>alert(1)</script></svg>",
            "<svg><SCRIPT/></svg>",
            "<svg><svg:script/></svg>",
            "<svg onload='x()'/>",
            "<svg ONLOAD=x()/>",
            "<svg/onload='x()'/>",
            "<svg\nonload\n=\n'x()'/>",
            "<svg a='1'onload='x()'/>",
            "<svg><foreignObject/></svg>",
            "<svg><a href='https://example.org'/></svg>",
            "<svg><a xlink:href=' javascript:alert(1)'/></svg>",
            "<svg><a href='&#106;avascript:alert(1)'/></svg>",
            "<svg><image href='data:image/svg+xml;base64,AA'/></svg>",
            "<svg><image href='//example.org/x.png'/></svg>",
            "<svg><rect fill='url(https://example.org/x)'/></svg>",
            "<svg><style>@import 'x';</style></svg>",
            "<svg><style>a{b:u\\72l(x)}</style></svg>",
            "<svg><set attributeName='href' to='x'/></svg>",
            "<svg><set attributeName='&#104;ref' to='x'/></svg>",
            "<!DOCTYPE svg [<!ENTITY x 'y'>]><svg/>",
            "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x 'y'>]><svg/>",
            "<svg><![CDATA[<script>]]></svg>",
            "<?xml-stylesheet href='x'?><svg/>",
            "<?xml version='1.0'?><html/>",
            "<svg><m xmlns='http://www.w3.org/1999/xhtml'/></svg>",
            "<svg",
            "<svg a='",
            "<svg><!-- ",
        ] {
            assert_eq!(outcome("image/svg+xml", svg.as_bytes()), Err("/bytes malformed".to_owned()), "{svg}");
        }
        assert_eq!(outcome("image/svg+xml", b"<svg>\xff</svg>"), Err("/bytes malformed".to_owned()));
    }

    #[test]
    fn a_product_shows_pictures_over_https_or_of_this_shop() {
        for url in
            ["https://example.org/a.png?b=1#c", "https://example.org:8443", &format!("/media/{}", media_id(b"x"))]
        {
            assert!(is_media_url(url), "{url}");
        }
        for url in [
            "",
            "http://example.org/a.png",
            "https://",
            "https:///a.png",
            "https://user@example.org/",
            "https://example.org/a b",
            "https://example.org/\"onerror",
            "//example.org/a.png",
            "/media/med_1",
            "/media/../secret",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
        ] {
            assert!(!is_media_url(url), "{url}");
        }
    }

    #[test]
    fn the_id_of_a_picture_is_the_start_of_its_sha_256() {
        assert_eq!(media_id(b"abc"), "med_ba7816bf8f01cfea414140de5dae2223");
    }
}
