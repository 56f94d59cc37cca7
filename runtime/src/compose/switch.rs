//! The switch: a generated component that answers a plural interface by passing calls on.
//!
//! A plural interface has the functions of its singular one, each with one more parameter that names who answers. Our
//! host routes such calls itself (see `link`); a composite has a switch inside. It imports the singular interface once
//! for each name. Values stay where they are in its memory and are never decoded: only the name is taken out of the
//! arguments. Nothing outlives a call.

mod arguments;
mod singular;

use anyhow::{Context as _, Result, bail};
use wit_component::DecodedWasm;
use wit_parser::{
    Docs, Function, Int, InterfaceId, Resolve, SizeAlign, Stability, Type, TypeDefKind, World, WorldId, WorldItem,
    WorldKey,
    abi::{AbiVariant, WasmType},
};

use super::assemble;

/// Where the names start: nothing that can be read is at address zero.
const DATA_START: usize = 16;
/// The strictest alignment of the canonical ABI.
const ALIGN_MAX: usize = 8;
/// Size of a page of linear memory.
const PAGE_BYTES: usize = 1 << 16;
/// What an unknown name is answered with, and the name.
const UNKNOWN: &str = "nothing is linked under the name ";

/// The name of the import that answers for the name at this place.
pub fn import_name(place: usize) -> String {
    format!("answer{place}")
}

/// A component that exports the interface `plural` with the functions and types with which `importer` imports it.
///
/// It imports one instance of the singular interface for each of `names`. `parameters` knows the names of the parameters
/// of a singular function.
pub fn switch(
    importer: &[u8],
    plural: &str,
    names: &[&str],
    parameters: impl Fn(&str) -> Result<Vec<String>>,
) -> Result<Vec<u8>> {
    let DecodedWasm::Component(mut resolve, world) = wit_component::decode(importer)? else {
        bail!("the importer is a WIT package and no component");
    };
    let exported = imported(&resolve, world, plural).with_context(|| format!("{plural} is not imported"))?;
    let mut forwards = Vec::new();
    for (name, function) in &resolve.interfaces[exported].functions {
        let place = selector(&resolve, function, &parameters(name)?)
            .with_context(|| format!("`{name}` of {plural} and of its singular form disagree"))?;
        forwards.push(Forward::new(function.clone(), place));
    }
    // The new world takes the place and the types of the importer's, and nothing else of it.
    let mut switch = World { name: "switch".into(), docs: Docs::default(), ..resolve.worlds[world].clone() };
    switch.imports.clear();
    switch.exports.clear();
    import_types(&resolve, exported, &mut switch);
    switch.exports.insert(WorldKey::Interface(exported), item(exported));
    for place in 0..names.len() {
        let answer = singular::copy(&mut resolve, exported, &forwards)?;
        switch.imports.insert(WorldKey::Name(import_name(place)), item(answer));
    }
    let switch = resolve.worlds.alloc(switch);
    let module = Module::new(&resolve, plural, names, &forwards);
    assemble(&module.text(), &resolve, switch)
}

fn imported(resolve: &Resolve, world: WorldId, interface: &str) -> Option<InterfaceId> {
    resolve.worlds[world].imports.values().find_map(|item| match item {
        WorldItem::Interface { id, .. } => (resolve.id_of(*id).as_deref() == Some(interface)).then_some(*id),
        WorldItem::Function(_) | WorldItem::Type { .. } => None,
    })
}

/// Imports the interfaces whose types an interface uses, deepest first. Their functions are not used, and so left out.
fn import_types(resolve: &Resolve, interface: InterfaceId, world: &mut World) {
    for used in resolve.interface_direct_deps(interface) {
        import_types(resolve, used, world);
        world.imports.entry(WorldKey::Interface(used)).or_insert_with(|| item(used));
    }
}

fn item(id: InterfaceId) -> WorldItem {
    let (stability, docs) = (Stability::default(), Docs::default());
    WorldItem::Interface { id, stability, external_id: None, docs, span: Default::default() }
}

/// The place of the parameter that names who answers. Whether the other types agree is checked when the two are joined.
fn selector(resolve: &Resolve, plural: &Function, singular: &[String]) -> Result<usize> {
    let names: Vec<&str> = plural.params.iter().map(|param| param.name.as_str()).collect();
    let place = names.iter().zip(singular).position(|(a, b)| a != b).unwrap_or(singular.len());
    let mut rest = names;
    let fits = rest.len() == singular.len() + 1 && {
        rest.remove(place);
        rest == *singular && is_string(resolve, &plural.params[place].ty)
    };
    anyhow::ensure!(fits, "the plural form has one parameter more, a string that names who answers");
    Ok(place)
}

fn is_string(resolve: &Resolve, ty: &Type) -> bool {
    match ty {
        Type::String => true,
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => is_string(resolve, ty),
            _ => false,
        },
        _ => false,
    }
}

/// A plural function and where its name is.
struct Forward {
    plural: Function,
    singular: Function,
    place: usize,
}

impl Forward {
    fn new(plural: Function, place: usize) -> Self {
        let mut singular = plural.clone();
        singular.params.remove(place);
        Self { plural, singular, place }
    }
}

/// The core module as text: its memory holds, from the start, the names, the refusal, room for spilled arguments and for
/// results, and the heap, which is emptied after every call.
struct Module<'a> {
    resolve: &'a Resolve,
    sizes: SizeAlign,
    plural: &'a str,
    names: &'a [&'a str],
    forwards: &'a [Forward],
    refusal_at: usize,
    arguments_at: usize,
    result_at: usize,
    heap_at: usize,
}

impl<'a> Module<'a> {
    fn new(resolve: &'a Resolve, plural: &'a str, names: &'a [&'a str], forwards: &'a [Forward]) -> Self {
        let mut sizes = SizeAlign::default();
        sizes.fill(resolve);
        let refusal_at = DATA_START + names.iter().map(|name| name.len()).sum::<usize>();
        let arguments_at = (refusal_at + UNKNOWN.len()).next_multiple_of(ALIGN_MAX);
        let room = |size: &dyn Fn(&Forward) -> usize| {
            forwards.iter().map(size).max().unwrap_or_default().next_multiple_of(ALIGN_MAX)
        };
        let arguments = room(&|forward| sizes.params(types(&forward.singular)).size.size_wasm32());
        let result = room(&|forward| forward.plural.result.map_or(0, |ty| sizes.size(&ty).size_wasm32()));
        let result_at = arguments_at + arguments;
        let heap_at = result_at + result;
        Self { resolve, sizes, plural, names, forwards, refusal_at, arguments_at, result_at, heap_at }
    }

    fn text(&self) -> String {
        let heap_at = self.heap_at;
        let mut imports = String::new();
        for place in 0..self.names.len() {
            for Forward { singular, .. } in self.forwards {
                let signature = self.resolve.wasm_signature(AbiVariant::GuestImport, singular);
                imports += &format!(
                    "(import \"{}\" \"{}\" (func ${}-{place} {}))\n",
                    import_name(place),
                    singular.name,
                    singular.name,
                    signature_text(&signature.params, &signature.results),
                );
            }
        }
        let data = super::escaped([self.names.concat().as_str(), UNKNOWN].concat().as_bytes());
        let functions: String = self.forwards.iter().map(|forward| self.function(forward)).collect();
        format!(
            r#"(module
            {imports}
            (memory (export "memory") {pages})
            (global $heap (mut i32) (i32.const {heap_at}))
            (data (i32.const {DATA_START}) "{data}")
            (func $realloc (export "cabi_realloc")
                (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32) (local $pages i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get $size)))
                (if (i32.lt_u (global.get $heap) (local.get $at)) (then unreachable))
                (local.set $pages (i32.sub
                    (i32.add (i32.shr_u (global.get $heap) (i32.const 16)) (i32.const 1))
                    (memory.size)))
                (if (i32.gt_s (local.get $pages) (i32.const 0))
                    (then (if (i32.lt_s (memory.grow (local.get $pages)) (i32.const 0)) (then unreachable))))
                (memory.copy (local.get $at) (local.get $old)
                    (select (local.get $old-size) (local.get $size)
                        (i32.lt_u (local.get $old-size) (local.get $size))))
                (local.get $at))
            (func $same (param $a i32) (param $a-length i32) (param $b i32) (param $b-length i32) (result i32)
                (if (i32.ne (local.get $a-length) (local.get $b-length)) (then (return (i32.const 0))))
                (loop $next
                    (if (i32.eqz (local.get $a-length)) (then (return (i32.const 1))))
                    (local.set $a-length (i32.sub (local.get $a-length) (i32.const 1)))
                    (br_if $next (i32.eq
                        (i32.load8_u (i32.add (local.get $a) (local.get $a-length)))
                        (i32.load8_u (i32.add (local.get $b) (local.get $a-length))))))
                (i32.const 0))
            {functions})"#,
            // One page more, so that small calls never grow the memory.
            pages = heap_at / PAGE_BYTES + 2,
        )
    }

    /// One function of the plural interface.
    fn function(&self, forward: &Forward) -> String {
        let Forward { plural, singular, place } = forward;
        let export = self.resolve.wasm_signature(AbiVariant::GuestExport, plural);
        let import = self.resolve.wasm_signature(AbiVariant::GuestImport, singular);
        let (prepare, name, mut arguments) = if export.indirect_params {
            let offsets = self.offsets(plural);
            let field = |at: usize| format!("(i32.load offset={at} (local.get 0))");
            let name = (field(offsets[*place]), field(offsets[*place] + 4));
            if import.indirect_params {
                (self.copies(forward), name, vec![format!("(i32.const {})", self.arguments_at)])
            } else {
                let rest = offsets.iter().zip(types(plural)).enumerate().filter(|(at, _)| at != place);
                let flat = rest.flat_map(|(_, (offset, ty))| self.loads(ty, *offset)).map(|flat| flat.expression);
                (String::new(), name, flat.collect())
            }
        } else {
            // A parameter less never needs more room, so these are not spilled either.
            let local = |index: usize| format!("(local.get {index})");
            let at = types(plural).take(*place).map(|ty| self.flat_count(ty)).sum();
            let rest = (0..export.params.len()).filter(|index| *index != at && *index != at + 1);
            (String::new(), (local(at), local(at + 1)), rest.map(local).collect())
        };
        let mut answer = String::new();
        if import.retptr {
            arguments.push(format!("(i32.const {})", self.result_at));
            answer = format!("(i32.const {})", self.result_at);
        }
        let arguments = arguments.concat();
        let mut names = String::new();
        let mut at = DATA_START;
        for (index, text) in self.names.iter().enumerate() {
            names += &format!(
                "(if (call $same {} {} (i32.const {at}) (i32.const {}))
                    (then (call ${}-{index} {arguments}) {answer} (return)))\n",
                name.0,
                name.1,
                text.len(),
                singular.name,
            );
            at += text.len();
        }
        format!(
            "(func (export \"{plural}#{function}\") {signature} (local $text i32)
                {prepare} {names} {refusal})
             (func (export \"cabi_post_{plural}#{function}\") {post}
                (global.set $heap (i32.const {heap})))\n",
            plural = self.plural,
            function = plural.name,
            signature = signature_text(&export.params, &export.results),
            refusal = self.refusal(forward, &name),
            post = signature_text(&export.results, &[]),
            heap = self.heap_at,
        )
    }

    /// Answers for a name that nobody has: with the error of the function where it has one for that, as the host does.
    fn refusal(&self, forward: &Forward, name: &(String, String)) -> String {
        let unknown = format!("unknown-{}", forward.plural.params[forward.place].name);
        let Some(error) = self.error(forward.plural.result.as_ref(), &[&unknown, "unavailable"]) else {
            return "unreachable".into();
        };
        let result_at = self.result_at;
        let mut text = format!("(i32.store8 (i32.const {result_at}) (i32.const 1))");
        if let Some((tag, case)) = error.case {
            let store = match tag {
                Int::U8 => "i32.store8",
                Int::U16 => "i32.store16",
                Int::U32 | Int::U64 => "i32.store",
            };
            text += &format!("({store} (i32.const {}) (i32.const {case}))", result_at + error.at);
        }
        if let Some(at) = error.text_at {
            let (refusal_at, length, at) = (self.refusal_at, UNKNOWN.len(), result_at + at);
            let (name_at, name_length) = name;
            text += &format!(
                "(local.set $text (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
                    (i32.add (i32.const {length}) {name_length})))
                 (memory.copy (local.get $text) (i32.const {refusal_at}) (i32.const {length}))
                 (memory.copy (i32.add (local.get $text) (i32.const {length})) {name_at} {name_length})
                 (i32.store (i32.const {at}) (local.get $text))
                 (i32.store (i32.const {}) (i32.add (i32.const {length}) {name_length}))",
                at + 4,
            );
        }
        text + &format!("(i32.const {result_at})")
    }

    /// Where and how the first of these cases is written, when a result has one of them in its error; a text does for any.
    fn error(&self, result: Option<&Type>, cases: &[&str]) -> Option<ErrorPlace> {
        let TypeDefKind::Result(result) = self.kind(result?)? else { return None };
        let error = result.err.as_ref()?;
        let at = self.sizes.payload_offset(Int::U8, [result.ok.as_ref(), Some(error)]).size_wasm32();
        if is_string(self.resolve, error) {
            return Some(ErrorPlace { at, case: None, text_at: Some(at) });
        }
        match self.kind(error)? {
            TypeDefKind::Enum(names) => cases.iter().find_map(|wanted| {
                let case = names.cases.iter().position(|case| case.name == *wanted)?;
                Some(ErrorPlace { at, case: Some((names.tag(), case)), text_at: None })
            }),
            TypeDefKind::Variant(variant) => cases.iter().find_map(|wanted| {
                let case = variant.cases.iter().position(|case| case.name == *wanted)?;
                let payloads = variant.cases.iter().map(|case| case.ty.as_ref());
                let payload_at = at + self.sizes.payload_offset(variant.tag(), payloads).size_wasm32();
                let text_at = match &variant.cases[case].ty {
                    None => None,
                    Some(ty) if is_string(self.resolve, ty) => Some(payload_at),
                    Some(_) => return None,
                };
                Some(ErrorPlace { at, case: Some((variant.tag(), case)), text_at })
            }),
            _ => None,
        }
    }

    /// What a named type is, whatever other names it has.
    fn kind(&self, ty: &Type) -> Option<&'a TypeDefKind> {
        let Type::Id(id) = ty else { return None };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.kind(ty),
            kind => Some(kind),
        }
    }
}

/// Where the parts of an error value stand in a result.
struct ErrorPlace {
    at: usize,
    case: Option<(Int, usize)>,
    text_at: Option<usize>,
}

fn types(function: &Function) -> impl Iterator<Item = &Type> {
    function.params.iter().map(|param| &param.ty)
}

fn signature_text(params: &[WasmType], results: &[WasmType]) -> String {
    let list = |word: &str, types: &[WasmType]| match types {
        [] => String::new(),
        types => {
            let names: Vec<_> = types.iter().map(|ty| arguments::Core::from(*ty).name()).collect();
            format!("({word} {})", names.join(" "))
        }
    };
    list("param", params) + &list("result", results)
}
