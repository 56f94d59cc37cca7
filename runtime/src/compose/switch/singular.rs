//! The singular interface, made from the plural one as its importer knows it.
//!
//! Each import of a switch needs an interface of its own. Types that the plural interface defines are copied into it;
//! those that it uses from elsewhere stay the same.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use wit_parser::{Interface, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner};

use super::Forward;

/// Adds an interface without a name that has the singular functions.
pub fn copy(resolve: &mut Resolve, plural: InterfaceId, forwards: &[Forward]) -> Result<InterfaceId> {
    let source = resolve.interfaces[plural].clone();
    let mut empty = Interface { name: None, ..source.clone() };
    empty.types.clear();
    empty.functions.clear();
    let target = resolve.interfaces.alloc(empty);
    let mut copier = Copier { resolve, plural, target, copies: BTreeMap::new() };
    for (name, id) in &source.types {
        let copied = copier.id(*id)?;
        copier.resolve.interfaces[target].types.insert(name.clone(), copied);
    }
    for Forward { singular, .. } in forwards {
        let mut function = singular.clone();
        for param in &mut function.params {
            copier.ty(&mut param.ty)?;
        }
        if let Some(result) = &mut function.result {
            copier.ty(result)?;
        }
        copier.resolve.interfaces[target].functions.insert(function.name.clone(), function);
    }
    Ok(target)
}

struct Copier<'a> {
    resolve: &'a mut Resolve,
    plural: InterfaceId,
    target: InterfaceId,
    copies: BTreeMap<TypeId, TypeId>,
}

impl Copier<'_> {
    fn id(&mut self, id: TypeId) -> Result<TypeId> {
        if let Some(copied) = self.copies.get(&id) {
            return Ok(*copied);
        }
        let source = self.resolve.types[id].clone();
        let owner = match source.owner {
            TypeOwner::Interface(interface) if interface == self.plural => TypeOwner::Interface(self.target),
            TypeOwner::None => TypeOwner::None,
            TypeOwner::Interface(_) | TypeOwner::World(_) => return Ok(id),
        };
        let mut kind = source.kind.clone();
        self.kind(&mut kind)?;
        let copied = self.resolve.types.alloc(TypeDef { kind, owner, ..source });
        self.copies.insert(id, copied);
        Ok(copied)
    }

    fn ty(&mut self, ty: &mut Type) -> Result<()> {
        if let Type::Id(id) = ty {
            *id = self.id(*id)?;
        }
        Ok(())
    }

    fn kind(&mut self, kind: &mut TypeDefKind) -> Result<()> {
        match kind {
            TypeDefKind::Record(record) => record.fields.iter_mut().try_for_each(|field| self.ty(&mut field.ty)),
            TypeDefKind::Tuple(tuple) => tuple.types.iter_mut().try_for_each(|ty| self.ty(ty)),
            TypeDefKind::Variant(variant) => {
                variant.cases.iter_mut().filter_map(|case| case.ty.as_mut()).try_for_each(|ty| self.ty(ty))
            }
            TypeDefKind::Option(ty)
            | TypeDefKind::List(ty)
            | TypeDefKind::FixedLengthList(ty, _)
            | TypeDefKind::Type(ty) => self.ty(ty),
            TypeDefKind::Result(result) => {
                [&mut result.ok, &mut result.err].into_iter().flatten().try_for_each(|ty| self.ty(ty))
            }
            TypeDefKind::Map(key, value) => {
                self.ty(key)?;
                self.ty(value)
            }
            TypeDefKind::Flags(_) | TypeDefKind::Enum(_) => Ok(()),
            TypeDefKind::Resource
            | TypeDefKind::Handle(_)
            | TypeDefKind::Future(_)
            | TypeDefKind::Stream(_)
            | TypeDefKind::Unknown => bail!("a plural interface takes and returns plain values only"),
        }
    }
}
