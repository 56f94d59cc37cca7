//! A network between a store and its database that does what a test tells it to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The message that ends every flight of a store, and what the database answers to it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// What the network does. Whatever it does once, it passes everything afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Passes everything.
    Pass,
    /// Keeps all answers back until the store has sent the last message of a flight.
    AnswerAfterTheFlight,
    /// Cuts the connection when the store has sent so many bytes, which arrive.
    CutAfterBytes(usize),
    /// Cuts the connection when the database has committed, and keeps its answer.
    CutAfterTheCommit,
}

/// A network.
pub struct Proxy {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    listener: AbortHandle,
}

impl Proxy {
    /// Starts one that passes everything to a port of this machine.
    pub async fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("this machine has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mode = Arc::new(Mutex::new(Mode::Pass));
        let shared = Arc::clone(&mode);
        let task = tokio::spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let mode = Arc::clone(&shared);
                wires.spawn(async move {
                    // A wire that breaks is what some of these tests are about.
                    let _ = wire(client, port, &mode).await;
                });
            }
        });
        Proxy { address, mode, listener: task.abort_handle() }
    }

    /// The address of a database as it is seen through this network.
    pub fn through(&self, url: &str) -> String {
        let (_, rest) = url.split_once('@').expect("an address names its user");
        let (_, database) = rest.split_once('/').expect("an address names its database");
        // What is encrypted cannot be looked at.
        format!("postgres://souk@{}/{database}?sslmode=disable", self.address)
    }

    /// Says what the network does from now on.
    pub fn set(&self, mode: Mode) {
        *lock(&self.mode) = mode;
    }

    /// What the network does now.
    pub fn mode(&self) -> Mode {
        *lock(&self.mode)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn lock(mode: &Mutex<Mode>) -> std::sync::MutexGuard<'_, Mode> {
    mode.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, until either side or the mode ends it.
async fn wire(mut client: TcpStream, port: u16, mode: &Mutex<Mode>) -> std::io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    // Of the flight that the mode is about: what the client said, and what the server answered and the client did not get.
    let (mut said, mut held) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let now = *lock(mode);
                if now != Mode::Pass {
                    said.extend_from_slice(bytes);
                }
                match now {
                    Mode::CutAfterBytes(limit) if said.len() >= limit => {
                        let surplus = said.len() - limit;
                        server.write_all(&bytes[..bytes.len() - surplus.min(bytes.len())]).await?;
                        *lock(mode) = Mode::Pass;
                        return Ok(());
                    }
                    Mode::AnswerAfterTheFlight if holds(&said, COMMIT) => {
                        server.write_all(bytes).await?;
                        client.write_all(&held).await?;
                        // The next flight that a mode is about may come over this wire, too.
                        said.clear();
                        held.clear();
                        *lock(mode) = Mode::Pass;
                    }
                    _ => server.write_all(bytes).await?,
                }
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let now = *lock(mode);
                match now {
                    Mode::AnswerAfterTheFlight => held.extend_from_slice(bytes),
                    // What comes before it, a new connection needs to get there.
                    Mode::CutAfterTheCommit if holds(&said, COMMIT) => {
                        held.extend_from_slice(bytes);
                        if holds(&held, COMMITTED) {
                            *lock(mode) = Mode::Pass;
                            return Ok(());
                        }
                    }
                    Mode::Pass | Mode::CutAfterBytes(_) | Mode::CutAfterTheCommit => client.write_all(bytes).await?,
                }
            }
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
