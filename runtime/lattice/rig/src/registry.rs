//! A registry of images: the part of the OCI distribution protocol that a host pulls with, over a folder of files.
//!
//! Every file is an image by its name, with one layer, and has every tag. It is read anew for every pull, so a
//! component that was built again is served again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use serde_json::json;

use tokio::net::TcpListener;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const COMPONENT: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
const PROVIDER: &str = "application/vnd.wasmcloud.provider.archive.layer.v1+par";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What the images' names start with.
const PREFIX: &str = "souk/";

/// The images of a folder.
#[derive(Clone)]
pub struct Registry {
    folder: PathBuf,
    /// What was pulled, by digest.
    blobs: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl Registry {
    /// A registry of a folder's files.
    pub fn new(folder: &Path) -> Registry {
        Registry { folder: folder.to_owned(), blobs: Arc::default() }
    }

    /// Serves until the process ends.
    pub async fn serve(self, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let registry = self.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = registry.answer(request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let found = match path.strip_prefix("/v2/") {
            Some("") => Some(("application/json", Bytes::from_static(b"{}"))),
            Some(path) => match path.strip_prefix(PREFIX).and_then(|path| path.split_once('/')) {
                Some((name, wanted)) if wanted.starts_with("manifests/") => self.manifest(name),
                Some((_, wanted)) => wanted.strip_prefix("blobs/").and_then(|digest| self.blob(digest)),
                None => None,
            },
            None => None,
        };
        let Some((kind, body)) = found else {
            let mut response = Response::new(Full::new(Bytes::from_static(br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#)));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        let mut response = Response::new(Full::new(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    /// The manifest of an image, whose layer is kept until it is asked for.
    fn manifest(&self, name: &str) -> Option<(&'static str, Bytes)> {
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return None;
        }
        let component = std::fs::read(self.folder.join(format!("{name}.wasm"))).map(|file| (COMPONENT, file));
        let provider = || std::fs::read(self.folder.join(format!("{name}.par"))).map(|file| (PROVIDER, file));
        let (kind, file) = component.or_else(|_| provider()).ok()?;
        let layer = self.keep(kind, file.into());
        let config = self.keep(CONFIG, Bytes::from_static(b"{}"));
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        Some((MANIFEST, manifest.to_string().into()))
    }

    /// Keeps a blob and describes it.
    fn keep(&self, kind: &str, blob: Bytes) -> serde_json::Value {
        let hash = digest(&SHA256, &blob).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let digest = format!("sha256:{hash}");
        let size = blob.len();
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), blob);
        json!({ "mediaType": kind, "digest": digest, "size": size })
    }

    fn blob(&self, digest: &str) -> Option<(&'static str, Bytes)> {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        Some(("application/octet-stream", blobs.get(digest)?.clone()))
    }
}
