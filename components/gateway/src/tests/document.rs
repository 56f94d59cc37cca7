//! The document says what the routes do, and what is checked in is what the code says.

use std::collections::BTreeSet;
use std::path::Path;

use crate::problem::Code;
use crate::routes::{Access, GROUPS, Keyed};
use crate::{docs, openapi};

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = openapi::document();
    let mut written = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in item.as_object().expect("a path has methods") {
            written.insert(format!("{} {path}", method.to_ascii_uppercase()));
            assert!(ids.insert(operation["operationId"].to_string()), "{} stands twice", operation["operationId"]);
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
        }
    }
    let mut routed = BTreeSet::new();
    for (base, tables) in GROUPS {
        for route in tables.iter().flat_map(|table| table.iter()) {
            routed.insert(format!("{} {base}{}", route.method, route.path));
        }
    }
    assert_eq!(written, routed);
}

#[test]
fn the_document_is_openapi_3_1_and_holds_no_null() {
    let document = openapi::document();
    assert_eq!(document["openapi"], "3.1.0");
    // OpenAPI knows no null: one is left behind when a field is looked at that is not there.
    assert!(!document.to_string().contains(":null"));
}

#[test]
fn every_reference_leads_somewhere_and_every_path_parameter_is_described() {
    let document = openapi::document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        let named: BTreeSet<&str> = path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')).collect();
        for operation in item.as_object().expect("a path has methods").values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_path = parameters.filter(|parameter| parameter["in"] == "path");
            assert_eq!(named, in_path.filter_map(|parameter| parameter["name"].as_str()).collect(), "{path}");
        }
    }
}

#[test]
fn staff_and_money_are_guarded_by_the_table() {
    for (base, tables) in GROUPS {
        for route in tables.iter().flat_map(|table| table.iter()) {
            let path = format!("{base}{}", route.path);
            if base == "/api/v1/admin/" && route.path != "setup" {
                assert_eq!(route.access, Access::Staff, "{path}");
            }
            let money = ["/checkout", "/capture", "/refund"].iter().any(|end| path.ends_with(end));
            assert_eq!(route.keyed == Keyed::Required, money, "{path}");
            let by_itself = route.method != "POST" || base == "/api/v1/hooks/";
            assert_eq!(route.keyed == Keyed::Never, by_itself, "{path}");
        }
    }
}

#[test]
fn codes_are_told_apart() {
    let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
}

#[test]
fn what_is_checked_in_is_what_the_code_says() {
    let document = openapi::document();
    golden("openapi.json", &openapi::written(&document), docs::OPENAPI);
    golden("docs.html", &openapi::page(&document), docs::PAGE);
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = openapi::page(&openapi::document());
    for forbidden in ["<script", "src=", "<link", "url(", "@import", "onclick"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

fn golden(name: &str, now: &str, checked_in: &[u8]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), now).expect("the file can be written");
        return;
    }
    assert!(now.as_bytes() == checked_in, "{name} is not what the code says: UPDATE_GOLDEN=1 rewrites it");
}
