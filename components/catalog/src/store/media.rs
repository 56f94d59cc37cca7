//! Pictures: their bytes in base64, since a cell is a text.

use crate::values::{CatalogError, MediaFile};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use souk_kit::Sql;
use souk_kit::sql::write;
use souk_kit::types::{Id, Instant};

use super::{Commit, commit, query};

/// Whether a picture is there.
pub fn exists(ports: &impl Sql, id: &Id) -> Result<bool, CatalogError> {
    let found = query(ports, vec![("SELECT id FROM catalog_media WHERE id = $1", vec![id.into()])], None)?;
    Ok(!found.results[0].packed.is_empty())
}

/// Reads a picture.
pub fn get(ports: &impl Sql, id: &Id) -> Result<Option<MediaFile>, CatalogError> {
    let sql = "SELECT content_type, base64 FROM catalog_media WHERE id = $1";
    let found = query(ports, vec![(sql, vec![id.into()])], None)?;
    Ok(found.results[0].first(|cells| MediaFile {
        content_type: cells.text(),
        bytes: STANDARD.decode(cells.str()).expect("this service wrote it in base64"),
    }))
}

/// Keeps a picture. The id says what it holds, so one that is there already is the same.
pub fn put(ports: &impl Sql, id: &Id, file: &MediaFile, now: Instant) -> Result<Commit, CatalogError> {
    let insert = write(
        "INSERT INTO catalog_media (id, content_type, base64, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        [id.into(), (&file.content_type).into(), STANDARD.encode(&file.bytes).into(), now.into()],
    );
    commit(ports, format!("put-media/{id}"), vec![insert], Vec::new())
}
