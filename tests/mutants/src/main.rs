//! `mutants`: shows that the simulation and the tests have teeth.
//!
//! Each fault of `mutants.toml` is put into a copy of the tree. There its package is built, and its tests and the simulation run,
//! the one that the list names first, until something fails. Before that the copy has to pass the very same without a fault. Exits with 1 unless every fault is
//! noticed; one that does not build, or makes something go on for ever, is an error and shows nothing.

mod list;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;

use list::{Mutant, Package};
use tree::Tree;

/// Puts faults into the code and looks who notices.
#[derive(Parser)]
struct Arguments {
    /// Only those whose name or file holds this text.
    #[arg(long, default_value = "")]
    only: String,
    /// The root of the tree.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// The simulation.
    #[arg(long, default_value = "target/release/sim")]
    sim: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let root = arguments.root.canonicalize()?;
    let sim = arguments.sim.canonicalize().context("the simulation is not built")?;
    let all = list::load(&root)?;
    let is_wanted = |text: &str| text.contains(&arguments.only);
    let is_wanted = |mutant: &&Mutant| is_wanted(&mutant.name) || is_wanted(&mutant.file.to_string_lossy());
    let mut mutants: Vec<Mutant> = all.iter().filter(is_wanted).cloned().collect();
    // A package that was put right is built once more with the next: those of one package follow one another.
    mutants.sort_by_key(|mutant| (mutant.by, mutant.package()));
    ensure!(!mutants.is_empty(), "no mutant has `{}` in its name or file", arguments.only);

    let began = Instant::now();
    let tree = Tree::copy(root, sim, &all)?;
    without_a_fault(&tree, &mutants)?;
    println!("without a fault everything passes, {:.0} s", began.elapsed().as_secs_f64());

    let mut killed = 0;
    for mutant in &mutants {
        let started = Instant::now();
        let seen = match tree.look(mutant) {
            Ok(Some(witness)) => {
                killed += 1;
                format!("killed by {witness}")
            }
            Ok(None) => format!("SURVIVED: {}", mutant.why),
            Err(error) => format!("ERROR: {error:#}"),
        };
        println!("{:<56} {seen} ({:.0} s)", mutant.name, started.elapsed().as_secs_f64());
    }
    println!("{:.0} s", began.elapsed().as_secs_f64());
    println!("{killed} of {} killed", mutants.len());
    Ok(if killed == mutants.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs for the unchanged tree all that is run for the mutants. A kill says nothing when this fails already.
fn without_a_fault(tree: &Tree, mutants: &[Mutant]) -> anyhow::Result<()> {
    let packages: BTreeSet<Package> = mutants.iter().map(Mutant::package).collect();
    let mut seen = if packages.iter().any(Package::is_component) { tree.simulate()? } else { None };
    for package in &packages {
        seen = seen.map_or_else(|| tree.test(package), |witness| Ok(Some(witness)))?;
    }
    seen.map_or(Ok(()), |witness| bail!("the unchanged tree does not pass: {witness}"))
}
