//! Pictures that the shop stores itself.

use crate::values::{CatalogError, MediaFile};
use souk_kit::types::Id;
use souk_kit::{Call, Sql};

use crate::domain::media;
use crate::store::{self, Commit};

/// Keeps a picture. The same content has the same id, so a repeat changes nothing.
pub fn put_media(ports: &impl Sql, call: &Call, file: &MediaFile) -> Result<Id, CatalogError> {
    media::check(file)?;
    let id = media::media_id(&file.bytes);
    if !store::media::exists(ports, &id)? {
        match store::media::put(ports, &id, file, call.now)? {
            Commit::Done => {}
            Commit::Missed => unreachable!("the batch has no guard"),
        }
    }
    Ok(id)
}

/// Reads a picture.
pub fn get_media(ports: &impl Sql, media_id: &Id) -> Result<MediaFile, CatalogError> {
    store::media::get(ports, media_id)?.ok_or(CatalogError::NotFound)
}
