//! A private PostgreSQL: servers of the tests' own, in temporary folders, on free ports of this machine.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::MetadataExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use rusqlite::Connection;
use tokio_postgres::{Client, NoTls, types::Type};

/// Where Debian keeps the programs of the server.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// The user that a server runs as where root starts it, which it refuses.
const USER: &str = "postgres";
/// How often another port is tried when somebody else took the free one first.
const STARTS_MAX: u32 = 5;

/// Makes a server, and then does what each line of the standard input says: `start PORT` or `stop`. When that ends, with this
/// process however it ends, so does the server, and its folder goes. Each answer is one line.
///
/// Settings are those of a server that keeps what it acknowledges; only deadlocks are looked for sooner than usual.
const SUPERVISOR: &str = r#"
trap '' INT HUP TERM
folder=$(mktemp -d "${TMPDIR:-/tmp}/souk-postgres-XXXXXX") || exit 1
exec 2>"$folder/log"
cd "$folder"
if timeout 120 "$1/initdb" -D data -U admin -A trust --locale=C --encoding=UTF8 --no-sync >>log 2>&1; then
  echo ok "$folder"
else
  echo "failed: $(tail -n 5 log)" | tr '\n' ' '
  echo
fi
cat >tls <<END
[req]
distinguished_name = name
[name]
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost
END
openssl req -x509 -config tls -extensions server -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
  -keyout data/server.key -out data/server.crt >>log 2>&1
cat >>data/postgresql.conf <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
max_connections = 300
fsync = on
deadlock_timeout = 200ms
ssl = on
END
while read -r verb port; do
  case $verb in
    start) "$1/pg_ctl" -D data -l log -w -t 60 -o "-p $port" start >>log 2>&1 </dev/null ;;
    stop) "$1/pg_ctl" -D data -w -t 60 -m immediate stop >>log 2>&1 ;;
  esac && echo ok || { echo "failed: $(tail -n 5 log)" | tr '\n' ' '; echo; }
done
"$1/pg_ctl" -D data -w -t 60 -m immediate stop >>log 2>&1
cd / && rm -rf "$folder"
"#;

/// A server with databases for tests.
pub struct Cluster {
    supervisor: Mutex<Supervisor>,
    port: u16,
    folder: String,
    databases: AtomicU32,
}

struct Supervisor {
    child: Child,
    /// Dropped first of all when the cluster is, which ends the server.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// The server that the tests of this process share.
    pub fn shared() -> &'static Cluster {
        static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);
        &SHARED
    }

    /// Starts a server of one's own, for a test that breaks it.
    pub fn start() -> Cluster {
        let mut supervisor = Supervisor::start();
        let folder = supervisor.answer().unwrap_or_else(|why| panic!("no server can be made: {why}"));
        let port = (1..=STARTS_MAX)
            .find_map(|attempt| {
                let port = free_port();
                match supervisor.order(&format!("start {port}")) {
                    Ok(_) => Some(port),
                    Err(why) => {
                        assert!(attempt < STARTS_MAX, "the server does not start: {why}");
                        None
                    }
                }
            })
            .expect("the last attempt answers or fails the test");
        let cluster = Cluster { supervisor: Mutex::new(supervisor), port, folder, databases: AtomicU32::new(0) };
        // What a shop needs of a user: databases of its own, and to make roles.
        cluster.admin("CREATE ROLE souk LOGIN CREATEROLE");
        cluster
    }

    /// Makes an empty database and answers its address, with a user that owns it and is no administrator.
    pub fn database(&self) -> String {
        self.database_with("")
    }

    /// The same with options of `CREATE DATABASE`.
    pub fn database_with(&self, options: &str) -> String {
        let name = format!("shop_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.admin(&format!("CREATE DATABASE {name} OWNER souk {options}"));
        format!("postgres://souk@127.0.0.1:{}/{name}", self.port)
    }

    /// The port of the server on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the server, which is its own authority.
    pub fn certificate(&self) -> String {
        format!("{}/data/server.crt", self.folder)
    }

    /// Ends the server in the middle of whatever it does, as a crash would.
    pub fn stop_immediately(&self) {
        self.order("stop");
    }

    /// Starts it again, on the same port and data.
    pub fn restart(&self) {
        self.order(&format!("start {}", self.port));
    }

    /// Crashes it and starts it again.
    pub fn restart_immediately(&self) {
        self.stop_immediately();
        self.restart();
    }

    /// Runs SQL as the administrator, each statement by itself.
    pub fn admin(&self, sql: &str) {
        run(&format!("postgres://admin@127.0.0.1:{}/postgres", self.port), sql);
    }

    fn order(&self, order: &str) {
        let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        supervisor.order(order).unwrap_or_else(|why| panic!("{order}: {why}"));
    }
}

impl Supervisor {
    fn start() -> Supervisor {
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let mut command = match is_root {
            true => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups", "sh"]);
                command
            }
            false => Command::new("sh"),
        };
        let mut child = command
            .args(["-c", SUPERVISOR, "sh", PROGRAMS])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        let answers = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let orders = child.stdin.take();
        Supervisor { child, orders, answers }
    }

    fn order(&mut self, order: &str) -> Result<String, String> {
        let orders = self.orders.as_mut().expect("it is there until the cluster is dropped");
        writeln!(orders, "{order}").map_err(|error| format!("the supervisor is gone: {error}"))?;
        self.answer()
    }

    /// The next answer: what stands behind `ok`.
    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| error.to_string())?;
        match line.trim_end().strip_prefix("ok") {
            Some(answer) => Ok(answer.trim().to_owned()),
            None => Err(line),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends by itself; what it could not end lies in the system's temporary directory.
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("this machine has free ports");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Runs SQL in a database, each statement by itself.
pub fn run(url: &str, sql: &str) {
    let sql = sql.to_owned();
    ask(url, async move |client| client.batch_execute(&sql).await);
}

/// One number from a database.
pub fn number(url: &str, sql: &str) -> i64 {
    let sql = sql.to_owned();
    ask(url, async move |client| client.query_one(&sql, &[]).await?.try_get(0))
}

/// Runs SQL in a database, or answers why it was refused.
pub fn attempt(url: &str, sql: &str) -> Result<(), String> {
    let sql = sql.to_owned();
    ask(url, async move |client| {
        let done = client.batch_execute(&sql).await;
        Ok(done.map_err(|error| error.as_db_error().map_or(error.to_string(), |error| error.message().to_owned())))
    })
}

/// Does something on a connection of its own, on a thread that may wait.
fn ask<T: Send>(url: &str, work: impl AsyncFnOnce(Client) -> Result<T, tokio_postgres::Error> + Send) -> T {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            let driver = tokio::spawn(connection);
            let answer = work(client).await;
            driver.abort();
            answer
        })
    };
    let answer = std::thread::scope(|scope| scope.spawn(ask).join()).expect("asking has no reason to panic");
    answer.unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

/// The tables of a shop that are in the database.
const TABLES: &str = "
    SELECT n.nspname::TEXT, c.relname::TEXT, CASE n.nspname WHEN 'souk' THEN 'souk_' || c.relname ELSE c.relname END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND (n.nspname = 'souk' OR starts_with(n.nspname::TEXT, 'souk_'))";

/// The columns of each index of a table.
const INDEXES: &str = "
    SELECT string_agg(format('%I', a.attname), ', ' ORDER BY k.place)
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (number, place), pg_attribute a
    WHERE i.indrelid = to_regclass($1) AND a.attrelid = i.indrelid AND a.attnum = k.number GROUP BY i.indexrelid";

/// Copies all tables of a shop, as they are at one moment, into a database in memory, under the names that they have in SQLite,
/// with indexes, so that what is looked up often is found.
pub fn copy(url: &str) -> Connection {
    // The rows of services belong to their roles.
    let url = url.replace("//souk@", "//admin@");
    ask(&url, async |client| {
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let copy = Connection::open_in_memory().expect("there is memory");
        for table in client.query(TABLES, &[]).await? {
            let (schema, table, name): (&str, &str, &str) = (table.get(0), table.get(1), table.get(2));
            copy_table(&client, &copy, &format!("\"{schema}\".\"{table}\""), name).await?;
        }
        Ok(copy)
    })
}

async fn copy_table(client: &Client, copy: &Connection, from: &str, to: &str) -> Result<(), tokio_postgres::Error> {
    // Instants of the database's own clock become texts.
    let read = client.prepare(&format!("SELECT * FROM {from}")).await?;
    let columns: Vec<String> = read.columns().iter().map(|column| format!("\"{}\"", column.name())).collect();
    let as_told: Vec<String> = read
        .columns()
        .iter()
        .zip(&columns)
        .map(|(column, name)| if *column.type_() == Type::INT8 { name.clone() } else { format!("{name}::TEXT") })
        .collect();
    copy.execute_batch(&format!("CREATE TABLE \"{to}\" ({})", columns.join(", "))).expect("the names fit");
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    let mut insert =
        copy.prepare(&format!("INSERT INTO \"{to}\" VALUES ({})", places.join(", "))).expect("the table is there");
    for row in client.query(&format!("SELECT {} FROM {from}", as_told.join(", ")), &[]).await? {
        let cells = row.columns().iter().enumerate().map(|(place, column)| match *column.type_() {
            Type::INT8 => row.get::<_, Option<i64>>(place).map(rusqlite::types::Value::Integer),
            _ => row.get::<_, Option<String>>(place).map(rusqlite::types::Value::Text),
        });
        insert.execute(rusqlite::params_from_iter(cells)).expect("the row fits");
    }
    for (place, index) in client.query(INDEXES, &[&from]).await?.iter().enumerate() {
        let create = format!("CREATE INDEX \"{to}_{place}\" ON \"{to}\" ({})", index.get::<_, &str>(0));
        copy.execute_batch(&create).expect("the columns are there");
    }
    Ok(())
}
