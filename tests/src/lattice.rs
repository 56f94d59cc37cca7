//! A wasmCloud lattice with the shop on it: the rig of `runtime/lattice`, with two hosts, driven line by line.
//!
//! A lattice takes a while to start, so the tests of a process share one with limits and one without, and one test at a
//! time has it. Every test finds an empty shop: its database is made anew, and what its variables say is deployed.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use crate::{
    folder::Folder,
    postgres::{self, Cluster},
    shop::{Limits, root, share_compiled_code},
    wait::{SOON, eventually_blocking},
};

/// The rig, as `runtime/lattice/setup.sh` leaves it.
const RIG: &str = "target/lattice/debug/souk-lattice";
/// Its hosts.
const HOSTS: [&str; 2] = ["host-1", "host-2"];
/// What a shop's database is copied from. Its tables belong to roles of that shop.
const EMPTY: &str = "empty";
/// Lines of the hosts' logs that are shown when a test failed.
const LOG_LINES_SHOWN_MAX: usize = 40;
/// Deletes queues that nobody delivers from, so that nobody begins to.
const HALT: &str = "DELETE FROM souk.queues WHERE leased_until IS NULL OR leased_until < clock_timestamp()";

/// A lattice with the shop.
pub struct Lattice {
    /// Where the shop is served.
    pub url: String,
    /// The address of its database.
    pub database: String,
    /// Secrets and logs.
    pub data: PathBuf,
    /// The server of the database, which is this lattice's own.
    pub cluster: Cluster,
    /// What is deployed.
    manifest: String,
    version: u32,
    killed: Option<&'static str>,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// It ends when its standard input does, with this process however that ends, and removes its folder.
    _rig: Child,
}

impl Lattice {
    /// An empty shop with these limits and variables, for as long as the answer is kept.
    pub fn lent(limits: Limits, variables: &[(&str, &str)]) -> MutexGuard<'static, Lattice> {
        static STARTED: Mutex<BTreeMap<Limits, &'static Mutex<Lattice>>> = Mutex::new(BTreeMap::new());
        let text = manifest(limits, variables);
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || -> &'static Mutex<Lattice> { Box::leak(Box::new(Mutex::new(Lattice::start(&text)))) };
        let lattice = *started.entry(limits).or_insert_with(start);
        drop(started);
        let mut lattice = lattice.lock().unwrap_or_else(PoisonError::into_inner);
        lattice.clear();
        lattice.change(text);
        lattice
    }

    fn start(manifest: &str) -> Lattice {
        let rig = root().join(RIG);
        assert!(rig.exists(), "{} is missing; run `runtime/lattice/setup.sh`", rig.display());
        let cluster = Cluster::start();
        let database = cluster.database();
        let folder = Folder::new();
        share_compiled_code(folder.path());
        let mut rig = Command::new(rig)
            .args(["up", "--commands", "--remove-data", "--database-url", &database, "--data"])
            .arg(folder.path())
            .args(["--nats-port", "0", "--registry-port", "0", "--http-port", "0", "--postgres-port", "0"])
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the rig starts");
        let orders = rig.stdin.take().expect("standard input is piped");
        let mut answers = BufReader::new(rig.stdout.take().expect("standard output is piped"));
        let said = answer(&mut answers);
        let url = said["http"].as_str().expect("the rig says where the shop will be").to_owned();
        // Nothing of the shop runs yet, so nobody is connected to its database.
        cluster.admin(&format!("CREATE DATABASE {EMPTY} TEMPLATE {}", name(&database)));
        let data = folder.keep();
        let (manifest, version) = (manifest.to_owned(), 0);
        let mut lattice =
            Lattice { url, database, data, cluster, manifest, version, killed: None, orders, answers, _rig: rig };
        lattice.deploy();
        lattice
    }

    /// Deploys the manifest, or puts it in place again, and waits until all of it is there.
    pub fn deploy(&mut self) {
        let file = self.data.join("wadm.yaml");
        fs::write(&file, set(&self.manifest, "version", &self.version.to_string())).expect("the folder takes a file");
        self.order(&format!("deploy {}", file.display()));
    }

    /// Deploys another manifest, if it is another.
    fn change(&mut self, manifest: String) {
        if self.manifest != manifest {
            self.manifest = manifest;
            self.version += 1;
            self.deploy();
        }
    }

    /// Ends a host at once. Answers its log.
    pub fn kill(&mut self, place: usize) -> String {
        assert_eq!(self.killed, None, "one host goes on");
        let host = HOSTS[place];
        self.order(&format!("kill {host}"));
        self.killed = Some(host);
        self.log_of(host)
    }

    /// Starts the host that was killed, and waits until it has its part of the shop.
    pub fn launch(&mut self) {
        let host = self.killed.take().expect("a host was killed");
        self.order(&format!("start {host}"));
        self.order(&format!("hosts {}", HOSTS.len()));
        self.deploy();
    }

    /// Has the rig do what `runtime/lattice/README.md` says, and waits until it is done.
    pub fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the rig takes orders");
        let answer = answer(&mut self.answers);
        assert_eq!(answer["error"], Value::Null, "{order}");
    }

    /// Makes the database anew, when nothing is on its way any more that could write into the new one.
    fn clear(&self) {
        eventually_blocking(SOON, "no event is on its way", || {
            postgres::run(&admin(&self.database), HALT);
            (postgres::number(&admin(&self.database), "SELECT count(*) FROM souk.queues") == 0).then_some(())
        });
        let database = name(&self.database);
        self.cluster.admin(&format!("DROP DATABASE {database} WITH (FORCE)"));
        self.cluster.admin(&format!("CREATE DATABASE {database} TEMPLATE {EMPTY} OWNER souk"));
    }

    /// What the hosts and their providers warned of last.
    pub fn log(&self) -> String {
        let logs = HOSTS.map(|host| self.log_of(host));
        let lines: Vec<&str> = logs
            .iter()
            .flat_map(|log| log.lines())
            .filter(|line| line.contains("WARN") || line.contains("ERROR"))
            .collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN_MAX)..].join("\n")
    }

    fn log_of(&self, host: &str) -> String {
        fs::read_to_string(self.data.join(format!("{host}.log"))).unwrap_or_default()
    }
}

/// The rig's next line.
fn answer(answers: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    answers.read_line(&mut line).expect("the rig's answers can be read");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the rig answers `{line}`: {error}"))
}

/// The name of the database in an address.
fn name(database: &str) -> &str {
    database.rsplit_once('/').expect("the address names the database").1
}

/// The same database for its administrator.
fn admin(database: &str) -> String {
    database.replace("//souk@", "//admin@")
}

/// The repository's manifest for lattices with other values, and perhaps without the limits that tests from one address are
/// bound to exceed.
fn manifest(limits: Limits, variables: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(root().join("wadm.yaml")).expect("the repository has a manifest");
    let (rated, rates) = ("rate_per_minute: \"1200\"", "rates: /api/v1/hooks/...=12000");
    assert!(text.contains(rated) && text.contains(rates), "the manifest's limits changed; change them here too");
    let text = match limits {
        Limits::Kept => text,
        Limits::Lifted => set(&text.replace(rated, "").replace(rates, ""), "throttle_scale", "1000"),
    };
    variables.iter().fold(text, |text, (name, value)| set(&text, &name.to_lowercase(), value))
}

/// Gives a variable another value in the one place where it has one.
fn set(text: &str, name: &str, value: &str) -> String {
    let start = format!("{name}: ");
    let of_it = |line: &&str| line.trim_start().starts_with(&start);
    assert_eq!(text.lines().filter(of_it).count(), 1, "wadm.yaml gives {name} one value");
    let line = |line: &str| match line.find(&start).filter(|_| of_it(&line)) {
        Some(at) => format!("{}{start}{value:?}\n", &line[..at]),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
