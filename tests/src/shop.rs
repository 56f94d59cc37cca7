//! The real `souk up` process with the shop of the repository's own manifest, on a free port and in a folder of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::MutexGuard,
};

mod replica;

pub use replica::Replica;
use replica::{private_address, wait_until_ready};

use crate::{balancer::Balancer, folder::Folder, lattice::Lattice, postgres::Cluster, time::Time};

/// Who runs the shop in tests.
pub const STAFF_EMAIL: &str = "staff@shop.example";
/// Their password.
pub const STAFF_PASSWORD: &str = "souk-staff-password-1";

/// The file of a data directory that holds the secrets that the host made.
const SECRETS: &str = "secrets.toml";
/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the root").to_owned()
}

/// The host, as `make build` leaves it.
pub fn souk() -> Command {
    let path = root().join("target/release/souk");
    assert!(path.exists(), "{} is missing; run `make build`", path.display());
    Command::new(path)
}

/// How often one client may ask a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limits {
    /// As often as it likes: tests come from one address.
    Lifted,
    /// As the repository's manifest says.
    Kept,
}

/// On what the shops of a test run: the same stories are told on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Our own host with SQLite.
    Sqlite,
    /// Our own host beside Postgres, as so many replicas behind a balancer.
    Postgres(usize),
    /// The program `spin` of this machine.
    Spin,
    /// Spin's interfaces without Spin.
    SpinStandIn,
    /// A wasmCloud lattice of two hosts.
    Lattice,
}

impl Platform {
    /// What the environment variable `SOUK_PLATFORM` names: `sqlite`, when it names nothing, `postgres`, `postgres-3`,
    /// `spin`, `spin-stand-in` or `lattice`.
    pub fn of_this_run() -> Self {
        match std::env::var("SOUK_PLATFORM").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres(1),
            Ok("postgres-3") => Self::Postgres(3),
            Ok("spin") => Self::Spin,
            Ok("spin-stand-in") => Self::SpinStandIn,
            Ok("lattice") => Self::Lattice,
            Ok(other) => panic!("SOUK_PLATFORM is {other}, which is no platform; see Platform::of_this_run"),
        }
    }

    /// How much of a race is run here. Under Spin each commit is flushed alone and waits for a lock that nobody queues for, and
    /// on a lattice each call crosses NATS, so an eighth takes as long there as all of it on our own host.
    pub fn share(self, full: usize) -> usize {
        match self {
            Self::Sqlite | Self::Postgres(_) => full,
            Self::Spin | Self::SpinStandIn | Self::Lattice => full / 8,
        }
    }

    /// Whether Spin, or what stands in for it, serves the shop.
    pub fn is_spin(self) -> bool {
        match self {
            Self::Spin | Self::SpinStandIn => true,
            Self::Sqlite | Self::Postgres(_) | Self::Lattice => false,
        }
    }

    fn replicas(self) -> usize {
        match self {
            Self::Sqlite | Self::Spin | Self::SpinStandIn => 1,
            Self::Postgres(replicas) => replicas,
            Self::Lattice => 0,
        }
    }
}

/// A running shop.
pub struct Shop {
    /// Where it is served.
    pub url: String,
    /// Where operators find health and metrics, of the first replica.
    pub private: String,
    /// Its manifest, data and secrets.
    pub folder: Folder,
    /// The address of its Postgres database, when it has one.
    pub database: Option<String>,
    /// What it runs on.
    pub platform: Platform,
    /// What its processes find in theirs: the manifest's variables, and the clock.
    environment: Vec<(String, String)>,
    replicas: Vec<Option<Replica>>,
    balancer: Option<Balancer>,
    /// The lattice that it is on, if it is, for it alone.
    pub lattice: Option<MutexGuard<'static, Lattice>>,
}

impl Shop {
    /// Starts a shop without products. `variables` are those of the manifest, in the environment's form: `("CAPTURE", "manual")`.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_with(Limits::Lifted, variables)
    }

    /// Starts a shop without products.
    pub fn start_with(limits: Limits, variables: &[(&str, &str)]) -> Self {
        Self::start_on(Platform::of_this_run(), limits, variables)
    }

    /// Starts a shop without products on our own host with SQLite, whose clock the test moves.
    pub fn start_at(time: &Time, variables: &[(&str, &str)]) -> Self {
        Self::start_under(time.environment(), Platform::Sqlite, Limits::Lifted, variables)
    }

    /// Starts a shop without products on our own host with SQLite, which is backed up to a folder while it runs.
    pub fn start_backed_up(backup: &Path) -> Self {
        let backup = ("SOUK_BACKUP".to_owned(), backup.display().to_string());
        Self::start_under(vec![backup], Platform::Sqlite, Limits::Lifted, &[])
    }

    /// Starts a shop without products on a platform that the test names.
    pub fn start_on(platform: Platform, limits: Limits, variables: &[(&str, &str)]) -> Self {
        Self::start_under(Vec::new(), platform, limits, variables)
    }

    fn start_under(
        mut environment: Vec<(String, String)>,
        platform: Platform,
        limits: Limits,
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = Folder::new();
        fs::write(folder.path().join("spin.toml"), manifest(limits)).expect("the manifest can be written");
        let lattice = (platform == Platform::Lattice).then(|| Lattice::lent(limits, variables));
        environment
            .extend(variables.iter().map(|(name, value)| (format!("SPIN_VARIABLE_{name}"), (*value).to_owned())));
        let (database, balancer) = match platform {
            Platform::Sqlite | Platform::Spin | Platform::SpinStandIn => (None, None),
            Platform::Postgres(replicas) => (Some(Cluster::shared().database()), (replicas > 1).then(Balancer::start)),
            Platform::Lattice => (lattice.as_ref().map(|lattice| lattice.database.clone()), None),
        };
        let replicas = (0..platform.replicas()).map(|_| None).collect();
        let (url, private) = (String::new(), String::new());
        let mut shop = Self { url, private, folder, database, platform, environment, replicas, balancer, lattice };
        if let Some(lattice) = &shop.lattice {
            symlink(&lattice.data, shop.data()).expect("a fresh folder takes a link");
            shop.url = lattice.url.clone();
            return shop;
        }
        for replica in 0..shop.replicas.len() {
            share_compiled_code(&shop.data_of(replica));
        }
        shop.launch();
        shop
    }

    /// Starts a shop on our own host with SQLite whose data are in a folder that the test has made, and may be those of
    /// another shop that is gone.
    pub fn start_in(data: &Path) -> Self {
        let folder = Folder::new();
        fs::write(folder.path().join("spin.toml"), manifest(Limits::Lifted)).expect("the manifest can be written");
        symlink(data, folder.path().join("data")).expect("a fresh folder takes a link");
        if !data.join("cache").exists() {
            share_compiled_code(data);
            // Compiling it all again after each power cut would take a minute.
            fs::File::open(data).and_then(|folder| folder.sync_all()).expect("a folder can be flushed");
        }
        let mut shop = Self {
            url: String::new(),
            private: String::new(),
            folder,
            database: None,
            platform: Platform::Sqlite,
            environment: Vec::new(),
            replicas: vec![None],
            balancer: None,
            lattice: None,
        };
        shop.launch();
        shop
    }

    /// Starts it again on the same data: what does not run, on other ports.
    pub fn launch(&mut self) {
        if let Some(lattice) = &mut self.lattice {
            return lattice.launch();
        }
        assert!(self.replicas.iter().any(Option::is_none), "all of it runs already");
        for place in 0..self.replicas.len() {
            if self.replicas[place].is_none() {
                let replica = match self.platform.is_spin() {
                    true => self.launch_spin(),
                    false => self.launch_replica(place),
                };
                self.replicas[place] = Some(replica);
            }
        }
        let running: Vec<&Replica> = self.replicas.iter().flatten().collect();
        self.private = format!("http://{}", running[0].private);
        self.url = match &self.balancer {
            None => format!("http://{}", running[0].public),
            Some(balancer) => {
                balancer.send_to(running.iter().map(|replica| replica.public).collect());
                format!("http://{}", balancer.address())
            }
        };
    }

    fn launch_replica(&self, place: usize) -> Replica {
        // The first one made the secrets that all of them share.
        if place > 0 {
            fs::copy(self.data().join(SECRETS), self.data_of(place).join(SECRETS)).expect("secrets can be copied");
        }
        let private = private_address();
        let mut child = souk()
            .args(["up", "--log", "warn", "--listen", "127.0.0.1:0", "--private", &private.to_string()])
            .args(["--manifest".as_ref(), self.manifest().as_os_str()])
            .args(["--data".as_ref(), self.data_of(place).as_os_str()])
            .args(self.database.iter().flat_map(|url| ["--sql", url]))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the host starts");
        let mut lines =
            BufReader::new(child.stderr.take().expect("standard error is piped")).lines().map_while(Result::ok);
        let mut before = String::new();
        let public = loop {
            match lines.next() {
                Some(line) => match line.strip_prefix("souk: ").and_then(|rest| rest.split_once(" at http://")) {
                    Some((_, address)) => break address.parse().expect("the host says an address"),
                    None => before.push_str(&format!("{line}\n")),
                },
                None => panic!("the host ended before it listened:\n{before}"),
            }
        };
        // Somebody must read on, or the host waits for its own log.
        let log = std::thread::spawn(move || {
            let mut log = before;
            for line in lines {
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        wait_until_ready(public, "/readyz");
        Replica { target: child.id().to_string(), child, log, public, private: private.into() }
    }

    /// As docs/spin.md says it: tables and secrets first, then `spin up`.
    fn launch_spin(&self) -> Replica {
        let (migrated, printed) = self.command(&["migrate"]);
        assert!(migrated, "souk migrate:\n{printed}");
        let mut command = match self.platform {
            Platform::SpinStandIn => Command::new(root().join("target/release/spin_stand_in")),
            Platform::Spin | Platform::Sqlite | Platform::Postgres(_) | Platform::Lattice => Command::new("spin"),
        };
        command
            .envs(self.secrets().iter().map(|(name, value)| (format!("SPIN_VARIABLE_{}", name.to_uppercase()), value)))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Replica::spin(command, &self.manifest(), &self.data())
    }

    /// Ends all of it at once, in the middle of whatever it does: `kill -9`. Answers its log.
    pub fn kill(&mut self) -> String {
        let running: Vec<usize> = (0..self.replicas.len()).filter(|place| self.replicas[*place].is_some()).collect();
        running.into_iter().map(|place| self.kill_replica(place)).collect()
    }

    /// Ends one replica, or one host of the lattice, at once. Answers its log.
    pub fn kill_replica(&mut self, place: usize) -> String {
        if let Some(lattice) = &mut self.lattice {
            return lattice.kill(place);
        }
        let replica = self.replicas[place].take().expect("it runs");
        replica.signal("KILL");
        replica.ended().1
    }

    /// Tells it to end when it has finished what is under way, and waits for that. Answers whether it ended well, and its log.
    pub fn stop(&mut self) -> (bool, String) {
        self.signal("TERM");
        let (mut well, mut logs) = (true, String::new());
        for (ended_well, log) in self.replicas.iter_mut().filter_map(Option::take).map(Replica::ended) {
            well &= ended_well;
            logs.push_str(&log);
        }
        (well, logs)
    }

    /// Loses its data directory, but for the secrets, which are kept elsewhere, too. For a shop that does not run.
    pub fn lose_data(&mut self) {
        assert!(!self.is_running(), "it is stopped or killed before");
        let secrets = fs::read(self.data().join(SECRETS)).expect("the host made its secrets");
        fs::remove_dir_all(self.data()).expect("a folder of ours can be removed");
        share_compiled_code(&self.data());
        fs::write(self.data().join(SECRETS), secrets).expect("a fresh folder takes a file");
    }

    /// Sends all of it a signal, named as `kill` names it.
    pub fn signal(&self, name: &str) {
        for replica in self.replicas.iter().flatten() {
            replica.signal(name);
        }
    }

    /// Whether any of it was started and neither stopped nor killed since.
    pub fn is_running(&self) -> bool {
        self.replicas.iter().any(Option::is_some)
    }

    /// The id of its first process.
    pub fn pid(&self) -> u32 {
        self.replicas[0].as_ref().expect("it runs").child.id()
    }

    /// Where its manifest is.
    pub fn manifest(&self) -> PathBuf {
        self.folder.path().join("spin.toml")
    }

    /// Where its data are.
    pub fn data(&self) -> PathBuf {
        self.data_of(0)
    }

    fn data_of(&self, replica: usize) -> PathBuf {
        match replica {
            0 => self.folder.path().join("data"),
            other => self.folder.path().join(format!("data-{other}")),
        }
    }

    /// Where its SQLite database is, when it has one.
    pub fn database_file(&self) -> PathBuf {
        self.data().join(if self.platform.is_spin() { "sqlite_db.db" } else { "souk.db" })
    }

    /// The secret of this name that the host made.
    pub fn secret(&self, name: &str) -> String {
        self.secrets().remove(name).unwrap_or_else(|| panic!("there is no secret {name}"))
    }

    fn secrets(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.data().join(SECRETS)).expect("the host made its secrets");
        toml::from_str(&text).expect("they are texts by name")
    }

    /// Runs a command of the host on this shop's data, and answers whether it succeeded and what it printed.
    pub fn command(&self, words: &[&str]) -> (bool, String) {
        let output = souk()
            .args(words)
            .args(["--manifest".as_ref(), self.manifest().as_os_str(), "--data".as_ref(), self.data().as_os_str()])
            .args(self.database.iter().flat_map(|url| ["--sql", url]))
            .args(self.platform.is_spin().then(|| format!("--database={}", self.database_file().display())))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the host starts");
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), printed)
    }

    /// Asserts that the services find their books in order.
    pub fn assert_audit(&self) {
        let (sound, printed) = self.command(&["audit"]);
        assert!(sound, "souk audit:\n{printed}");
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if self.is_running() {
            let log = self.kill();
            if std::thread::panicking() {
                eprintln!("log of the host:\n{log}");
            }
        }
        if let Some(lattice) = self.lattice.as_ref().filter(|_| std::thread::panicking()) {
            eprintln!("warnings of the lattice:\n{}", lattice.log());
        }
    }
}

/// The repository's manifest with paths that hold anywhere, perhaps without limits that one address exceeds in tests.
fn manifest(limits: Limits) -> String {
    let root = root();
    let text = fs::read_to_string(root.join("spin.toml"))
        .expect("the repository has a manifest")
        .replace("\"target/", &format!("\"{}/target/", root.display()))
        .replace("\"components/", &format!("\"{}/components/", root.display()));
    let rated = ", rate_per_minute = 1200";
    let rates = ", rates = { \"/api/v1/hooks/...\" = 12000 }";
    let throttled = "throttle_scale = { default = \"1\" }";
    let unthrottled = "throttle_scale = { default = \"1000\" }";
    assert!([rated, rates, throttled].iter().all(|limit| text.contains(limit)), "the manifest has other limits");
    match limits {
        Limits::Kept => text,
        Limits::Lifted => text.replace(rates, "").replace(rated, "").replace(throttled, unthrottled),
    }
}

/// Lets every shop of every test find what one of them has compiled: code is kept by digest and renamed into place.
pub(crate) fn share_compiled_code(data: &Path) {
    let shared = root().join("target/test-cache");
    fs::create_dir_all(&shared).expect("target/ takes a folder");
    fs::create_dir_all(data).expect("a fresh folder takes another");
    symlink(shared, data.join("cache")).expect("a fresh folder takes a link");
}
