//! The rig: everything that a lattice needs, on 127.0.0.1, started in order and ended together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::deploy::Lattice;
use crate::process::Program;
use crate::registry::Registry;
use crate::{nats, postgres};

/// How long each part may take to answer.
const START_MAX: Duration = Duration::from_secs(60);
/// How often it is asked whether it does.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How often the rig looks whether everything still runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Hosts of the lattice.
const HOSTS: [&str; 2] = ["host-1", "host-2"];
/// Secrets of accounts elsewhere, which a lattice on this machine has not.
const ACCOUNTS: [&str; 3] = ["stripe_secret_key", "stripe_webhook_secrets", "paypal_client_secret"];
/// Seconds after which wadm gives up a host that is silent. A host says that it is alive every two.
const HOST_GONE_SECONDS: &str = "10";

/// Where everything of the rig is.
#[derive(Args)]
pub struct Up {
    /// The directory for data, logs and secrets. Made when it is missing.
    #[arg(long, value_name = "DIR", default_value = "target/lattice/data")]
    data: PathBuf,
    /// The folder of the images: NAME.wasm and NAME.par.
    #[arg(long, value_name = "DIR", default_value = "target/lattice/images")]
    images: PathBuf,
    /// The NATS server.
    #[arg(long, value_name = "FILE", default_value = "target/lattice/nats/bin/nats-server")]
    nats_server: PathBuf,
    /// Our own host, which applies the migrations and makes the secrets.
    #[arg(long, value_name = "FILE", default_value = "target/release/souk")]
    souk: PathBuf,
    /// The manifest whose components' tables are made.
    #[arg(long, value_name = "FILE", default_value = "spin.toml")]
    manifest: PathBuf,
    /// A database to use instead of one of the rig's own.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The port of NATS; 0 is any that is free.
    #[arg(long, default_value_t = 4222)]
    nats_port: u16,
    /// The port of Postgres; 0 is any that is free.
    #[arg(long, default_value_t = 15432)]
    postgres_port: u16,
    /// The port of the image registry; 0 is any that is free.
    #[arg(long, default_value_t = 5000)]
    registry_port: u16,
    /// The port where the shop is served; 0 is any that is free.
    #[arg(long, default_value_t = 3000)]
    http_port: u16,
    /// Removes the data directory at the end.
    #[arg(long)]
    remove_data: bool,
    /// For programs: prints JSON and takes commands, a line each, from standard input; ends with it.
    #[arg(long)]
    commands: bool,
}

/// Everything that runs.
struct Rig {
    data: PathBuf,
    /// In the order in which they were started.
    programs: Vec<Program>,
    nats: String,
    database: String,
    registry: String,
    http: String,
}

/// Serves a lattice until it is told to stop.
pub async fn up(up: Up) -> anyhow::Result<()> {
    std::fs::create_dir_all(&up.data).with_context(|| format!("cannot make {}", up.data.display()))?;
    // All ports are chosen at once: one that is free is chosen only once then.
    let [nats, postgres, http] = ports([up.nats_port, up.postgres_port, up.http_port]).await?;
    let listener = TcpListener::bind(("127.0.0.1", up.registry_port)).await.context("the registry's port is taken")?;
    let mut rig = Rig {
        data: up.data.canonicalize()?,
        programs: Vec::new(),
        nats: format!("nats://127.0.0.1:{nats}"),
        database: up.database_url.clone().unwrap_or_else(|| postgres::url(postgres)),
        registry: listener.local_addr()?.to_string(),
        http: format!("127.0.0.1:{http}"),
    };
    tokio::spawn(Registry::new(&up.images).serve(listener));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let ended = tokio::select! {
        ended = rig.serve(&up, nats, postgres) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    for program in rig.programs.iter_mut().rev() {
        program.end().await;
    }
    if up.remove_data {
        std::fs::remove_dir_all(&rig.data).with_context(|| format!("cannot remove {}", rig.data.display()))?;
    }
    ended
}

impl Rig {
    async fn serve(&mut self, up: &Up, nats: u16, postgres: u16) -> anyhow::Result<()> {
        self.start(nats::program(&up.nats_server, &self.data, nats)?)?;
        if up.database_url.is_none() {
            self.start(postgres::program(&self.data, postgres).await?)?;
            self.until("Postgres", async || postgres::ready(postgres).await).await?;
        }
        self.migrate(up).await?;
        self.until("NATS", async || TcpStream::connect(("127.0.0.1", nats)).await.is_ok()).await?;
        let me = std::env::current_exe()?;
        let me = me.to_str().context("the path of this program is no text")?;
        let (url, registry) = (self.nats.clone(), self.registry.clone());
        let wadm = [me, "wadm", "--nats-server", &url, "--cleanup-interval", HOST_GONE_SECONDS];
        self.start(Program::new("wadm", &self.data, wadm))?;
        for name in HOSTS {
            let host = [me, "host", "--nats", &url, "--name", name, "--insecure-registry", &registry];
            // A cache of images and providers of its own: two hosts would write the same files at once.
            let temp = Some(self.data.join(format!("{name}.tmp")));
            self.start(Program { temp, ..Program::new(name, &self.data, host) })?;
        }
        let lattice = Lattice::connect(&self.nats, self.registry.clone(), self.http.clone()).await?;
        self.hosts(&lattice, HOSTS.len()).await?;
        self.configure(&lattice).await?;
        if up.commands {
            println!("{}", self.described());
            return self.obey(&lattice).await;
        }
        self.say();
        // Whatever ends by itself ends everything: half a lattice is not worth a look.
        loop {
            self.check()?;
            sleep(LOOK_EVERY).await;
        }
    }

    fn start(&mut self, mut program: Program) -> anyhow::Result<()> {
        program.start()?;
        self.programs.push(program);
        Ok(())
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.programs.iter_mut().filter(|program| program.child.is_some()).try_for_each(Program::check)
    }

    /// Asks until the answer is yes, something has ended, or the time is over.
    async fn until(&mut self, what: &str, mut ask: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while !ask().await {
            self.check()?;
            anyhow::ensure!(Instant::now() < deadline, "{what} is not there after {START_MAX:?}");
            sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// Makes tables and secrets, as they are made before every deploy.
    async fn migrate(&self, up: &Up) -> anyhow::Result<()> {
        let mut migrate = Command::new(&up.souk);
        migrate.args(["migrate", "--sql", &self.database, "--data"]).arg(&self.data);
        let output = migrate.arg("--manifest").arg(&up.manifest).output().await;
        let output = output.with_context(|| format!("{} cannot be run: `make build` makes it", up.souk.display()))?;
        let error = || String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "the migrations failed: {}", error());
        Ok(())
    }

    async fn hosts(&mut self, lattice: &Lattice, wanted: usize) -> anyhow::Result<()> {
        self.until("a host", async || lattice.hosts().await.is_ok_and(|hosts| hosts.len() == wanted)).await
    }

    /// Puts the named configs that no manifest holds: where things are, and secrets.
    async fn configure(&self, lattice: &Lattice) -> anyhow::Result<()> {
        let one = |key: &str, value: &str| HashMap::from([(key.to_owned(), value.to_owned())]);
        lattice.config("souk-database", one("database_url", &self.database)).await?;
        lattice.config("souk-listen", one("address", &self.http)).await?;
        let path = self.secrets();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (name, secret) in toml::from_str::<HashMap<String, String>>(&text)? {
            lattice.config(&format!("souk-secret-{}", name.replace('_', "-")), one(&name, &secret)).await?;
        }
        for name in ACCOUNTS {
            lattice.config(&format!("souk-secret-{}", name.replace('_', "-")), one(name, "")).await?;
        }
        Ok(())
    }

    fn secrets(&self) -> PathBuf {
        self.data.join("secrets.toml")
    }

    /// What a program must know.
    fn described(&self) -> serde_json::Value {
        let pids: HashMap<_, _> = self.programs.iter().map(|program| (&program.name, program.pid())).collect();
        json!({
            "nats": self.nats, "database": self.database, "registry": self.registry,
            "http": format!("http://{}", self.http), "secrets": self.secrets(), "pids": pids,
        })
    }

    /// What a person must know.
    fn say(&self) {
        let Rig { nats, database, http, data, .. } = self;
        let secrets = self.secrets();
        println!(
            "
  NATS       {nats}
  Postgres   {database}
  hosts      {}
  logs       {}

  deploy     target/lattice/tools/bin/wash app deploy wadm.yaml
  look       target/lattice/tools/bin/wash app status souk
  seed       target/release/souk seed sample/shop.jsonl --url http://{http} --secrets {}
  shop       http://{http}/ as soon as it is deployed
  end        ctrl-c
",
            HOSTS.join(", "),
            data.display(),
            secrets.display()
        );
    }

    /// Does what the lines of standard input say, and answers each with a line, until they end.
    async fn obey(&mut self, lattice: &Lattice) -> anyhow::Result<()> {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            let done = self.done(lattice, &line).await;
            let error = done.err().map(|error| format!("{error:#}"));
            let mut answer = self.described();
            answer["error"] = error.into();
            println!("{answer}");
        }
        Ok(())
    }

    async fn done(&mut self, lattice: &Lattice, line: &str) -> anyhow::Result<()> {
        match *line.split_whitespace().collect::<Vec<_>>() {
            ["deploy", manifest] => lattice.deploy(Path::new(manifest)).await,
            ["configure"] => self.configure(lattice).await,
            ["kill", name] => self.program(name)?.kill().await,
            ["end", name] => {
                self.program(name)?.end().await;
                Ok(())
            }
            ["start", name] => self.program(name)?.start(),
            ["hosts", number] => self.hosts(lattice, number.parse()?).await,
            // What a lost disk of NATS takes with it.
            ["wipe", "nats"] => Ok(std::fs::remove_dir_all(nats::files(&self.data))?),
            _ => anyhow::bail!(
                "`{line}` is none of deploy FILE, configure, kill|end|start NAME, hosts NUMBER, wipe nats"
            ),
        }
    }

    fn program(&mut self, name: &str) -> anyhow::Result<&mut Program> {
        let mut programs = self.programs.iter_mut();
        programs.find(|program| program.name == name).with_context(|| format!("there is no {name}"))
    }
}

/// Fills in free ports for zeros.
async fn ports<const N: usize>(wanted: [u16; N]) -> anyhow::Result<[u16; N]> {
    let mut ports = wanted;
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", *port)).await;
        let listener = listener.with_context(|| format!("the port {port} is taken; name another, or 0 for any"))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
