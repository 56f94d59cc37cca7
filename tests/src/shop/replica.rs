//! One process that serves a shop: our host or Spin.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::JoinHandle,
    time::Duration,
};

use crate::wait::eventually_blocking;

/// The longest from listening to being ready.
const READY_MAX: Duration = Duration::from_secs(60);

/// How docs/spin.md lets more requests run at once: races have up to 64.
const SPIN_GROWN: [(&str, &str); 3] = [
    ("SPIN_WASMTIME_TOTAL_MEMORIES", "4000"),
    ("SPIN_WASMTIME_TOTAL_TABLES", "8000"),
    ("SPIN_WASMTIME_TOTAL_CORE_INSTANCES", "16000"),
];

/// One process of our host, or of Spin, that listens and is ready.
pub struct Replica {
    pub(super) child: Child,
    /// What `kill` calls it: Spin starts another process, so it is a group.
    pub(super) target: String,
    pub(super) log: JoinHandle<String>,
    pub(super) public: SocketAddr,
    /// Where health and metrics are; on Spin, nowhere apart.
    pub(super) private: SocketAddr,
}

impl Replica {
    /// `spin up` with a manifest and a folder for its state. `command` is the program with the variables of the application.
    pub fn spin(mut command: Command, manifest: &Path, state: &Path) -> Self {
        // Spin asks itself at the address that it was given, so that is no port of the system's choice.
        let public = private_address();
        let mut child = command
            .args(["up", "--quiet", "--listen", &public.to_string()])
            .args(["--from".as_ref(), manifest.as_os_str()])
            .args(["--state-dir".as_ref(), state.as_os_str()])
            .envs(SPIN_GROWN)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("spin starts; is it on the PATH?");
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            // A reader that fails has read what there was.
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        wait_until_ready(public.into(), "/.well-known/spin/health");
        Self { target: format!("-{}", child.id()), child, log, public: public.into(), private: public.into() }
    }

    /// Where it is served.
    pub fn url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Tells it to end, and waits for that. Answers whether it ended well, and its log.
    pub fn stop(self) -> (bool, String) {
        self.signal("TERM");
        self.ended()
    }

    pub(super) fn ended(mut self) -> (bool, String) {
        let status = self.child.wait().expect("a process of ours can be waited for");
        (status.success(), self.log.join().expect("the reader of the log ends with the log"))
    }

    pub(super) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), "--", &self.target]).status();
        assert!(status.expect("kill can be run").success(), "a process of ours takes signals");
    }
}

/// Waits until a host that listens says that it is ready: tables are made after it listens when its database is far.
pub(super) fn wait_until_ready(public: SocketAddr, path: &str) {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(public)?;
        stream.set_read_timeout(Some(READY_MAX))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    eventually_blocking(READY_MAX, "a host that is ready", || {
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")).then_some(())
    });
}

/// An address that nobody else has: all of 127/8 is this machine, and a process id fits into three bytes. The port
/// is below those that the system gives out.
pub(super) fn private_address() -> SocketAddrV4 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let [high, a, b, c] = std::process::id().to_be_bytes();
    assert_eq!(high, 0, "process ids have at most 22 bits");
    let shop = u16::try_from(COUNT.fetch_add(1, Ordering::Relaxed) % 10_000).expect("below 10,000");
    SocketAddrV4::new(Ipv4Addr::new(127, a, b, c), 10_000 + shop)
}
