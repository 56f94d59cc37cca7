//! The house style as a test: the map of the tree, who may depend on whom, and the rules that reading can check.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the root may hold, beside dotfiles and what cargo makes. README.md shows the same map.
const MAP: [&str; 13] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "components",
    "docs",
    "runtime",
    "sample",
    "spin.toml",
    "tests",
    "wadm.yaml",
    "wit",
];

/// From how many lines on a file must say why it is long.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the root").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a directory whose name ends so.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.expect("the directory can be listed").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn components() -> Vec<String> {
    let dirs = fs::read_dir(root().join("components")).expect("there are components");
    let mut names: Vec<String> =
        dirs.map(|dir| dir.expect("components/ can be listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Asserts that nothing was found, and shows what was.
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[cfg(test)]")
            && text.lines().nth(number + 1).is_some_and(|next| next.contains("mod tests {"))
        {
            break;
        }
        if !line.trim_start().starts_with("//") {
            lines.push((number + 1, line.to_owned()));
        }
    }
    lines
}

fn is_test(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/fakes")
}

#[test]
fn the_root_holds_what_the_map_shows_and_nothing_else() {
    let mut names: Vec<String> = fs::read_dir(root())
        .expect("the root can be listed")
        .map(|entry| entry.expect("the root can be listed").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    names.sort();
    assert_eq!(names, MAP);
    let readme = read(&root().join("README.md"));
    let map = ["wit/", "components/", "runtime/", "tests/", "sample/", "docs/", "spin.toml", "wadm.yaml", "Makefile"];
    none(
        map.iter()
            .filter(|path| !readme.contains(**path))
            .map(|path| format!("README.md does not show {path}"))
            .collect(),
    );
}

#[test]
fn no_test_is_forgotten() {
    let verify = read(&root().join("tests/verify.sh"));
    let mut findings = Vec::new();
    let dirs = [
        "runtime/tests",
        "runtime/store/tests",
        "runtime/server/tests",
        "tests/tests",
        "tests/providers/tests",
        "tests/sim/tests",
    ];
    for dir in dirs {
        let Ok(entries) = fs::read_dir(root().join(dir)) else { continue };
        for path in entries.map(|entry| entry.expect("the directory can be listed").path()) {
            // A folder is a test when a file of its own starts it; others are parts of one.
            let is_test = path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").exists();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            if is_test
                && !verify.split_whitespace().collect::<Vec<_>>().windows(2).any(|words| words == ["--test", &name])
            {
                findings.push(format!("{dir}/{name}: tests/verify.sh does not run it"));
            }
        }
    }
    for name in components() {
        if root().join("components").join(&name).join("tests").exists() {
            findings.push(format!("components/{name}/tests: tests/verify.sh runs the unit tests of components alone"));
        }
    }
    none(findings);
}

#[test]
fn no_component_depends_on_another() {
    let mut findings = Vec::new();
    for name in components() {
        let manifest = read(&root().join("components").join(&name).join("Cargo.toml"));
        // An adapter gives a port on a platform, within the limits that all platforms share.
        let shared = if name.starts_with("adapter-") { &["souk-kit", "souk-store"][..] } else { &["souk-kit"] };
        let foreign = |line: &&str| line.starts_with("souk-") && !shared.iter().any(|crate_| line.starts_with(crate_));
        for line in manifest.lines().filter(foreign) {
            findings.push(format!("components/{name}: {line}"));
        }
    }
    let host = read(&root().join("runtime/Cargo.toml"));
    let rooms = ["souk-server", "souk-store"];
    let foreign =
        host.lines().filter(|line| line.starts_with("souk-") && !rooms.iter().any(|room| line.starts_with(room)));
    findings.extend(foreign.map(|line| format!("runtime: {line}")));
    let kit = read(&root().join("components/kit/Cargo.toml"));
    findings.extend(kit.lines().filter(|line| line.starts_with("souk-")).map(|line| format!("kit: {line}")));
    none(findings);
}

#[test]
fn the_host_knows_nothing_of_commerce() {
    let mut findings = Vec::new();
    for path in files(&root().join("runtime/src"), ".rs").into_iter().filter(|path| !is_test(path)) {
        for (number, line) in code(&read(&path)) {
            for word in ["shop/user", "shop/catalog", "shop/cart", "shop/order", "shop/payment", "shop/notification"] {
                if line.contains(word) {
                    findings.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    none(findings);
}

#[test]
fn only_the_store_knows_sql() {
    let mut findings = Vec::new();
    for name in components() {
        for path in files(&root().join("components").join(&name).join("src"), ".rs") {
            let at_home =
                path.to_string_lossy().contains("/store") || is_test(&path) || path.ends_with("kit/src/testing.rs");
            if at_home {
                continue;
            }
            for (number, line) in code(&read(&path)) {
                if ["SELECT ", "INSERT INTO ", "DELETE FROM ", "UPDATE "].iter().any(|word| line.contains(word)) {
                    findings.push(format!("{}:{number}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    none(findings);
}

#[test]
fn only_component_rs_knows_generated_exports_clocks_and_randomness() {
    let mut findings = Vec::new();
    for name in components().into_iter().filter(|name| name != "kit") {
        for path in files(&root().join("components").join(&name).join("src"), ".rs") {
            if path.ends_with("component.rs") {
                continue;
            }
            for (number, line) in code(&read(&path)) {
                for word in ["wit_bindgen::", "guest::", "SystemTime", "Instant::now", "getrandom"] {
                    if line.contains(word) {
                        findings.push(format!("{}:{number}: {word}", path.display()));
                    }
                }
            }
        }
    }
    none(findings);
}

#[test]
fn guests_have_no_floats_hash_maps_or_unwraps() {
    let mut findings = Vec::new();
    for path in files(&root().join("components"), ".rs").into_iter().filter(|path| !is_test(path)) {
        for (number, line) in code(&read(&path)) {
            for word in ["f64", "f32", "HashMap", "HashSet", ".unwrap()", "println!"] {
                // The reader of JSON names floats in order to refuse them.
                let refused = path.ends_with("gateway/src/input.rs") && word.starts_with('f');
                if line.contains(word) && !refused && !path.ends_with("kit/src/testing.rs") {
                    findings.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    none(findings);
}

/// A test's name, as docs/promises.md writes it: three words or more, joined by underscores.
fn is_name_of_a_test(text: &str) -> bool {
    text.split('_').count() > 2 && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[test]
fn every_test_that_shows_a_promise_exists() {
    let promises = read(&root().join("docs/promises.md"));
    let named = promises.split('`').skip(1).step_by(2).filter(|text| is_name_of_a_test(text)).collect::<Vec<_>>();
    assert!(!named.is_empty(), "the page names tests");
    let all: String = ["components", "runtime", "tests"]
        .iter()
        .flat_map(|dir| files(&root().join(dir), ".rs"))
        .map(|path| read(&path))
        .collect();
    let missing = named.into_iter().filter(|name| !all.contains(&format!("fn {name}("))).map(str::to_owned);
    none(missing.collect());
}

#[test]
fn nothing_is_ignored_unfinished_or_asleep() {
    // Written apart, so that this file does not find itself.
    let words = [
        concat!("#[ig", "nore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("thread::", "sleep"),
        concat!("FIX", "ME"),
    ];
    let mut findings = Vec::new();
    for room in ["components", "runtime", "tests"] {
        for path in files(&root().join(room), ".rs") {
            for (number, line) in read(&path).lines().enumerate() {
                // The clock of the engine ticks by itself; nothing else waits for time to pass.
                // And tests wait for other processes in one place, as the disk of tests does until it is left alone.
                let clock = path.ends_with("runtime/src/engine.rs") && line.contains("sleep(TICK)")
                    || path.ends_with("tests/src/wait.rs") && line.contains("sleep(LOOK_EVERY)")
                    || path.ends_with("tests/disk/src/main.rs") && line.contains("sleep(UNMOUNT_EVERY)");
                for word in words.iter().filter(|word| line.contains(**word) && !clock) {
                    findings.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    none(findings);
}

#[test]
fn long_files_say_why() {
    let mut findings = Vec::new();
    for room in ["components", "runtime", "tests"] {
        for path in files(&root().join(room), ".rs") {
            let text = read(&path);
            let lines = text.lines().count();
            let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            if lines > LINES_MAX && !header.contains("long because") {
                findings.push(format!(
                    "{}: {lines} lines, and its first comment does not say `long because`",
                    path.display()
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut findings = Vec::new();
    for room in ["components", "runtime", "tests"] {
        for path in files(&root().join(room), ".rs") {
            if !read(&path).starts_with("//!") {
                findings.push(format!("{} does not start with a comment", path.display()));
            }
        }
    }
    none(findings);
}

#[test]
fn every_wit_item_is_documented() {
    let mut findings = Vec::new();
    for path in files(&root().join("wit"), ".wit") {
        let text = read(&path);
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let item = line.trim();
            let declares = ["interface ", "world ", "record ", "variant ", "enum ", "type "]
                .iter()
                .any(|word| item.starts_with(word))
                || item.contains(": func(")
                || (item.ends_with(',') && line.starts_with("    ") && !item.starts_with("///"));
            if declares && !before.trim().starts_with("///") {
                findings.push(format!("{}:{}: {item}", path.display(), number + 1));
            }
            before = line;
        }
    }
    none(findings);
}

#[test]
fn migrations_are_portable_and_keep_to_their_component() {
    let mut findings = Vec::new();
    for name in components() {
        let dir = root().join("components").join(&name).join("migrations");
        if !dir.is_dir() {
            continue;
        }
        let prefix = format!("{}_", name.replace('-', "_"));
        for path in files(&dir, ".sql") {
            let text = read(&path);
            let sql: String =
                text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
            let upper = sql.to_uppercase();
            for word in [
                "AUTOINCREMENT",
                " REAL",
                " BLOB",
                " BOOLEAN",
                " INTEGER",
                " JSONB",
                " TIMESTAMP",
                " LIKE ",
                "NOW()",
                "WITHOUT ROWID",
            ] {
                if upper.contains(word) {
                    findings.push(format!("{}: {}", path.display(), word.trim()));
                }
            }
            for line in sql.lines() {
                for made in ["CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "] {
                    if let Some(rest) = line.trim().strip_prefix(made)
                        && !rest.starts_with(&prefix)
                    {
                        findings.push(format!(
                            "{}: {} is not named {prefix}...",
                            path.display(),
                            rest.split(['(', ' ']).next().unwrap_or(rest)
                        ));
                    }
                }
            }
        }
    }
    none(findings);
}
