//! Composites do what the manifest says, on a plain engine that links nothing.

#[path = "compose/parts.rs"]
mod parts;
mod support;

use parts::{ANSWERER, ANSWERERS, adapter, answerer, counter, full, module, relay};
use souk::{
    compose::{Composite, Options, compose},
    manifest::{Manifest, sorted},
};
use support::{Dir, component};
use wasmtime::{
    Config, Engine, Store, StoreContextMut, StoreLimits, StoreLimitsBuilder,
    component::{Component, Instance, Linker, Val},
};

/// A directory with a manifest and the component files that it names.
fn application(files: &[(&str, Vec<u8>)], manifest: &str) -> (Dir, Manifest) {
    let dir = Dir::new();
    for (name, bytes) in files {
        dir.write(&format!("{name}.wasm"), bytes);
    }
    let mut text = "spin_manifest_version = 2\n[application]\nname = \"test\"\n".to_owned();
    for (name, _) in files.iter().filter(|(name, _)| !manifest.contains(&format!("[component.{name}]"))) {
        text += &format!("[component.{name}]\nsource = \"{name}.wasm\"\n");
    }
    text += manifest;
    dir.write("spin.toml", &text);
    let (manifest, findings) = Manifest::load(&dir.path("spin.toml"));
    assert_eq!(sorted(findings), []);
    (dir, manifest)
}

const FOLLOW: Options<'static> = Options { follow: true, adapters: &[], edge: None, allow: &[] };

/// An instance of a composite, which may hold no more memory than a few small calls need.
struct Running {
    store: Store<StoreLimits>,
    instance: Instance,
}

impl Running {
    fn new(bytes: &[u8]) -> Self {
        Self::linked(bytes, |_| {})
    }

    /// With some functions for its imports; all others trap.
    fn linked(bytes: &[u8], link: impl FnOnce(&mut Linker<StoreLimits>)) -> Self {
        let engine = Engine::new(&Config::new()).expect("an engine");
        let limits = StoreLimitsBuilder::new().memory_size(512 << 10).build();
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let composite = Component::new(&engine, bytes).expect("a component");
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&composite).expect("imports");
        linker.allow_shadowing(true);
        link(&mut linker);
        let instance = linker.instantiate(&mut store, &composite).expect("an instance");
        Self { store, instance }
    }

    fn call(&mut self, interface: &str, function: &str, params: &[Val]) -> wasmtime::Result<Val> {
        let (_, place) = self.instance.get_export(&mut self.store, None, &full(interface)).expect("an interface");
        let (_, place) = self.instance.get_export(&mut self.store, Some(&place), function).expect("a function");
        let function = self.instance.get_func(&mut self.store, place).expect("a function");
        let mut results = [Val::Bool(false)];
        function.call(&mut self.store, params, &mut results)?;
        let [result] = results;
        Ok(result)
    }

    fn text(&mut self, interface: &str, function: &str) -> String {
        match self.call(interface, function, &[]).expect("an answer") {
            Val::String(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }
}

fn string(text: &str) -> Val {
    Val::String(text.into())
}

fn ok(value: Val) -> Val {
    Val::Result(Ok(Some(Box::new(value))))
}

fn err(value: Val) -> Val {
    Val::Result(Err(Some(Box::new(value))))
}

#[test]
fn two_callers_inside_share_one_callee() {
    let (_dir, manifest) = application(
        &[
            ("top", relay(&[("left", "left"), ("right", "right")])),
            ("left", relay(&[("left", "counter")])),
            ("right", relay(&[("right", "counter")])),
            ("counter", counter()),
        ],
        "[component.top.tool.souk]\nlinks = { left = \"left\", \"t:parts/right@1.0.0\" = \"right\" }
         [component.left.tool.souk]\nlinks = { counter = \"counter\" }
         [component.right.tool.souk]\nlinks = { counter = \"counter\" }",
    );
    let composite = compose(&manifest, "top", &FOLLOW).expect("a composite");
    assert_eq!(composite.members, ["counter", "left", "right", "top"]);
    assert_eq!((composite.imports.len(), composite.exports), (0, vec![full("left"), full("right")]));
    let mut running = Running::new(&composite.bytes);
    let mut next = |interface| running.call(interface, "next", &[]).expect("an answer");
    assert_eq!([next("left"), next("right"), next("left")], [Val::U32(1), Val::U32(2), Val::U32(3)]);
    let again = compose(&manifest, "top", &FOLLOW).expect("a composite");
    assert!(again.bytes == composite.bytes, "the same input gives the same bytes");
}

#[test]
fn without_following_links_stay_imports() {
    let files = [("top", relay(&[("left", "left"), ("port", "port")])), ("left", relay(&[("left", "counter")]))];
    let (dir, manifest) = application(&files, "[component.top.tool.souk]\nlinks = { left = \"left\" }");
    dir.write("adapter.wasm", adapter());
    let options = Options { follow: false, adapters: &[dir.path("adapter.wasm")], ..FOLLOW };
    let composite = compose(&manifest, "top", &options).expect("a composite");
    assert_eq!((composite.members, composite.imports), (vec!["top".to_owned()], vec![full("left")]));
}

/// Two that answer the same interface are two links, and each is reached by the name that the manifest gives it.
#[test]
fn without_following_a_switch_calls_links_under_the_names_of_those_that_answer() {
    let files = [("top", relay(&[("answerers", "answerers")])), ("one", answerer(100)), ("two", answerer(200))];
    let links = "links = { answerers = { first = \"one\", second = \"two\", again = \"one\" } }";
    let (_dir, manifest) = application(&files, &format!("[component.top.tool.souk]\n{links}"));
    let options = Options { follow: false, ..FOLLOW };
    let top = compose(&manifest, "top", &options).expect("a composite");
    assert_eq!(top.imports, ["t:one/answerer@1.0.0", "t:two/answerer@1.0.0"]);
    let one = compose(&manifest, "one", &options).expect("a composite");
    assert_eq!(one.exports, ["t:one/answerer@1.0.0", ANSWERER]);
    let mut running = Running::linked(&top.bytes, |linker| {
        for (target, bonus) in [("one", 100), ("two", 200)] {
            let mut instance = linker.instance(&format!("t:{target}/answerer@1.0.0")).expect("an instance");
            let plain = move |_: StoreContextMut<'_, StoreLimits>, (n,): (u32,)| Ok((n + bonus,));
            instance.func_wrap("plain", plain).expect("a function");
        }
    });
    for (name, answer) in [("again", 101), ("second", 201), ("first", 101)] {
        let answered = running.call(ANSWERERS, "plain", &[Val::U32(1), string(name)]).expect("an answer");
        assert_eq!(answered, Val::U32(answer));
    }
    let mut running = Running::new(&one.bytes);
    assert_eq!(running.call("t:one/answerer@1.0.0", "plain", &[Val::U32(1)]).expect("an answer"), Val::U32(101));
}

/// A file for another platform alone has adapters as well, and no secret is in any file.
#[test]
fn each_component_inside_has_an_adapter_that_knows_whom_it_serves() {
    let (dir, manifest) = application(
        &[("top", relay(&[("port", "port"), ("inner", "inner")])), ("inner", relay(&[("inner", "port")]))],
        "[component.top]\nsource = \"elsewhere.wasm\"
         variables = { shown = \"{{ shown }}\", key = \"secret\" }
         allowed_outbound_hosts = [\"https://{{ shown }}\"]
         [component.top.tool.souk]\nsource = \"top.wasm\"\nplatform = \"spin\"
         variables = { shown = \"{{ shown }}\" }\nallowed_outbound_hosts = []\nlinks = { inner = \"inner\" }
         [component.inner]\nsource = \"inner.wasm\"\nvariables = { key = \"secret\" }
         allowed_outbound_hosts = [\"https://{{ shown }}\"]
         [component.inner.tool.souk]\ntopics = [\"a.b\"]\n[variables]\nshown = { default = \"hidden\" }",
    );
    dir.write("adapter.wasm", adapter());
    dir.write("edge.wasm", relay(&[("front", "port")]));
    let (adapters, edge) = ([dir.path("adapter.wasm")], dir.path("edge.wasm"));
    let options = Options { adapters: &adapters, edge: Some(&edge), ..FOLLOW };
    let composite = compose(&manifest, "top", &options).expect("a composite");
    assert_eq!(composite.exports, [full("front"), full("inner")], "the edge takes the place of what it imports");
    let mut running = Running::new(&composite.bytes);
    let top = r#"{"component":"top","variables":["shown"],"outbound_hosts":[],"topics":{"a.b":["inner"]},"body_bytes":1048576}"#;
    let inner = r#"{"component":"inner","variables":["key"],"outbound_hosts":["https://{{ shown }}"],"topics":{"a.b":["inner"]},"body_bytes":1048576}"#;
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(json(&running.text("front", "who")), json(top));
    assert_eq!(json(&running.text("inner", "who")), json(inner));
    let has = |text: &str| composite.bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(!has("secret") && !has("hidden"));
}

/// A composite around what asks for answers by name, with two that answer.
fn switched() -> Composite {
    let (_dir, manifest) = application(
        &[("top", relay(&[("answerers", "answerers")])), ("one", answerer(100)), ("two", answerer(200))],
        "[component.top.tool.souk]\nlinks = { answerers = { first = \"one\", fir = \"two\", again = \"one\" } }",
    );
    compose(&manifest, "top", &FOLLOW).expect("a composite")
}

#[test]
fn a_switch_passes_calls_on_by_name() {
    let composite = switched();
    assert_eq!(composite.imports.len(), 0);
    let mut running = Running::new(&composite.bytes);
    let mut call = |function: &str, params: &[Val]| running.call(ANSWERERS, function, params);
    let plain = |name: &str| [Val::U32(1), string(name)];
    for (name, answer) in [("first", 101), ("fir", 201), ("again", 101)] {
        assert_eq!(call("plain", &plain(name)).expect("an answer"), Val::U32(answer));
        let sum = call("add", &[Val::U32(1), string(name), Val::U32(2)]).expect("an answer");
        assert_eq!(sum, ok(Val::U32(answer + 2)));
    }
    let odd = call("add", &[Val::U32(5), string("fir"), Val::U32(2)]).expect("an answer");
    assert_eq!(odd, err(Val::Variant("odd".into(), Some(Box::new(Val::U32(7))))));
    let said = call("say", &[string("first"), string("hear me")]).expect("an answer");
    assert_eq!(said, ok(string("hear me")));
    let note = Val::Record(vec![("text".into(), string("n")), ("level".into(), Val::Enum("high".into()))]);
    assert_eq!(call("keep", &[string("fir"), note.clone()]).expect("an answer"), note);
}

#[test]
fn an_unknown_name_is_an_error_where_the_function_has_one_for_it() {
    let composite = switched();
    for name in ["", "firs", "second", "First"] {
        let mut running = Running::new(&composite.bytes);
        let mut call = |function: &str, params: &[Val]| running.call(ANSWERERS, function, params);
        let text = Val::String(format!("nothing is linked under the name {name}"));
        let unknown = Val::Variant("unknown-provider".into(), None);
        let unavailable = Val::Variant("unavailable".into(), Some(Box::new(text.clone())));
        for (function, params, expected) in [
            ("add", vec![Val::U32(1), string(name), Val::U32(2)], unknown),
            ("say", vec![string(name), string("x")], text),
            ("leave", vec![string(name), Val::U32(1)], unavailable),
            ("pick", vec![string(name), Val::U32(1)], Val::Enum("unknown-provider".into())),
        ] {
            assert_eq!(call(function, &params).expect("an answer"), err(expected), "{function} {name}");
        }
        assert!(call("plain", &[Val::U32(1), string(name)]).is_err(), "it has no error to answer with");
    }
}

/// Every case of a variant that its flat values are shared by.
fn mixed() -> Vec<Val> {
    let case = |name: &str, value: Option<Val>| Val::Variant(name.into(), value.map(Box::new));
    vec![
        case("nothing", None),
        case("small", Some(Val::U8(255))),
        case("wide", Some(Val::U64(u64::MAX - 1))),
        case("real", Some(Val::Float32(-1.5))),
        case("pair", Some(Val::Tuple(vec![Val::S16(-2), Val::Float64(2.5)]))),
        case("text", Some(string("a text"))),
    ]
}

#[test]
fn spilled_arguments_arrive_whole() {
    let composite = switched();
    let mut running = Running::new(&composite.bytes);
    for d in mixed() {
        for e in [Val::Option(None), Val::Option(Some(Box::new(string("given"))))] {
            let many = Val::Record(vec![
                ("a".into(), string("first")),
                ("b".into(), Val::List(vec![string("x"), string(""), string("yz")])),
                ("c".into(), Val::List(vec![Val::U64(1), Val::U64(u64::MAX)])),
                ("d".into(), d.clone()),
                ("e".into(), e),
                ("f".into(), Val::U8(7)),
                ("g".into(), Val::S64(i64::MIN)),
                ("h".into(), Val::Flags(vec!["red".into(), "blue".into()])),
                ("i".into(), Val::Bool(true)),
                ("j".into(), Val::Float64(0.1)),
            ]);
            let answer = running.call(ANSWERERS, "spill", &[string("fir"), many.clone()]).expect("an answer");
            assert_eq!(answer, many);
        }
    }
}

/// Without its name the call needs no record, so the switch flattens it; it must do so as the engine does.
#[test]
fn arguments_that_spill_only_with_the_name_arrive_as_in_a_direct_call() {
    let composite = switched();
    let mut switched = Running::new(&composite.bytes);
    let mut direct = Running::new(&answerer(0));
    for a in mixed() {
        for (text, mark) in [(None, "green"), (Some("given"), "blue")] {
            let before = vec![
                a.clone(),
                Val::Option(text.map(|text| Box::new(string(text)))),
                string("c"),
                Val::List(vec![Val::U8(1), Val::U8(2)]),
                Val::S8(-3),
                Val::Flags(vec![mark.into()]),
            ];
            let after = [Val::Float32(0.25), Val::Enum("high".into()), Val::Bool(true)];
            let plain = [before.clone(), after.to_vec()].concat();
            let named = [before, vec![string("again")], after.to_vec()].concat();
            let mut expected = direct.call(ANSWERER, "barely", &plain).expect("an answer");
            let mut answer = switched.call(ANSWERERS, "barely", &named).expect("an answer");
            if matches!(&a, Val::Variant(name, _) if name == "text") {
                // Where a text stands differs from memory to memory.
                for value in [&mut expected, &mut answer] {
                    let Val::Record(fields) = value else { panic!("{value:?} is no record") };
                    fields.remove(1);
                }
            }
            assert_eq!(answer, expected, "{a:?}");
        }
    }
}

#[test]
fn a_switch_keeps_nothing_between_calls() {
    let composite = switched();
    let mut running = Running::new(&composite.bytes);
    let text = string(&"x".repeat(10_000));
    for _ in 0..200 {
        let answer = running.call(ANSWERERS, "say", &[string("fir"), text.clone()]).expect("memory is left");
        assert_eq!(answer, ok(text.clone()));
    }
}

#[test]
fn whoever_delivers_events_reaches_all_that_hear_them() {
    let hears = |name: &str| {
        let function = format!(
            "(data (i32.const 64) \"{name}\")
             (func (export \"souk:shop/subscriber@0.1.0#handle\") (param i32) (result i32)
                (i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 64))
                (i32.store (i32.const 24) (i32.const {})) (i32.const 16))",
            name.len()
        );
        component(&module("", &function), "package t:hears; world hears { export souk:shop/subscriber@0.1.0; }")
    };
    let all = "souk:shop/subscribers@0.1.0";
    let (_dir, manifest) = application(
        &[("drain", relay(&[(all, all)])), ("cart", hears("cart!")), ("order", hears("order!")), ("deaf", counter())],
        "[component.drain.tool.souk]\nplatform = \"spin\"
         [component.cart.tool.souk]\ntopics = [\"a.b\", \"c.d\"]\n[component.order.tool.souk]\ntopics = [\"a.b\"]",
    );
    let composite = compose(&manifest, "drain", &FOLLOW).expect("a composite");
    assert_eq!(composite.members, ["cart", "drain", "order"]);
    let mut running = Running::new(&composite.bytes);
    let fields = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), string(name))).collect::<Vec<_>>();
    let mut context = fields(&["request-id", "client"]);
    context.insert(1, ("actor".into(), Val::Variant("system".into(), Some(Box::new(string("a timer"))))));
    let mut event = fields(&["id", "topic", "key", "payload"]);
    event.extend([("committed-at".into(), Val::S64(1)), ("attempt".into(), Val::U32(1))]);
    for (name, said) in [("cart", "cart!"), ("order", "order!"), ("deaf", "nothing is linked under the name deaf")] {
        let params = [string(name), Val::Record(context.clone()), Val::Record(event.clone())];
        assert_eq!(running.call(all, "handle", &params).expect("an answer"), err(string(said)));
    }
}

/// Each row is a manifest, what is allowed, and what the refusal must say.
#[test]
fn what_cannot_be_composed_is_refused_with_what_to_write() {
    let files = [
        ("top", relay(&[("left", "left"), ("port", "port"), ("other-port", "other-port")])),
        ("left", relay(&[("left", "counter")])),
        ("around", relay(&[("counter", "left")])),
        ("counter", counter()),
    ];
    let link = "[component.top.tool.souk]\nlinks = { left = \"left\" }\n[component.left.tool.souk]\nlinks = ";
    for (manifest, allow, expected) in [
        (format!("{link}{{ counter = \"counter\" }}"), "", "`t:parts/other-port@1.0.0`, needed for top"),
        (format!("{link}{{ counter = \"counter\" }}"), "", "--allow t:parts/other-port"),
        (format!("{link}{{}}"), "t:parts/other-port", "`t:parts/counter@1.0.0`, needed for left"),
        (format!("{link}{{ counter = \"top\" }}"), "t:parts/", "`top` does not export `t:parts/counter@1.0.0`"),
        (
            format!("{link}{{ counter = \"around\" }}\n[component.around.tool.souk]\nlinks = {{ left = \"left\" }}"),
            "t:parts/",
            "left -> around -> left",
        ),
        (format!("{link}{{ counter = {{ a = \"counter\" }} }}"), "t:parts/", "is not the plural"),
        (
            format!("{link}{{ counter = \"around\" }}\n[component.around.tool.souk]\nlinks = {{ left = \"counter\" }}"),
            "t:parts/",
            "`counter` does not export `t:parts/left@1.0.0`",
        ),
        (
            format!(
                "{link}{{ counter = \"counter\" }}\n[component.counter]\nsource = \"counter.wasm\"\nkey_value_stores = [\"default\"]\nvariables = {{ x = \"y\" }}"
            ),
            "t:parts/",
            "key_value_stores = [\"default\"]\n  variables: x = \"y\" for `counter`",
        ),
        (
            format!(
                "[component.top]\nsource = \"top.wasm\"\nvariables = {{ x = \"z\" }}\n{link}{{ counter = \"counter\" }}\n[component.counter]\nsource = \"counter.wasm\"\nvariables = {{ x = \"y\" }}"
            ),
            "t:parts/",
            "give one of them another name",
        ),
        (
            format!("{link}{{ counter = \"counter\" }}\n[component.left]\nsource = \"lost.wasm\""),
            "t:parts/",
            "make components",
        ),
    ] {
        let (dir, manifest) = application(&files, &manifest);
        dir.write("adapter.wasm", adapter());
        let (adapters, allow) = ([dir.path("adapter.wasm")], [allow.to_owned()]);
        let allow = if allow[0].is_empty() { &[][..] } else { &allow };
        let refused = compose(&manifest, "top", &Options { adapters: &adapters, allow, ..FOLLOW });
        let text = format!("{:#}", refused.expect_err(expected));
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn an_edge_has_to_take_something() {
    let (dir, manifest) = application(&[("counter", counter())], "");
    dir.write("edge.wasm", relay(&[("front", "port")]));
    let refused = compose(&manifest, "counter", &Options { edge: Some(&dir.path("edge.wasm")), ..FOLLOW });
    let text = format!("{:#}", refused.expect_err("it takes nothing"));
    assert!(text.contains("imports nothing that `counter` exports"), "{text}");
}

#[test]
fn this_host_skips_what_is_for_another_platform() {
    let dir = Dir::new();
    dir.write("edge.wasm", support::misbehaving());
    let foreign = "[[trigger.http]]\nroute = \"/drain\"\ncomponent = \"drain\"
                   [component.drain]\nsource = \"drain.wasm\"\ntool.souk.platform = \"spin\"";
    dir.write("spin.toml", support::manifest("", foreign));
    let output = support::command(&dir, &["inspect"]).output().expect("the host runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(output.status.success() && said.contains("-> edge") && !said.contains("drain"), "{said}");
}

#[test]
fn the_command_writes_the_file_or_says_why_not() {
    let files = [("top", relay(&[("left", "counter")])), ("counter", counter())];
    let (dir, _) = application(&files, "[component.top.tool.souk]\nlinks = { counter = \"counter\" }");
    let output = dir.path("made/top.wasm");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_souk"));
        command.arg("compose").args(arguments).arg("--manifest").arg(dir.path("spin.toml")).arg("-o").arg(&output);
        let output = command.output().expect("the host runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    let (code, said) = run(&["nobody", "--follow"]);
    assert!(code == Some(1) && said.contains("no component `nobody`; it is one of: counter, top"), "{said}");
    assert!(!output.exists());
    let (code, said) = run(&["top", "--follow"]);
    assert!(code == Some(0) && said.contains("inside:  counter, top"), "{said}");
    let mut running = Running::new(&std::fs::read(&output).expect("a file"));
    assert_eq!(running.call("left", "next", &[]).expect("an answer"), Val::U32(1));
}
