//! The faults: `tests/mutants/mutants.toml`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// Where they stand, below the root of the tree.
const FILE: &str = "tests/mutants/mutants.toml";

/// One fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What it breaks.
    pub name: String,
    /// The file, below the root of the tree.
    pub file: PathBuf,
    /// The text that is replaced. It occurs once.
    pub find: String,
    /// What stands there instead.
    pub replace: String,
    /// What it would do to a shop, for whoever reads that it survived.
    pub why: String,
    /// Who is asked first whether it is noticed.
    pub by: By,
}

/// Who notices a fault, the cheapest first.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The tests of its package's library.
    Tests,
    /// Random worlds of the simulation.
    Simulation,
}

/// A package of the workspace, by its folder: `components/order` is `souk-order`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The folder, below the root of the tree.
    pub folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

/// Reads all of them from a tree.
pub fn load(root: &Path) -> anyhow::Result<Vec<Mutant>> {
    let path = root.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(toml::from_str::<List>(&text)?.mutant)
}

impl By {
    /// Who is asked next.
    pub fn other(self) -> By {
        match self {
            By::Tests => By::Simulation,
            By::Simulation => By::Tests,
        }
    }
}

impl Mutant {
    /// The text of its file with the fault in it.
    pub fn apply(&self, root: &Path) -> anyhow::Result<String> {
        let path = root.join(&self.file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let count = text.matches(&self.find).count();
        ensure!(count == 1, "{}: what is to be replaced occurs {count} times in {}", self.name, self.file.display());
        Ok(text.replacen(&self.find, &self.replace, 1))
    }

    /// The package that it is in.
    pub fn package(&self) -> Package {
        Package { folder: self.file.components().take(2).collect() }
    }
}

impl Package {
    /// Its name for cargo.
    pub fn name(&self) -> String {
        format!("souk-{}", self.folder.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Whether it is a file that the simulation runs; `kit` is the library of all that are.
    pub fn is_component(&self) -> bool {
        self.folder.starts_with("components") && !self.folder.ends_with("kit")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{By, load};

    /// Fewer say little.
    const COUNT_MIN: usize = 50;

    #[test]
    fn every_mutant_still_applies() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mutants = load(&root).expect("the list can be read");
        assert!(mutants.len() >= COUNT_MIN, "{} mutants", mutants.len());
        let names: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
        assert_eq!(names.len(), mutants.len(), "every name is given once");
        for mutant in &mutants {
            let mutated = mutant.apply(&root).unwrap_or_else(|error| panic!("{error:#}"));
            assert_ne!(mutant.find, mutant.replace, "{}", mutant.name);
            assert!(!mutant.why.is_empty(), "{}", mutant.name);
            assert!(mutant.by == By::Tests || mutant.package().is_component(), "{} is not simulated", mutant.name);
            assert!(mutated.contains(&mutant.replace), "{}", mutant.name);
            let manifest = root.join(mutant.package().folder).join("Cargo.toml");
            assert!(manifest.exists(), "{}: {} is no package", mutant.name, manifest.display());
        }
    }
}
