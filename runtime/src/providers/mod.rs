//! What stands behind the ports: the store, and one file per port that is the host's own.
//!
//! [`Providers`] is the seam. The functions of the ports are asked here, whatever keeps the rows. It never knows
//! which component is asked for what reason.

use std::sync::Arc;

use anyhow::Context as _;
use souk_store::{Settings, Store};

use crate::ports::bindings::souk::shop::http_out::{HttpOutError, InResponse, OutRequest};
use crate::ports::bindings::souk::shop::passwords::{PasswordError, Verdict};
use crate::ports::{Grants, RequestInfo};
use http_out::HttpOut;
use passwords::Passwords;

pub use http_out::check_outbound_host;

mod http_out;
mod passwords;

/// Every provider of one host.
pub struct Providers {
    /// Rows, keys and events.
    pub store: Arc<Store>,
    http_out: HttpOut,
    passwords: Passwords,
}

impl Providers {
    /// Opens the store and registers what is counted.
    pub fn open(settings: Settings, registry: &prometheus::Registry) -> anyhow::Result<Arc<Providers>> {
        let passwords = Passwords::new(registry).context("cannot register the metrics of passwords")?;
        let store = Store::open(settings, registry)?;
        Ok(Arc::new(Providers { store, http_out: HttpOut::default(), passwords }))
    }

    /// `http-out.send`.
    pub async fn http_send(
        &self,
        grants: &Grants,
        info: &RequestInfo,
        request: OutRequest,
    ) -> Result<InResponse, HttpOutError> {
        self.http_out.send(grants, info, request).await
    }

    /// `passwords.hash`.
    pub async fn password_hash(&self, password: String) -> Result<String, PasswordError> {
        self.passwords.hash(password).await
    }

    /// `passwords.verify`.
    pub async fn password_verify(&self, password: String, hash: String) -> Result<Verdict, PasswordError> {
        self.passwords.verify(password, hash).await
    }
}
