//! A load balancer as small as can be: each connection goes to the next replica that takes it.
//!
//! A connection stays with its replica. When that is killed, its client sees what a client of a real balancer sees: an
//! answer that never comes.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{io::copy_bidirectional, net::TcpStream};

/// A balancer on a thread of its own, for as long as the test process lives.
pub struct Balancer {
    address: SocketAddr,
    replicas: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    /// Starts one that knows no replica yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a listener can be told not to block");
        let address = listener.local_addr().expect("it is bound");
        let replicas = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&replicas);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(balance(listener, known));
        });
        Self { address, replicas }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on connections go to these.
    pub fn send_to(&self, replicas: Vec<SocketAddr>) {
        *self.replicas.lock().unwrap_or_else(PoisonError::into_inner) = replicas;
    }
}

async fn balance(listener: TcpListener, replicas: Arc<Mutex<Vec<SocketAddr>>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((mut client, _)) = listener.accept().await {
        let (replicas, turn) = (Arc::clone(&replicas), Arc::clone(&turn));
        tokio::spawn(async move {
            let replicas = replicas.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let first = turn.fetch_add(1, Ordering::Relaxed);
            for place in 0..replicas.len() {
                let replica = replicas[(first + place) % replicas.len()];
                if let Ok(mut server) = TcpStream::connect(replica).await {
                    // Whichever side ends first, the other one notices by its own end of the connection.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}
