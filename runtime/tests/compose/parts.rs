//! The components that are composed: made from text, with interfaces that the host has never heard of.

use std::path::Path;

use wit_parser::{
    Resolve,
    abi::{AbiVariant, WasmType},
};

use super::support::component;

const WIT: &str = "package t:parts@1.0.0;
    interface values {
        variant failure { odd(u32), unknown-provider, unavailable(string) }
        variant away { gone, unavailable(string) }
        enum trouble { other, unknown-provider }
        variant mixed { nothing, small(u8), wide(u64), real(f32), text(string), pair(tuple<s16, f64>) }
        flags marks { red, green, blue }
        enum level { low, high }
        record many {
            a: string, b: list<string>, c: list<u64>, d: mixed, e: option<string>, f: u8, g: s64, h: marks, i: bool, j: f64
        }
        /// What `barely` gets as core WebAssembly.
        record flat {
            a-tag: u32, a0: u64, a1: u64, b-tag: u32, b: string, c: string, d: list<u8>, e: s32, f: u32, g: f32, h: u32,
            i: u32
        }
    }
    interface counter { next: func() -> u32; }
    interface left { next: func() -> u32; }
    interface right { next: func() -> u32; }
    interface port { who: func() -> string; }
    interface other-port { who: func() -> string; }
    interface inner { who: func() -> string; }
    interface front { who: func() -> string; }
    interface answerer {
        use values.{failure, away, trouble, mixed, marks, level, many, flat};
        record note { text: string, level: level }
        add: func(a: u32, b: u32) -> result<u32, failure>;
        plain: func(a: u32) -> u32;
        spill: func(it: many) -> many;
        barely: func(
            a: mixed, b: option<string>, c: string, d: list<u8>, e: s8, f: marks, g: f32, h: level, i: bool
        ) -> flat;
        say: func(text: string) -> result<string, string>;
        leave: func(n: u32) -> result<u32, away>;
        pick: func(n: u32) -> result<u32, trouble>;
        keep: func(note: note) -> note;
    }
    interface answerers {
        use values.{failure, away, trouble, mixed, marks, level, many, flat};
        record note { text: string, level: level }
        add: func(a: u32, provider: string, b: u32) -> result<u32, failure>;
        plain: func(a: u32, provider: string) -> u32;
        spill: func(provider: string, it: many) -> many;
        barely: func(
            a: mixed, b: option<string>, c: string, d: list<u8>, e: s8, f: marks, provider: string, g: f32, h: level,
            i: bool
        ) -> flat;
        say: func(provider: string, text: string) -> result<string, string>;
        leave: func(provider: string, n: u32) -> result<u32, away>;
        pick: func(provider: string, n: u32) -> result<u32, trouble>;
        keep: func(provider: string, note: note) -> note;
    }\n";

/// One that answers.
pub const ANSWERER: &str = "t:parts/answerer@1.0.0";
/// All of them, by name.
pub const ANSWERERS: &str = "t:parts/answerers@1.0.0";

/// A core module: memory, an allocator that is emptied after every call, and these functions.
pub fn module(imports: &str, functions: &str) -> String {
    format!(
        r#"(module {imports}
            (memory (export "memory") 2)
            (global $heap (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (if (i32.gt_u (global.get $heap) (i32.const 131072)) (then unreachable))
                (local.get $at))
            (func $reset (param i32) (global.set $heap (i32.const 4096)))
            {functions})"#
    )
}

fn world(text: &str) -> String {
    format!("{WIT} world tested {{ {text} }}")
}

/// The full name of an interface here, unless it is a full name already.
pub fn full(interface: &str) -> String {
    if interface.contains('/') { interface.into() } else { format!("t:parts/{interface}@1.0.0") }
}

fn list(word: &str, types: &[WasmType]) -> String {
    let core = |ty: &WasmType| match ty {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
    };
    if types.is_empty() {
        String::new()
    } else {
        format!("({word} {})", types.iter().map(core).collect::<Vec<_>>().join(" "))
    }
}

/// A component that exports interfaces by calling others with the same functions.
pub fn relay(pairs: &[(&str, &str)]) -> Vec<u8> {
    let items: String = pairs.iter().map(|(export, import)| format!("import {import}; export {export};")).collect();
    let mut resolve = Resolve::default();
    resolve.push_path(Path::new("../wit")).expect("the host's WIT");
    let package = resolve.push_str("test.wit", &world(&items)).expect("the world's WIT");
    resolve.select_world(&[package], None).expect("one world");
    let (mut imports, mut functions) = (String::new(), String::new());
    for (export, import) in pairs.iter().map(|(export, import)| (full(export), full(import))) {
        let found = resolve.interfaces.iter().find(|(id, _)| resolve.id_of(*id).as_ref() == Some(&import));
        for (name, function) in &found.expect("an interface").1.functions {
            let inner = resolve.wasm_signature(AbiVariant::GuestImport, function);
            let outer = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let id = format!("${import}#{name}");
            imports += &format!(
                "(import \"{import}\" \"{name}\" (func {id} {} {}))",
                list("param", &inner.params),
                list("result", &inner.results)
            );
            let given: String = (0..outer.params.len()).map(|index| format!("(local.get {index})")).collect();
            let result = if inner.retptr { "(i32.const 1024)" } else { "" };
            functions += &format!(
                "(func (export \"{export}#{name}\") {} {} (call {id} {given} {result}) {result})",
                list("param", &outer.params),
                list("result", &outer.results)
            );
            if inner.retptr {
                functions += &format!("(export \"cabi_post_{export}#{name}\" (func $reset))");
            }
        }
    }
    component(&module(&imports, &functions), &world(&items))
}

/// Counts its calls.
pub fn counter() -> Vec<u8> {
    let functions = "(global $n (mut i32) (i32.const 0))
        (func (export \"t:parts/counter@1.0.0#next\") (result i32)
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (global.get $n))";
    component(&module("", functions), &world("export counter;"))
}

/// Answers with what it is given, and adds `bonus` to numbers; 5 is odd.
pub fn answerer(bonus: u32) -> Vec<u8> {
    let function =
        |name: &str, signature: &str, body: &str| format!("(func (export \"{ANSWERER}#{name}\") {signature} {body})");
    let post = |name: &str| format!("(export \"cabi_post_{ANSWERER}#{name}\" (func $reset))");
    let ok = format!(
        "(i32.store8 (i32.const 64) (i32.const 0))
         (i32.store (i32.const 68) (i32.add (local.get 0) (i32.const {bonus}))) (i32.const 64)"
    );
    let flats = [8, 16, 24, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76];
    let types = "i32 i64 i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 f32 i32 i32";
    // The order of the fields is that of the parameters; the record starts at 8, so that 64-bit fields are aligned.
    let stores: String = (flats.iter().zip(types.split(' ')).enumerate())
        .map(|(index, (at, ty))| format!("({ty}.store (i32.const {at}) (local.get {index}))"))
        .collect();
    let functions = [
        function(
            "add",
            "(param i32 i32) (result i32)",
            &format!(
                "(if (i32.eq (local.get 0) (i32.const 5)) (then
                    (i32.store8 (i32.const 64) (i32.const 1)) (i32.store8 (i32.const 68) (i32.const 0))
                    (i32.store (i32.const 72) (i32.const 7)) (return (i32.const 64))))
                 (local.set 0 (i32.add (local.get 0) (local.get 1))) {ok}"
            ),
        ),
        function("plain", "(param i32) (result i32)", &format!("(i32.add (local.get 0) (i32.const {bonus}))")),
        function("spill", "(param i32) (result i32)", "(local.get 0)"),
        post("spill"),
        function("barely", &format!("(param {types}) (result i32)"), &format!("{stores} (i32.const 8)")),
        post("barely"),
        function(
            "say",
            "(param i32 i32) (result i32)",
            "(i32.store8 (i32.const 64) (i32.const 0)) (i32.store (i32.const 68) (local.get 0))
             (i32.store (i32.const 72) (local.get 1)) (i32.const 64)",
        ),
        post("say"),
        function("leave", "(param i32) (result i32)", &ok),
        function("pick", "(param i32) (result i32)", &ok),
        function(
            "keep",
            "(param i32 i32 i32) (result i32)",
            "(i32.store (i32.const 64) (local.get 0)) (i32.store (i32.const 68) (local.get 1))
             (i32.store8 (i32.const 72) (local.get 2)) (i32.const 64)",
        ),
        post("keep"),
    ];
    component(&module("", &functions.concat()), &world("export answerer;"))
}

/// Gives `port` by answering what it is told about the component that it serves.
pub fn adapter() -> Vec<u8> {
    let imports = "(import \"souk:shop/self@0.1.0\" \"describe\" (func $describe (param i32)))";
    let functions = "
        (func (export \"t:parts/port@1.0.0#who\") (result i32) (call $describe (i32.const 16)) (i32.const 16))
        (export \"cabi_post_t:parts/port@1.0.0#who\" (func $reset))";
    component(&module(imports, functions), &world("import souk:shop/self@0.1.0; export port;"))
}
