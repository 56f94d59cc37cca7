//! The document as a page that a person reads: operations by subject, shapes, and the codes of problems.

use std::fmt::Write;

use serde_json::Value;

use crate::problem::{Code, Retry};

/// The methods, in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

const STYLE: &str = "\
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent);--soft:color-mix(in srgb,currentColor 6%,transparent);--accent:#0b6e4f}\
@media(prefers-color-scheme:dark){:root{--accent:#5fd0a5}}\
body{font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1.5rem}\
h1{margin:0}h2{border-top:2px solid var(--line);margin-top:3rem;padding-top:1rem}h3{margin:2rem 0 .3rem;font-size:1rem}\
a{color:var(--accent)}code{font:0.92em ui-monospace,monospace;overflow-wrap:anywhere}\
nav ul{columns:18rem;padding-left:1.2rem}table{border-collapse:collapse;width:100%;margin:.5rem 0}\
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}th{font-weight:600}\
td:first-child{white-space:nowrap}.verb{display:inline-block;min-width:4.2rem;font-weight:700;color:var(--accent)}\
.note{font-size:.85rem;background:var(--soft);border-radius:.3rem;padding:.1rem .45rem;margin-left:.5rem;font-weight:400}\
.wide{overflow-x:auto}";

/// Renders the document.
pub fn page(document: &Value) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    page.push_str(
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Souk API</title>\n",
    );
    put(&mut page, format_args!("<style>{STYLE}</style>\n<main>\n<h1>Souk API</h1>\n"));
    page.push_str("<p>Version 1. For programs: <a href=\"/api/openapi.json\">openapi.json</a>.</p>\n");
    for paragraph in text(&document["info"]["description"]).split("\n\n") {
        put(&mut page, format_args!("<p>{}</p>\n", prose(paragraph)));
    }
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    contents(&mut page, document, &tags);
    for tag in &tags {
        subject(&mut page, document, tag);
    }
    shapes(&mut page, document);
    problems(&mut page);
    page.push_str("</main>\n");
    page
}

fn contents(page: &mut String, document: &Value, tags: &[&Value]) {
    page.push_str("<nav aria-label=\"Contents\">\n<ul>\n");
    for tag in tags {
        let name = text(&tag["name"]);
        let count = operations(document, name).len();
        put(page, format_args!("<li><a href=\"#{}\">{}</a> ({count})\n", anchor(name), escape(name)));
    }
    page.push_str("<li><a href=\"#shapes\">shapes</a>\n<li><a href=\"#problems\">problems</a>\n</ul>\n</nav>\n");
}

/// The operations of a tag: method, path, operation.
fn operations<'d>(document: &'d Value, tag: &str) -> Vec<(&'static str, &'d str, &'d Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| METHODS.iter().map(move |method| (*method, path.as_str(), &item[*method])))
        .filter(|(_, _, operation)| operation["tags"][0] == tag)
        .collect()
}

fn subject(page: &mut String, document: &Value, tag: &Value) {
    let name = text(&tag["name"]);
    put(page, format_args!("<h2 id=\"{}\">{}</h2>\n", anchor(name), escape(name)));
    put(page, format_args!("<p>{}</p>\n", prose(text(&tag["description"]))));
    for (method, path, operation) in operations(document, name) {
        let (id, verb) = (text(&operation["operationId"]), method.to_ascii_uppercase());
        put(page, format_args!("<h3 id=\"{id}\"><span class=\"verb\">{verb}</span> <code>{}</code>", escape(path)));
        put(page, format_args!("{}</h3>\n", access(operation, path)));
        for part in ["summary", "description"] {
            for paragraph in text(&operation[part]).split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
                put(page, format_args!("<p>{}</p>\n", prose(paragraph)));
            }
        }
        parameters(page, operation);
        bodies(page, operation);
    }
}

fn access(operation: &Value, path: &str) -> &'static str {
    match operation["security"].as_array().map(Vec::len) {
        Some(1) if path.starts_with("/api/v1/admin/") => " <span class=\"note\">staff</span>",
        Some(1) => " <span class=\"note\">signed in</span>",
        _ => "",
    }
}

fn parameters(page: &mut String, operation: &Value) {
    let Some(parameters) = operation["parameters"].as_array().filter(|list| !list.is_empty()) else { return };
    page.push_str("<div class=\"wide\"><table><tr><th>parameter<th>in<th>type<th>meaning\n");
    for parameter in parameters {
        let needed = if parameter["required"] == true { ", required" } else { "" };
        put(
            page,
            format_args!(
                "<tr><td><code>{}</code><td>{}{needed}<td>{}<td>{}\n",
                escape(text(&parameter["name"])),
                escape(text(&parameter["in"])),
                kind(&parameter["schema"]),
                prose(text(&parameter["description"])),
            ),
        );
    }
    page.push_str("</table></div>\n");
}

fn bodies(page: &mut String, operation: &Value) {
    page.push_str("<div class=\"wide\"><table>\n");
    for (media, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        put(page, format_args!("<tr><td>body<td>{}<td><code>{}</code>\n", kind(&content["schema"]), escape(media)));
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let contents = response["content"].as_object().into_iter().flatten();
        let kinds: Vec<String> = contents.map(|(_, content)| kind(&content["schema"])).collect();
        let (status, meaning) = if status == "default" {
            ("else", "<a href=\"#problems\">a problem</a>".to_owned())
        } else {
            (status.as_str(), prose(text(&response["description"])))
        };
        put(page, format_args!("<tr><td>{}<td>{}<td>{meaning}\n", escape(status), kinds.join(" ")));
    }
    page.push_str("</table></div>\n");
}

fn shapes(page: &mut String, document: &Value) {
    page.push_str("<h2 id=\"shapes\">shapes</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        put(page, format_args!("<h3 id=\"shape-{}\"><code>{}</code></h3>\n", escape(name), escape(name)));
        put(page, format_args!("<p>{}</p>\n", prose(text(&schema["description"]))));
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<String> = values.iter().map(|v| format!("<code>{}</code>", escape(text(v)))).collect();
            put(page, format_args!("<p>One of {}.</p>\n", values.join(", ")));
        }
        let parts = [schema].into_iter();
        let parts = parts.chain(schema["allOf"].as_array().into_iter().flatten());
        for part in parts.chain(schema["oneOf"].as_array().into_iter().flatten()) {
            fields(page, part);
        }
    }
}

fn fields(page: &mut String, schema: &Value) {
    if schema["$ref"].is_string() {
        put(page, format_args!("<p>With the fields of {}.</p>\n", kind(schema)));
    }
    let Some(fields) = schema["properties"].as_object() else { return };
    page.push_str("<div class=\"wide\"><table><tr><th>field<th>type<th>meaning\n");
    for (name, field) in fields {
        let needed = schema["required"].as_array().is_some_and(|all| all.contains(&Value::from(name.as_str())));
        let optional = if needed { "" } else { ", optional" };
        put(page, format_args!("<tr><td><code>{}</code><td>{}{optional}", escape(name), kind(field)));
        put(page, format_args!("<td>{}\n", prose(text(&field["description"]))));
    }
    page.push_str("</table></div>\n");
}

fn problems(page: &mut String) {
    page.push_str("<h2 id=\"problems\">problems</h2>\n<p>Every error is a ");
    page.push_str("<a href=\"#shape-Problem\">problem document</a>; its <code>code</code> is one of these.</p>\n");
    page.push_str("<div class=\"wide\"><table><tr><th>status<th>code<th>meaning<th>send again?\n");
    for code in Code::ALL {
        let retry = match code.retry() {
            Retry::Never => "no",
            Retry::AfterReading => "after reading again, or with what is missing",
            Retry::AsItIs => "as it is, later",
        };
        let (status, name) = (code.status(), code.name());
        put(page, format_args!("<tr><td>{status}<td><code>{name}</code><td>{}<td>{retry}\n", escape(code.title())));
    }
    page.push_str("</table></div>\n");
}

/// The type of a schema, in a few words and links.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#shape-{0}\">{0}</a>", escape(name));
    }
    for choice in ["oneOf", "allOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let choices: Vec<String> = choices.iter().map(kind).collect();
            return choices.join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|value| format!("<code>{}</code>", escape(text(value)))).collect();
        return values.join(" ");
    }
    let one = |name: &str| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "string" => text_kind(schema),
        other => escape(other),
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().map(|name| one(text(name))).collect::<Vec<_>>().join(" or "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    }
}

fn text_kind(schema: &Value) -> String {
    match schema["format"].as_str() {
        Some(format) => escape(format),
        None => "text".to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn anchor(name: &str) -> String {
    name.replace(": ", "-")
}

/// A text with what stands between backticks as code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (place, part) in text.split('`').enumerate() {
        let part = escape(part);
        if place % 2 == 0 { html.push_str(&part) } else { put(&mut html, format_args!("<code>{part}</code>")) }
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a text takes all that is written to it");
}
