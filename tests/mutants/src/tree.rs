//! The copy of the tree into which faults are put, and who may notice them there.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};

use crate::list::{By, Mutant, Package};

/// What of the tree is copied. Settings of cargo are found in the folders above the copy.
const COPIED: [&str; 8] = ["Cargo.lock", "Cargo.toml", "components", "runtime", "sample", "spin.toml", "tests", "wit"];
/// What is left out of it, wherever it stands.
const LEFT_OUT: [&str; 2] = ["target", "node_modules"];
/// The random worlds of the simulation that look at each mutant, by seeds from zero.
const WORLDS: u64 = 64;
/// What one run of the simulation or of tests may take. A fault may make something go on for ever.
const SECONDS_MAX: u32 = 600;
/// Lines of a failed command's errors that are shown.
const LINES_MAX: usize = 20;
/// Characters of a violation that are shown.
const VIOLATION_MAX: usize = 90;

/// Who noticed a fault.
pub enum Witness {
    /// A random world of the simulation.
    Simulation {
        /// Run it alone with `sim --run 'SEED storm'`.
        seed: String,
        /// The first law that it broke, and whom for.
        violation: String,
    },
    /// Tests, by name.
    Tests(Vec<String>),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Witness::Simulation { seed, violation } => write!(f, "simulation, seed {seed}: {violation}"),
            Witness::Tests(names) if names.len() == 1 => write!(f, "test {}", names[0]),
            Witness::Tests(names) => write!(f, "test {} and {} more", names[0], names.len() - 1),
        }
    }
}

/// The copy.
pub struct Tree {
    root: PathBuf,
    copy: PathBuf,
    sim: PathBuf,
    /// All packages that have mutants. They are named together whenever tests are built: features are those of what is
    /// named, and another set of them is another build of most libraries.
    packages: BTreeSet<Package>,
}

impl Tree {
    /// Makes the copy the same as the tree. What is the same already is left alone, so that cargo does not build it again.
    pub fn copy(root: PathBuf, sim: PathBuf, mutants: &[Mutant]) -> anyhow::Result<Tree> {
        let copy = root.join("target/mutants");
        std::fs::create_dir_all(&copy)?;
        for name in COPIED {
            mirror(&root.join(name), &copy.join(name))?;
        }
        let packages = mutants.iter().map(Mutant::package).collect();
        Ok(Tree { root, copy, sim, packages })
    }

    /// Puts a fault in, and looks whether anybody notices: who is named first, and then the other.
    pub fn look(&self, mutant: &Mutant) -> anyhow::Result<Option<Witness>> {
        let path = self.copy.join(&mutant.file);
        std::fs::write(&path, mutant.apply(&self.root)?)?;
        let package = mutant.package();
        let ask = |by: By| match by {
            By::Tests => self.test(&package),
            By::Simulation if package.is_component() => self.simulate(),
            By::Simulation => Ok(None),
        };
        let seen = ask(mutant.by).and_then(|seen| if seen.is_some() { Ok(seen) } else { ask(mutant.by.other()) });
        mirror(&self.root.join(&mutant.file), &path)?;
        seen
    }

    /// Builds the components and runs random worlds.
    pub fn simulate(&self) -> anyhow::Result<Option<Witness>> {
        let mut command = self.cargo(&["build", "--profile", "component", "--target", "wasm32-unknown-unknown"]);
        for entry in std::fs::read_dir(self.copy.join("components"))? {
            let package = Package { folder: Path::new("components").join(entry?.file_name()) };
            if package.is_component() {
                command.args(["-p", &package.name()]);
            }
        }
        successful(&mut command)?;
        // One world after another, so that the first that breaks a law is the same each time.
        let output = limited(&self.sim)
            .args(["--first", "--threads", "1", "--seeds", &format!("0..{WORLDS}"), "--manifest"])
            .arg(self.copy.join("spin.toml"))
            .arg("--cache")
            .arg(self.copy.join("target/sim"))
            .output()?;
        if output.status.success() {
            return Ok(None);
        }
        let witness = broken_law(&String::from_utf8_lossy(&output.stdout));
        Ok(Some(witness.with_context(|| format!("the simulation broke down, {}: {}", output.status, errors(&output)))?))
    }

    /// Builds and runs the tests of a package's library.
    pub fn test(&self, package: &Package) -> anyhow::Result<Option<Witness>> {
        let mut command =
            self.cargo(&["test", "--profile", "mutants", "--no-run", "--message-format", "json", "--lib"]);
        for package in &self.packages {
            command.args(["-p", &package.name()]);
        }
        let built = successful(&mut command)?;
        let built = String::from_utf8_lossy(&built.stdout);
        let failed = run(&built, &package.name().replace('-', "_"), &self.copy.join(&package.folder))?;
        Ok(Some(failed).filter(|names| !names.is_empty()).map(Witness::Tests))
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(arguments).args(["--locked", "--quiet"]).current_dir(&self.copy);
        command.env("CARGO_TARGET_DIR", self.copy.join("target")).stdin(Stdio::null());
        command
    }
}

/// Runs tests that cargo has built, by the name of their target, and answers the names of those that failed.
fn run(built: &str, target: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
    let executable = built.lines().find_map(|line| {
        let artifact: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_wanted = artifact["target"]["name"] == *target && artifact["profile"]["test"] == true;
        artifact["executable"].as_str().filter(|_| is_wanted).map(PathBuf::from)
    });
    let executable = executable.with_context(|| format!("cargo names no tests of {target}"))?;
    let output = limited(&executable).current_dir(folder).output()?;
    let failed = failed_tests(&String::from_utf8_lossy(&output.stdout));
    ensure!(
        output.status.success() || !failed.is_empty(),
        "{target} broke down, {}: {}",
        output.status,
        errors(&output)
    );
    Ok(failed)
}

fn limited(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", &SECONDS_MAX.to_string()]).arg(program).stdin(Stdio::null());
    command
}

/// The first violation that the simulation's report shows.
fn broken_law(report: &str) -> Option<Witness> {
    let mut lines = report.lines().skip_while(|line| !line.starts_with("violated: "));
    let seed = lines.next()?.split_once('\'')?.1.split_whitespace().next()?.to_owned();
    let violation = lines.next()?.trim().chars().take(VIOLATION_MAX).collect();
    Some(Witness::Simulation { seed, violation })
}

/// The names of tests that failed, in their order.
fn failed_tests(output: &str) -> Vec<String> {
    let names = output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    names.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Makes a file or folder the same as another.
fn mirror(from: &Path, to: &Path) -> anyhow::Result<()> {
    if from.is_file() {
        let bytes = std::fs::read(from).with_context(|| from.display().to_string())?;
        if std::fs::read(to).ok().as_deref() != Some(&bytes) {
            std::fs::write(to, bytes).with_context(|| to.display().to_string())?;
        }
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(to)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| !from.join(name).exists()) {
            if path.is_dir() { std::fs::remove_dir_all(&path)? } else { std::fs::remove_file(&path)? }
        }
    }
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let name = entry?.file_name();
        if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
            mirror(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// Runs a command that has to succeed.
fn successful(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", errors(&output));
    Ok(output)
}

fn errors(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().take(LINES_MAX).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{broken_law, failed_tests};

    #[test]
    fn a_report_names_the_seed_the_law_and_the_checkouts() {
        let report = "0123456789abcdef 0 shoppers=40 storm\n\
            1192 checkouts in 24 worlds: 607 orders\n\
            violated: sim --run '94 shoppers=40 storm'\n  every_mail_is_sent ntf_3d: unavailable\n  a_cart: b\n\
            1 worlds with violations, 1.7 s\n";
        let witness = broken_law(report).expect("a law is broken").to_string();
        assert_eq!(witness, "simulation, seed 94: every_mail_is_sent ntf_3d: unavailable");
        assert!(broken_law("1192 checkouts in 24 worlds: 607 orders\n0 worlds with violations, 1.7 s\n").is_none());
        assert!(broken_law("").is_none());
    }

    #[test]
    fn failed_tests_are_named_once_and_in_order() {
        let output = "test b::c ... FAILED\ntest d ... ok\ntest a ... FAILED\ntest b::c ... FAILED\nfailures:\n    a\n";
        assert_eq!(failed_tests(output), ["a", "b::c"]);
    }
}
