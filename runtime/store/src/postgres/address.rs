//! Where the database is, and how it is reached: the address and what its `sslmode` means.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Client, Config, Connection, Error, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long data may stay unacknowledged, and a connection silent, before it counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A parsed address.
pub(super) struct Address {
    config: Config,
    tls: MakeRustlsConnect,
}

/// What a parsed address connects to.
type Connected = (Client, Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>);

impl Address {
    /// Reads `postgres://user:password@host:port/database?sslmode=...`, with the parameters of libpq.
    ///
    /// `sslmode` is one of `disable`, `prefer` (when none is given), `require` and `verify-full`. The certificate of the
    /// server is checked with `verify-full`, against `sslrootcert` or the system's authorities.
    pub(super) fn parse(url: &str) -> anyhow::Result<Address> {
        anyhow::ensure!(
            url.starts_with("postgres://") || url.starts_with("postgresql://"),
            "the address of a database starts with postgres://"
        );
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut kept = Vec::new();
        let (mut verify, mut roots) = (false, None);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", "verify-full")) => {
                    verify = true;
                    kept.push("sslmode=require");
                }
                Some(("sslmode", "verify-ca")) => anyhow::bail!("sslmode=verify-ca is not known; use verify-full"),
                Some(("sslrootcert", path)) => roots = Some(Path::new(path)),
                _ => kept.push(parameter),
            }
        }
        anyhow::ensure!(verify || roots.is_none(), "sslrootcert needs sslmode=verify-full");
        let mut config = Config::from_str(&format!("{place}?{}", kept.join("&")))
            .context("the address of the database is malformed; write postgres://user:password@host:port/database")?;
        anyhow::ensure!(config.get_dbname().is_some(), "the address names no database");
        // What is decided is decided on the primary.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("souk");
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        config.keepalives_idle(SILENCE_MAX).keepalives_interval(SILENCE_MAX);
        Ok(Address { config, tls: tls(verify, roots)? })
    }

    /// Connects. Whoever called drives the connection.
    pub(super) async fn connect(&self) -> Result<Connected, Error> {
        self.config.connect(self.tls.clone()).await
    }
}

fn tls(verify: bool, roots: Option<&Path>) -> anyhow::Result<MakeRustlsConnect> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match (verify, roots) {
        (false, _) => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        (true, Some(path)) => builder.with_root_certificates(read_roots(path)?),
        (true, None) => {
            let verifier = rustls_platform_verifier::Verifier::new(provider)
                .context("the system's certificate authorities cannot be read")?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn read_roots(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let unreadable = || format!("cannot read the certificates in {}", path.display());
    for certificate in CertificateDer::pem_file_iter(path).with_context(unreadable)? {
        roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
    }
    Ok(roots)
}

/// Takes any certificate, as `prefer` and `require` are defined to: they keep out listeners, not impostors.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn a_malformed_address_is_refused_with_its_reason() {
        for (url, expected) in [
            ("postgres://souk@127.0.0.1:5432/shop", None),
            ("postgresql://souk:secret@one,two/shop?sslmode=require", None),
            ("postgres://souk@db/shop?sslmode=verify-full&application_name=x", None),
            ("postgres:///shop?host=/run/postgresql&user=souk&sslmode=disable", None),
            ("mysql://souk@db/shop", Some("starts with postgres://")),
            ("postgres://souk@db", Some("names no database")),
            ("postgres://souk@db:port/shop", Some("malformed")),
            ("postgres://souk@db/shop?sslmode=verify-ca", Some("use verify-full")),
            ("postgres://souk@db/shop?sslmode=maybe", Some("malformed")),
            ("postgres://souk@db/shop?sslrootcert=/x", Some("needs sslmode=verify-full")),
            ("postgres://souk@db/shop?sslmode=verify-full&sslrootcert=/missing", Some("cannot read")),
        ] {
            match (Address::parse(url), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(expected)) => {
                    let reason = format!("{error:#}");
                    assert!(reason.contains(expected) && !reason.contains("secret"), "{url}: {reason}");
                }
                (answer, _) => panic!("{url}: {:?}", answer.err()),
            }
        }
    }
}
