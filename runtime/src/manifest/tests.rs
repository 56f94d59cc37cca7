//! Claims about reading manifests.

use std::path::Path;

use super::{Generate, Link, Manifest, sorted};

const GOOD: &str = r#"
spin_manifest_version = 2

[application]
name = "shop"
version = "0.1.0"

[application.tool.souk.generate]
signing_key = { kind = "ed25519", public = "verifying_key" }

[variables]
signing_key = { required = true, secret = true }
verifying_key = { required = true }
mode = { default = "test" }

[[trigger.http]]
route = "/api/..."
component = "gateway"

[[trigger.http]]
route = "/api/hooks/..."
component = "gateway"

[component.gateway]
source = "gateway.wasm"
key_value_stores = ["default"]
variables = { mode = "{{ mode }}" }

[component.gateway.tool.souk]
links = { catalog = "catalog", "payment-providers" = { test = "test-payments" } }
limits = { memory_mib = 32, rate_per_minute = 600, rates = { "/api/hooks/..." = 6000 }, body_bytes = 1000 }

[component.catalog]
source = "catalog.wasm"
sqlite_databases = ["default"]

[component.catalog.tool.souk]
topics = ["order.placed"]
limits = { deadline_ms = 1000, concurrency = 8 }

[component.test-payments]
source = "spin/test-payments.wasm"
variables = { key = "{{ mode }}", other = "other" }
key_value_stores = ["default"]
tool.souk.source = "test-payments.wasm"
tool.souk.variables = { key = "{{ mode }}" }

[[trigger.http]]
route = "/drain"
component = "drain"

[component.drain]
source = "spin/drain.wasm"

[component.drain.tool.souk]
platform = "spin"
source = "drain.wasm"
"#;

fn findings(text: &str) -> Vec<String> {
    let (_, findings) = Manifest::parse("spin.toml", text, Path::new(""));
    sorted(findings).iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_manifest_reads_as_it_was_meant() {
    let (manifest, findings) = Manifest::parse("spin.toml", GOOD, Path::new("dir"));
    assert_eq!(findings, []);
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("shop", "0.1.0"));
    let gateway = &manifest.components["gateway"];
    assert!(gateway.granted.kv && !gateway.granted.sql);
    assert_eq!(gateway.granted, gateway.granted_composite);
    assert_eq!(gateway.links["catalog"], Link::One("catalog".into()));
    assert!(matches!(&gateway.links["payment-providers"], Link::Many(many) if many["test"] == "test-payments"));
    assert_eq!((gateway.limits.memory, gateway.limits.body), (32 << 20, 1000));
    let rates = manifest.routes.iter().map(|route| (route.pattern.to_string(), gateway.limits.rate_on(&route.pattern)));
    assert_eq!(
        rates.collect::<Vec<_>>(),
        [("/api/...".to_owned(), Some(600)), ("/api/hooks/...".to_owned(), Some(6000))]
    );
    assert_eq!(manifest.components["catalog"].topics, ["order.placed"]);
    let connector = &manifest.components["test-payments"];
    assert_eq!(connector.source, Path::new("dir/test-payments.wasm"));
    assert!(connector.granted.kv, "what `tool.souk` does not say counts for both");
    assert_eq!((connector.granted.variables.len(), connector.granted_composite.variables.len()), (1, 2));
    assert!(!manifest.components.contains_key("drain"), "it is for Spin alone");
    assert_eq!(manifest.component("drain").map(|drain| drain.source.as_path()), Some(Path::new("dir/drain.wasm")));
    assert_eq!(manifest.routes.len(), 2, "no route of this host leads there");
    assert_eq!(manifest.topics()["order.placed"], ["catalog"]);
    assert_eq!(manifest.generate["signing_key"], Generate::Ed25519 { public: "verifying_key".into() });
    assert_eq!(manifest.routes[0].component, "gateway");
}

/// Each row changes the good manifest in one place and names what the finding must say.
#[test]
fn each_mistake_is_named_with_what_to_write() {
    for (from, to, expected) in [
        ("spin_manifest_version = 2", "spin_manifest_version = 1", "spin_manifest_version = 2"),
        ("spin_manifest_version = 2", "spin_manifest_version = 2\nextra = 1", "no key `extra`"),
        ("name = \"shop\"", "", "`name` is missing"),
        ("version = \"0.1.0\"", "verson = \"0.1.0\"", "no key `verson`"),
        ("kind = \"ed25519\"", "kind = \"rsa\"", "there is no kind `rsa`"),
        (", public = \"verifying_key\"", "", "public = \"name\""),
        ("verifying_key = { required = true }", "", "no variable `verifying_key`"),
        ("mode = { default = \"test\" }", "mode = { }", "either default"),
        ("mode = { default = \"test\" }", "mode = { defualt = \"test\" }", "write `default`"),
        ("route = \"/api/...\"", "route = \"api\"", "starts with a slash"),
        ("route = \"/api/...\"", "", "`route` is missing"),
        ("component = \"gateway\"", "component = \"gatway\"", "write `gateway`"),
        ("[[trigger.http]]", "[[trigger.redis]]", "no `redis` trigger"),
        ("source = \"gateway.wasm\"", "source = { url = \"https://x\" }", "path of a local file"),
        ("source = \"gateway.wasm\"", "", "`source` is missing"),
        ("key_value_stores = [\"default\"]", "key_value_stores = [\"other\"]", "no `other` here"),
        ("key_value_stores = [\"default\"]", "key_value_stores = \"default\"", "a list of strings"),
        ("key_value_stores", "key_value_store", "write `key_value_stores`"),
        ("links = { catalog = \"catalog\"", "links = { catalog = \"catalogue\"", "write `catalog`"),
        ("links = { catalog = \"catalog\"", "links = { catalog = 1", "write \"component\""),
        ("{ test = \"test-payments\" }", "{ test = \"nobody\" }", "add [component.nobody]"),
        ("memory_mib = 32", "memory_mib = 0", "from 1 to 256"),
        ("memory_mib = 32", "memory_mib = 1000", "from 1 to 256"),
        ("memory_mib = 32", "memory = 32", "no key `memory`"),
        ("rate_per_minute = 600", "rate_per_minute = -1", "from 1 to 1000000"),
        ("\"/api/hooks/...\" = 6000", "\"/api/hooks/...\" = 0", "from 1 to 1000000"),
        ("\"/api/hooks/...\" = 6000", "\"/api/hook/...\" = 6000", "does not lead here"),
        ("concurrency = 8", "concurrency = \"8\"", "from 1 to 1000"),
        ("deadline_ms = 1000", "rate_per_minute = 5", "no route leads here"),
        ("topics = [\"order.placed\"]", "topics = [\"placed\"]", "is no topic"),
        ("topics = [\"order.placed\"]", "topics = [\"a.b\", \"a.b\"]", "stands twice"),
        ("topics = [\"order.placed\"]", "migrations = \"nowhere\"", "does not exist"),
        ("topics = [\"order.placed\"]", "topic = []", "write `topics`"),
        ("platform = \"spin\"", "platform = \"sping\"", "platform = \"spin\""),
        ("platform = \"spin\"", "platform = \"spin\"\ntopics = [\"a.b\"]", "hears no events"),
        ("links = { catalog = \"catalog\"", "links = { catalog = \"drain\"", "for another platform"),
        ("route = \"/drain\"", "route = \"/api/...\"", "already taken"),
        ("[application]", "[application", "not valid TOML"),
    ] {
        assert!(GOOD.contains(from), "the row `{from}` changes nothing");
        let found = findings(&GOOD.replacen(from, to, 1));
        assert!(found.iter().any(|text| text.contains(expected)), "{to}: {found:?}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_lines() {
    let text = GOOD
        .replace("spin_manifest_version = 2", "spin_manifest_version = 2\nextra = 1")
        .replace("memory_mib = 32", "memory_mib = 0")
        .replacen("component = \"gateway\"", "component = \"gatway\"", 1)
        .replace("source = \"catalog.wasm\"", "sorce = \"catalog.wasm\"");
    let found = findings(&text);
    let lines: Vec<_> = found.iter().map(|text| text.split(": ").next().unwrap_or("")).collect();
    assert_eq!(found.len(), 5, "{found:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("spin.toml:")).count(), 5, "{found:#?}");
    assert!(lines.is_sorted_by_key(|line| line["spin.toml:".len()..].parse::<usize>().ok()), "{found:#?}");
}

#[test]
fn two_routes_may_not_take_the_same_path() {
    let second = "[[trigger.http]]\nroute = \"/api/...\"\ncomponent = \"gateway\"\n\n[component.gateway]\n";
    let found = findings(&GOOD.replacen("[component.gateway]\n", second, 1));
    assert!(found.iter().any(|text| text.contains("already taken")), "{found:?}");
}
