//! Arguments that were spilled into memory: how they are passed on without the name.
//!
//! The canonical ABI passes at most 16 flat values; more are spilled into one record. Without its name a call may
//! need a spilled record as well, or just not any more. Both are read from the caller's record, whose pointer is the
//! only parameter there is.

use wit_parser::{
    Function, Int, Type, TypeDefKind,
    abi::{FlatTypes, WasmType},
};

use super::{Forward, Module, types};

/// Flat values of the parameters of one call, one more than are ever passed.
const FLAT_MAX: usize = 17;

/// A type of core WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    I32,
    I64,
    F32,
    F64,
}

/// One flat value, read from memory.
pub struct Flat {
    pub ty: Core,
    pub expression: String,
}

impl From<WasmType> for Core {
    fn from(ty: WasmType) -> Self {
        match ty {
            WasmType::I32 | WasmType::Pointer | WasmType::Length => Self::I32,
            WasmType::I64 | WasmType::PointerOrI64 => Self::I64,
            WasmType::F32 => Self::F32,
            WasmType::F64 => Self::F64,
        }
    }
}

impl Core {
    /// The name in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// The type that holds the bits of either, where cases of a variant share a flat value.
    fn join(self, other: Self) -> Self {
        match self == other {
            true => self,
            false if self.is_wide() || other.is_wide() => Self::I64,
            false => Self::I32,
        }
    }

    fn is_wide(self) -> bool {
        match self {
            Self::I32 | Self::F32 => false,
            Self::I64 | Self::F64 => true,
        }
    }
}

impl Flat {
    /// The same bits in a joined type: its own, or an integer.
    fn cast(&self, to: Core) -> String {
        let expression = &self.expression;
        if self.ty == to {
            return expression.clone();
        }
        let bits = match self.ty {
            Core::I32 | Core::I64 => expression.clone(),
            Core::F32 => format!("(i32.reinterpret_f32 {expression})"),
            Core::F64 => format!("(i64.reinterpret_f64 {expression})"),
        };
        if to.is_wide() && !self.ty.is_wide() { format!("(i64.extend_i32_u {bits})") } else { bits }
    }
}

impl Module<'_> {
    /// Where each parameter of a function stands when they are spilled.
    pub fn offsets(&self, function: &Function) -> Vec<usize> {
        self.sizes.field_offsets(types(function)).iter().map(|(offset, _)| offset.size_wasm32()).collect()
    }

    /// How many flat values a parameter is, where the parameters are not spilled.
    pub fn flat_count(&self, ty: &Type) -> usize {
        let mut room = [WasmType::I32; FLAT_MAX];
        let mut flat = FlatTypes::new(&mut room);
        self.resolve.push_flat(ty, &mut flat);
        flat.to_vec().len()
    }

    /// Copies every parameter but the name from the caller's record into another one.
    pub fn copies(&self, forward: &Forward) -> String {
        let from = self.offsets(&forward.plural).into_iter().enumerate().filter(|(at, _)| *at != forward.place);
        let to = self.offsets(&forward.singular).into_iter().zip(types(&forward.singular));
        from.zip(to)
            .map(|((_, from), (to, ty))| {
                format!(
                    "(memory.copy (i32.const {}) (i32.add (local.get 0) (i32.const {from})) (i32.const {}))\n",
                    self.arguments_at + to,
                    self.sizes.size(ty).size_wasm32(),
                )
            })
            .collect()
    }

    /// Reads a value at an offset of the caller's record as flat values.
    pub fn loads(&self, ty: &Type, at: usize) -> Vec<Flat> {
        let load = |ty: Core, instruction: &str, at: usize| Flat {
            ty,
            expression: format!("({}.{instruction} offset={at} (local.get 0))", ty.name()),
        };
        let span = || vec![load(Core::I32, "load", at), load(Core::I32, "load", at + 4)];
        let tag = |tag: Int| match tag {
            Int::U8 => load(Core::I32, "load8_u", at),
            Int::U16 => load(Core::I32, "load16_u", at),
            Int::U32 | Int::U64 => load(Core::I32, "load", at),
        };
        let fields = |types: &mut dyn Iterator<Item = &Type>| -> Vec<Flat> {
            let offsets = self.sizes.field_offsets(types);
            offsets.iter().flat_map(|(offset, ty)| self.loads(ty, at + offset.size_wasm32())).collect()
        };
        match ty {
            Type::Bool | Type::U8 => vec![load(Core::I32, "load8_u", at)],
            Type::S8 => vec![load(Core::I32, "load8_s", at)],
            Type::U16 => vec![load(Core::I32, "load16_u", at)],
            Type::S16 => vec![load(Core::I32, "load16_s", at)],
            Type::U32 | Type::S32 | Type::Char | Type::ErrorContext => vec![load(Core::I32, "load", at)],
            Type::U64 | Type::S64 => vec![load(Core::I64, "load", at)],
            Type::F32 => vec![load(Core::F32, "load", at)],
            Type::F64 => vec![load(Core::F64, "load", at)],
            Type::String => span(),
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::Type(ty) => self.loads(ty, at),
                TypeDefKind::List(_) | TypeDefKind::Map(..) => span(),
                TypeDefKind::Record(record) => fields(&mut record.fields.iter().map(|field| &field.ty)),
                TypeDefKind::Tuple(tuple) => fields(&mut tuple.types.iter()),
                TypeDefKind::FixedLengthList(ty, length) => fields(&mut std::iter::repeat_n(ty, *length as usize)),
                TypeDefKind::Flags(flags) => match flags.flags.len() {
                    0 => Vec::new(),
                    1..=8 => vec![load(Core::I32, "load8_u", at)],
                    9..=16 => vec![load(Core::I32, "load16_u", at)],
                    more => (0..more.div_ceil(32)).map(|word| load(Core::I32, "load", at + 4 * word)).collect(),
                },
                TypeDefKind::Enum(names) => vec![tag(names.tag())],
                TypeDefKind::Variant(variant) => {
                    let cases: Vec<_> = variant.cases.iter().map(|case| case.ty.as_ref()).collect();
                    self.cases(tag(variant.tag()), variant.tag(), &cases, at)
                }
                TypeDefKind::Option(ty) => self.cases(tag(Int::U8), Int::U8, &[None, Some(ty)], at),
                TypeDefKind::Result(result) => {
                    self.cases(tag(Int::U8), Int::U8, &[result.ok.as_ref(), result.err.as_ref()], at)
                }
                // Whatever is behind a handle, its number is passed on.
                TypeDefKind::Resource
                | TypeDefKind::Handle(_)
                | TypeDefKind::Future(_)
                | TypeDefKind::Stream(_)
                | TypeDefKind::Unknown => vec![load(Core::I32, "load", at)],
            },
        }
    }

    /// Reads a variant: its tag, and values that the cases share.
    fn cases(&self, tag: Flat, size: Int, cases: &[Option<&Type>], at: usize) -> Vec<Flat> {
        let payload_at = at + self.sizes.payload_offset(size, cases.iter().copied()).size_wasm32();
        let cases: Vec<Vec<Flat>> =
            cases.iter().map(|case| case.map_or_else(Vec::new, |ty| self.loads(ty, payload_at))).collect();
        let shared = (0..).map_while(|slot| {
            let having = cases.iter().enumerate().filter_map(|(case, flats)| Some((case, flats.get(slot)?)));
            let ty = having.clone().map(|(_, flat)| flat.ty).reduce(Core::join)?;
            let name = ty.name();
            let expression = having.fold(format!("({name}.const 0)"), |otherwise, (case, flat)| {
                format!(
                    "(if (result {name}) (i32.eq {} (i32.const {case})) (then {}) (else {otherwise}))",
                    tag.expression,
                    flat.cast(ty)
                )
            });
            Some(Flat { ty, expression })
        });
        let shared: Vec<_> = shared.collect();
        std::iter::once(tag).chain(shared).collect()
    }
}
