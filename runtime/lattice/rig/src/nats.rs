//! The NATS server, with JetStream.

use std::path::{Path, PathBuf};

use crate::process::{Program, quotable};

/// Prepares the server. JetStream flushes every write: wadm and the hosts believe what it has acknowledged.
pub fn program(binary: &Path, data: &Path, port: u16) -> anyhow::Result<Program> {
    let config = format!(
        "listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
        quotable(&files(data))?
    );
    let path = data.join("nats.conf");
    std::fs::write(&path, config)?;
    Ok(Program::new("nats", data, [binary.as_os_str(), "-c".as_ref(), path.as_os_str()]))
}

/// Where the server keeps everything.
pub fn files(data: &Path) -> PathBuf {
    data.join("jetstream")
}
