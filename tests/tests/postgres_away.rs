//! A database of Postgres that is away when the host starts, appears, goes and comes back; and hosts that share it
//! without being alike.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use souk_tests::{
    client::{Answer, Client},
    folder::Folder,
    postgres::Cluster,
    shop::{root, souk},
    wait::{SOON, eventually},
};

/// What needs the database.
const PRODUCTS: &str = "/api/v1/store/products";
/// The longest that a request may wait for a database that is away.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

/// A host that nobody waited for.
struct Host {
    child: Child,
    client: Client,
}

impl Host {
    fn start(data: &Path, database: &str) -> Host {
        Host::of(command(data, database))
    }

    fn of(mut command: Command) -> Host {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the host starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let said = lines.find_map(|line| line.split_once(" at http://").map(|(_, address)| address.to_owned()));
        let client = Client::at(&format!("http://{}", said.expect("it listens")));
        // Somebody must read on, or the host waits for its own log.
        std::thread::spawn(move || lines.for_each(drop));
        Host { child, client }
    }

    async fn is_ready(&self) -> bool {
        self.client.get("/readyz").await.status == 200
    }

    async fn wait_until_ready(&self) {
        eventually(SOON, "a ready host", async || self.is_ready().await.then_some(())).await;
        self.client.get(PRODUCTS).await.expect(200);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // One that has ended already is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `souk up` on a data directory of its own, which finds what other tests have compiled.
fn command(data: &Path, database: &str) -> Command {
    let shared = root().join("target/test-cache");
    fs::create_dir_all(&shared).expect("target/ takes a folder");
    fs::create_dir_all(data).expect("a fresh folder takes another");
    if !data.join("cache").exists() {
        symlink(shared, data.join("cache")).expect("a fresh folder takes a link");
    }
    let mut command = souk();
    command
        .args(["up", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"])
        .args(["--manifest".as_ref(), root().join("spin.toml").as_os_str()])
        .args(["--data".as_ref(), data.as_os_str()])
        .env("SOUK_SQL", database);
    command
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.problem().as_str()), (503, "unavailable"));
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_get_ready_by_themselves_whenever_their_database_is_there() {
    let (cluster, folder) = (Cluster::start(), Folder::new());
    let database = cluster.database();
    cluster.stop_immediately();
    let data = [folder.path().join("one"), folder.path().join("two")];
    let one = Host::start(&data[0], &database);
    fs::create_dir_all(&data[1]).expect("a fresh folder takes another");
    fs::copy(data[0].join("secrets.toml"), data[1].join("secrets.toml")).expect("the first host made them");
    let hosts = [one, Host::start(&data[1], &database)];
    for host in &hosts {
        assert_eq!(host.client.get("/healthz").await.status, 200);
        assert_eq!(host.client.get("/readyz").await.status, 503);
        assert_refused(&host.client.get(PRODUCTS).await);
    }

    // Both find it at once, and both bring the tables up to date.
    cluster.restart();
    for host in &hosts {
        host.wait_until_ready().await;
    }

    cluster.stop_immediately();
    for host in &hosts {
        eventually(SOON, "a host that is not ready", async || (!host.is_ready().await).then_some(())).await;
        let asked = Instant::now();
        assert_refused(&host.client.get(PRODUCTS).await);
        assert!(asked.elapsed() < REFUSED_WITHIN, "{:?}", asked.elapsed());
    }
    cluster.restart();
    for host in &hosts {
        host.wait_until_ready().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_other_secrets_does_not_share_a_database() {
    let (cluster, folder) = (Cluster::start(), Folder::new());
    let database = cluster.database();
    let data = ["one", "two", "three"].map(|name| folder.path().join(name));
    Host::start(&data[0], &database).wait_until_ready().await;

    let output = command(&data[1], &database).output().expect("the host starts");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("used with other secrets") && printed.contains("--variables"), "{printed}");

    // What the message says: the first host's secrets, as variables.
    fs::create_dir_all(&data[2]).expect("a fresh folder takes another");
    let mut given = command(&data[2], &database);
    given.args(["--variables".as_ref(), data[0].join("secrets.toml").as_os_str()]);
    Host::of(given).wait_until_ready().await;

    let mut replacing = command(&data[1], &database);
    replacing.arg("--replace-secrets");
    Host::of(replacing).wait_until_ready().await;
    Host::start(&data[1], &database).wait_until_ready().await;
    let output = command(&data[0], &database).output().expect("the host starts");
    assert_eq!(output.status.code(), Some(1), "its secrets are those of the past");
}
