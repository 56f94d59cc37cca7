//! One NATS and one Postgres for all cases of this process.

use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use souk_lattice::{nats, postgres};
use tokio::net::TcpStream;

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(60);
/// How often it is asked whether it does.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Where the servers are.
#[derive(Clone, Copy)]
pub struct Servers {
    /// The port of NATS.
    pub nats: u16,
    /// The port of Postgres.
    pub postgres: u16,
}

/// The servers, started by the first who asks.
pub fn servers() -> Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    *SERVERS.get_or_init(|| {
        let (started, told) = std::sync::mpsc::channel();
        // The kernel ends them when the thread that started them ends: this one stays as long as the process.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let running = start().await;
                started.send(running.servers).expect("the first who asked waits");
                std::future::pending::<()>().await;
                drop(running.programs);
            });
        });
        told.recv().expect("the servers start")
    })
}

struct Running {
    servers: Servers,
    programs: [souk_lattice::process::Program; 2],
}

async fn start() -> Running {
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports");
    // What the run before left.
    let _gone = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).expect("the target folder can be written");
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/lattice/nats/bin/nats-server");
    let servers = Servers { nats: free(), postgres: free() };
    let mut nats = nats::program(&binary, &data, servers.nats).expect("a config for NATS");
    let mut postgres = postgres::program(&data, servers.postgres).await.expect("a cluster");
    // Nothing here outlives a power cut.
    postgres.command.extend(["-c", "fsync=off"].map(Into::into));
    nats.start().expect("NATS starts: `runtime/lattice/setup.sh` installs it");
    postgres.start().expect("Postgres starts");
    let deadline = Instant::now() + START_MAX;
    while TcpStream::connect(("127.0.0.1", servers.nats)).await.is_err() || !postgres::ready(servers.postgres).await {
        nats.check().expect("NATS goes on");
        postgres.check().expect("Postgres goes on");
        assert!(Instant::now() < deadline, "NATS or Postgres is not there after {START_MAX:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
    Running { servers, programs: [nats, postgres] }
}

fn free() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
