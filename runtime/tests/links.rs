//! Links join any interfaces whose types agree, and a callee's failure stays the callee's.

mod support;

use support::{Dir, Host, component, edge, eventually, manifest};

/// Interfaces that the host has never heard of.
const WIT: &str = "package t:sum@1.2.3;
    interface types { variant failure { odd(u32), unknown-provider, unavailable(string) } }
    interface adder {
        use types.{failure};
        add: func(a: u32, b: u32) -> result<u32, failure>;
        plain: func(a: u32) -> u32;
    }
    interface adders {
        use types.{failure};
        add: func(a: u32, provider: string, b: u32) -> result<u32, failure>;
    }
    world adder-service { export adder; }
    world single { import adder; export souk:shop/http@0.1.0; }
    world several { import adders; export souk:shop/http@0.1.0; }";

fn world(name: &str) -> String {
    // One world per component: the others are cut away.
    let worlds: Vec<_> = WIT.lines().filter(|line| !line.trim().starts_with("world")).collect();
    let world = WIT.lines().find(|line| line.trim().starts_with(&format!("world {name} "))).expect("a world");
    format!("{}{}", worlds.join("\n"), world)
}

/// Adds, unless told to misbehave: 2 traps, 3 never ends, 4 says that it is away, 5 is refused as odd.
fn adder(bonus: u32) -> Vec<u8> {
    adder_with("", "", bonus)
}

/// The same with imports: of the module, and of the world.
fn adder_with(module: &str, wit: &str, bonus: u32) -> Vec<u8> {
    component(
        &format!(
            r#"(module
                {module}
                (memory (export "memory") 1)
                (data (i32.const 16) "gone fishing")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
                (func (export "t:sum/adder@1.2.3#add") (param $a i32) (param $b i32) (result i32)
                    (if (i32.eq (local.get $a) (i32.const 2)) (then unreachable))
                    (if (i32.eq (local.get $a) (i32.const 3)) (then (loop $again (br $again))))
                    (if (i32.eq (local.get $a) (i32.const 4))
                        (then
                            (i32.store8 (i32.const 64) (i32.const 1))
                            (i32.store8 (i32.const 68) (i32.const 2))
                            (i32.store (i32.const 72) (i32.const 16))
                            (i32.store (i32.const 76) (i32.const 12))
                            (return (i32.const 64))))
                    (if (i32.eq (local.get $a) (i32.const 5))
                        (then
                            (i32.store8 (i32.const 64) (i32.const 1))
                            (i32.store8 (i32.const 68) (i32.const 0))
                            (i32.store (i32.const 72) (i32.const 7))
                            (return (i32.const 64))))
                    (i32.store (i32.const 68) (i32.add (i32.add (local.get $a) (local.get $b)) (i32.const {bonus})))
                    (i32.const 64))
                (func (export "t:sum/adder@1.2.3#plain") (param $a i32) (result i32)
                    (if (i32.eq (local.get $a) (i32.const 2)) (then unreachable))
                    (local.get $a))
            )"#
        ),
        &world("adder-service").replace("export adder;", &format!("{wit} export adder;")),
    )
}

/// What both edges do with the answer at 64: a digit, a text, or the number of the error's case.
const TELL: &str = r#"(func $tell (result i32)
    (if (i32.eqz (i32.load8_u (i32.const 64)))
        (then
            (i32.store8 (i32.const 100) (i32.add (i32.const 48) (i32.load (i32.const 68))))
            (return (call $answer (i32.const 200) (i32.const 100) (i32.const 1)))))
    (if (i32.eq (i32.load8_u (i32.const 68)) (i32.const 2))
        (then (return (call $answer (i32.const 503) (i32.load (i32.const 72)) (i32.load (i32.const 76))))))
    (i32.store8 (i32.const 100) (i32.add (i32.const 48) (i32.load8_u (i32.const 68))))
    (call $answer (i32.const 409) (i32.const 100) (i32.const 1)))"#;

/// `/N` adds N and 2; `/pN` calls the function that has no error.
fn single() -> Vec<u8> {
    single_with("", "")
}

/// The same with imports: of the module, and of the world.
fn single_with(module: &str, wit: &str) -> Vec<u8> {
    let imports = r#"(import "t:sum/adder@1.2.3" "add" (func $add (param i32 i32 i32)))
        (import "t:sum/adder@1.2.3" "plain" (func $plain (param i32) (result i32)))"#;
    let routes = r#"
        (if (i32.eq (local.get $route) (i32.const 0x70))
            (then (drop (call $plain (i32.sub (i32.load8_u offset=2 (local.get $path)) (i32.const 48)))))
            (else
                (call $add (i32.sub (local.get $route) (i32.const 48)) (i32.const 2) (i32.const 64))
                (return (call $tell))))"#;
    let world = world("single").replace("import adder;", &format!("{wit} import adder;"));
    component(&edge(&format!("{module}{imports}"), TELL, routes), &world)
}

/// `/NX` asks X to add N and 2.
fn several() -> Vec<u8> {
    let imports = r#"(import "t:sum/adders@1.2.3" "add" (func $add (param i32 i32 i32 i32 i32)))"#;
    let routes = r#"
        (call $add (i32.sub (local.get $route) (i32.const 48))
            (i32.add (local.get $path) (i32.const 2)) (i32.const 1) (i32.const 2) (i32.const 64))
        (return (call $tell))"#;
    component(&edge(imports, TELL, routes), &world("several"))
}

#[test]
fn a_failing_callee_is_an_error_value_where_the_function_has_one() {
    let dir = Dir::new();
    dir.write("edge.wasm", single());
    dir.write("adder.wasm", adder(0));
    let limits = "[component.adder]\nsource = \"adder.wasm\"\ntool.souk.limits = { deadline_ms = 200 }";
    dir.write("spin.toml", manifest("links = { adder = \"adder\" }", limits));
    let mut host = Host::up(&dir);
    for (path, status, body) in [
        ("/1", 200, "3"),
        ("/2", 503, "component adder trapped"),
        ("/3", 503, "component adder took too long"),
        ("/4", 503, "gone fishing"),
        ("/5", 409, "0"),
        ("/p1", 200, "ok"),
        ("/1", 200, "3"),
    ] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
    let trapped = host.get("/p2");
    assert_eq!((trapped.status, trapped.code().as_str()), (500, "internal_error"));
    let line = host.wait_for_log("\"function\":\"plain\"");
    assert!(line.contains("\"component\":\"adder\"") && line.contains("unreachable"), "{line}");
    for (labels, calls) in [
        ("interface=\"adder\",outcome=\"ok\"", 2.0),
        ("interface=\"adder\",outcome=\"trap\"", 1.0),
        ("interface=\"adder\",outcome=\"deadline\"", 1.0),
        ("interface=\"adder\",outcome=\"unavailable\"", 1.0),
        ("interface=\"adder\",outcome=\"odd\"", 1.0),
    ] {
        let name = format!("souk_calls_total{{function=\"add\",{labels}}}");
        assert_eq!(host.metric(&name), Some(calls), "{name}");
    }
}

/// One instance graph: the same answers, no call between stores, and one end for all parts.
#[test]
fn a_fused_callee_answers_as_a_linked_one_and_shares_its_callers_end() {
    let dir = Dir::new();
    dir.write("edge.wasm", single());
    dir.write("adder.wasm", adder(0));
    let tool = "links = { adder = \"adder\" }\nfuse = [\"adder\"]";
    dir.write("spin.toml", manifest(tool, "[component.adder]\nsource = \"adder.wasm\""));
    let host = Host::up(&dir);
    for (path, status, body) in [("/1", 200, "3"), ("/4", 503, "gone fishing"), ("/5", 409, "0"), ("/p1", 200, "ok")] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
    let ended = host.get("/2");
    assert_eq!((ended.status, ended.code().as_str()), (500, "internal_error"));
    assert_eq!(host.get("/1").body, "3", "the next request is fine");
    let called = "souk_calls_total{function=\"add\",interface=\"adder\",outcome=\"ok\"}";
    assert!(host.metric(called).is_none_or(|calls| calls == 0.0), "no call went between stores");
}

#[test]
fn components_that_each_have_something_of_their_own_are_not_fused() {
    let import = "(import \"souk:shop/config@0.1.0\" \"get\" (func (param i32 i32 i32)))";
    let dir = Dir::new();
    dir.write("edge.wasm", single_with(import, "import souk:shop/config@0.1.0;"));
    dir.write("adder.wasm", adder_with(import, "import souk:shop/config@0.1.0;", 0));
    let tool = "links = { adder = \"adder\" }\nfuse = [\"adder\"]";
    dir.write("spin.toml", manifest(tool, "[component.adder]\nsource = \"adder.wasm\""));
    let output = support::command(&dir, &["inspect"]).output().expect("the host runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("both use `config`") && said.contains("remove `fuse`"), "{said}");
    dir.write("spin.toml", manifest("fuse = [\"adder\"]", "[component.adder]\nsource = \"adder.wasm\""));
    let output = support::command(&dir, &["inspect"]).output().expect("the host runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("`adder` is fused and not linked"), "{said}");
}

#[test]
fn a_callee_with_all_its_turns_taken_is_an_error_value_too() {
    let dir = Dir::new();
    dir.write("edge.wasm", single());
    dir.write("adder.wasm", adder(0));
    let limits = "[component.adder]\nsource = \"adder.wasm\"\n\
                  tool.souk.limits = { deadline_ms = 1500, concurrency = 1 }";
    dir.write("spin.toml", manifest("links = { adder = \"adder\" }", limits));
    let host = Host::up(&dir);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| host.get("/3").body);
        eventually("the slow call runs", || host.metric("souk_instances") == Some(2.0));
        let refused = host.get("/1");
        assert_eq!((refused.status, refused.body.as_str()), (503, "component adder is busy"));
        assert_eq!(slow.join().expect("no panic"), "component adder took too long");
    });
    assert_eq!(host.get("/1").body, "3");
}

#[test]
fn a_plural_interface_is_answered_by_whom_the_argument_names() {
    let dir = Dir::new();
    dir.write("edge.wasm", several());
    dir.write("adder.wasm", adder(0));
    dir.write("more.wasm", adder(1));
    dir.write(
        "spin.toml",
        manifest(
            "links.adders = { x = \"adder\", y = \"more\" }",
            "[component.adder]\nsource = \"adder.wasm\"\n[component.more]\nsource = \"more.wasm\"",
        ),
    );
    let host = Host::up(&dir);
    for (path, status, body) in [
        ("/1x", 200, "3"),
        ("/1y", 200, "4"),
        ("/1z", 409, "1"), // unknown-provider
        ("/2y", 503, "component more trapped"),
    ] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
}

#[test]
fn every_link_is_checked_before_anything_starts() {
    let differing = WIT.replace("odd(u32)", "odd(u64)");
    let other = {
        let worlds: Vec<_> = differing.lines().filter(|line| !line.trim().starts_with("world")).collect();
        let wat = r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "t:sum/adder@1.2.3#add") (param i32 i32) (result i32) unreachable)
            (func (export "t:sum/adder@1.2.3#plain") (param i32) (result i32) unreachable))"#;
        component(wat, &format!("{} world adder-service {{ export adder; }}", worlds.join("\n")))
    };
    for (tool, rest, expected) in [
        (
            "",
            "[component.adder]\nsource = \"adder.wasm\"",
            "write adder = \"adder\" under [component.edge.tool.souk.links]",
        ),
        ("", "", "which no port provides and no component exports"),
        ("links.adder = \"edge\"", "", "which does not export `t:sum/adder@1.2.3`; it exports: souk:shop/http@0.1.0"),
        (
            "links.adder = \"other\"",
            "[component.other]\nsource = \"other.wasm\"",
            "they disagree about `add`: its result differs",
        ),
        (
            "links.adder = { x = \"adder\" }",
            "[component.adder]\nsource = \"adder.wasm\"",
            "only the plural of an interface can be",
        ),
        (
            "links.adder = \"adder\"\ntopics = [\"a.b\"]",
            "[component.adder]\nsource = \"adder.wasm\"",
            "remove `topics` or export it",
        ),
        ("links.adder = \"adder\"", "[component.adder]\nsource = \"missing.wasm\"", "cannot be read"),
        ("links.adder = \"adder\"", "[component.adder]\nsource = \"spin.toml\"", "is no component that this host runs"),
        (
            "links.adder = \"adder\"",
            "[[trigger.http]]\nroute = \"/add\"\ncomponent = \"adder\"\n[component.adder]\nsource = \"adder.wasm\"",
            "cannot answer a route",
        ),
        (
            "links.adder = \"adder\"",
            "[component.adder]\nsource = \"adder.wasm\"\nvariables = { a = \"{{ b }}\" }",
            "there is no variable `b`",
        ),
    ] {
        let dir = Dir::new();
        dir.write("edge.wasm", single());
        dir.write("adder.wasm", adder(0));
        dir.write("other.wasm", &other);
        dir.write("spin.toml", manifest(tool, rest));
        let output = support::command(&dir, &["up", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"])
            .output()
            .expect("the host runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{tool} {rest}: {stderr}");
        assert!(stderr.contains(expected), "{tool} {rest}: {stderr}");
    }
}

#[test]
fn every_grant_is_checked_before_anything_starts() {
    let kv = r#"(import "souk:shop/kv@0.1.0" "get" (func (param i32 i32 i32)))"#;
    let sql = r#"(import "souk:shop/sql@0.1.0" "query" (func (param i32 i32 i32 i32 i32 i32)))"#;
    let http_out = r#"(import "souk:shop/http-out@0.1.0" "send" (func
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
    let nobody = r#"(import "t:edge/nobody@1.0.0" "get" (func))"#;
    let world = "package t:edge@1.0.0; interface nobody { get: func(); } world edge {
        import souk:shop/kv@0.1.0; import souk:shop/sql@0.1.0; import souk:shop/http-out@0.1.0; import nobody;
        export souk:shop/http@0.1.0;
    }";
    for (imports, grant, expected) in [
        (kv, "", "it imports `kv`, which is not granted; write key_value_stores = [\"default\"]"),
        (sql, "", "it imports `sql`, which is not granted; write sqlite_databases = [\"default\"]"),
        (http_out, "", "it imports `http-out`, which is not granted; write allowed_outbound_hosts"),
        (http_out, "allowed_outbound_hosts = [\"ftp://host\"]", "has another scheme than http and https"),
        (http_out, "allowed_outbound_hosts = [\"https://{{ a }}\"]", "there is no variable `a`"),
        (kv, "key_value_stores = [\"mine\"]", "no `mine` here"),
        (nobody, "", "which no port provides and no component exports"),
    ] {
        let dir = Dir::new();
        dir.write("edge.wasm", component(&edge(imports, "", ""), world));
        let text = manifest("", "").replace("source = \"edge.wasm\"", &format!("source = \"edge.wasm\"\n{grant}"));
        dir.write("spin.toml", text);
        let output = support::command(&dir, &["inspect"]).output().expect("the host runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{imports} {grant}: {stderr}");
        assert!(stderr.contains(expected), "{imports} {grant}: {stderr}");
    }
}

#[test]
fn circles_are_refused_and_unused_links_are_mentioned() {
    let dir = Dir::new();
    dir.write("edge.wasm", single());
    dir.write("adder.wasm", adder(0));
    let rest = "[component.adder]\nsource = \"adder.wasm\"\ntool.souk.links = { http = \"edge\" }";
    dir.write("spin.toml", manifest("links = { adder = \"adder\" }", rest));
    let output = support::command(&dir, &["inspect"]).output().expect("the host runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("adder -> edge -> adder"), "{stderr}");
    dir.write(
        "spin.toml",
        manifest("links = { adder = \"adder\", cart = \"adder\" }", "[component.adder]\nsource = \"adder.wasm\""),
    );
    let output = support::command(&dir, &["inspect"]).output().expect("the host runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("linked to `cart` and never calls it"), "{stderr}");
    assert!(stdout.contains("network:   none") && stdout.contains("adder -> adder"), "{stdout}");
}

#[test]
fn all_errors_of_manifest_links_and_variables_come_at_once() {
    let dir = Dir::new();
    dir.write("edge.wasm", single());
    dir.write(
        "spin.toml",
        manifest(
            "limits = { memory = 5 }",
            "[component.lost]\nsource = \"lost.wasm\"\n[variables]\nwanted = { required = true }",
        ),
    );
    let output = support::command(&dir, &["up"]).output().expect("the host runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    for expected in
        ["no key `memory`", "lost.wasm cannot be read", "SPIN_VARIABLE_WANTED", "t:sum/adder@1.2.3", "4 errors"]
    {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    assert_eq!(output.status.code(), Some(2));
}
