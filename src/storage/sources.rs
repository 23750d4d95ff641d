//! Large sources: where they belong, moving them there, and reading them.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::Storage;
use crate::blob::{BlobError, Content, Result as BlobResult};
use crate::domain::limits::DATABASE_SOURCE_BYTES_MAX;
use crate::domain::object::Place;
use crate::domain::text::hex;
use crate::error::Error;
use crate::store::{CodeVersionRow, Store};

/// What sources are.
const SOURCE_TYPE: &str = "text/plain; charset=utf-8";

/// Why a source was not moved.
#[derive(Debug)]
pub enum MoveFailure {
    /// Storage did not do its part.
    Storage(BlobError),
    /// The database did not.
    Database(Error),
}

impl From<BlobError> for MoveFailure {
    fn from(error: BlobError) -> Self {
        Self::Storage(error)
    }
}

impl From<Error> for MoveFailure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl Storage {
    /// Where large sources and logs belong: the cloud, else this machine's disk, unless other machines read them, too; then
    /// `None`, and they stay in the database.
    pub fn place_of_objects(&self, store: &Store) -> Option<Place> {
        match self.uses_cloud() {
            true => Some(Place::Cloud),
            false if store.is_shared() => None,
            false => Some(Place::Local),
        }
    }

    /// Moves the source of a version to where it belongs, unless it is there. Whoever reads it meanwhile finds it.
    ///
    /// # Errors
    /// What storage or the database says; then it is where it was.
    pub async fn move_source(
        &self,
        store: &Store,
        version: &CodeVersionRow,
    ) -> Result<Option<CodeVersionRow>, MoveFailure> {
        let Some(place) = self.place_of_objects(store) else { return Ok(None) };
        let is_there = version.object_place.is_some_and(|now| now == place || now == Place::Cloud);
        let is_small = u64::try_from(version.size_bytes).unwrap_or(0) <= DATABASE_SOURCE_BYTES_MAX.max;
        if is_there || is_small {
            return Ok(None);
        }
        let source = match version.object_place {
            Some(_) => self.read_object(version).await?,
            None => match store.source_of(version).await? {
                Some(source) => Bytes::from(source),
                // Somebody else has moved it.
                None => return Ok(None),
            },
        };
        let name = self.source(version.code_agent_id, version.number);
        self.put(place, &name, Content::Bytes(source), SOURCE_TYPE).await?;
        let moved = store.source_moved(version, name.key.as_str(), place).await?;
        if moved.is_none() {
            self.at(place)?.delete(&name).await?;
        } else if version.object_place == Some(Place::Local) {
            self.local().delete(&name).await?;
        }
        Ok(moved)
    }

    /// The source of a version that is an object.
    ///
    /// # Errors
    /// `UNAVAILABLE` when its storage does not give it now.
    pub async fn read_source(&self, version: &CodeVersionRow) -> crate::error::Result<Bytes> {
        self.read_object(version).await.map_err(|error| super::unavailable(&error))
    }

    async fn read_object(&self, version: &CodeVersionRow) -> BlobResult<Bytes> {
        let name = self.source(version.code_agent_id, version.number);
        let place = self.at(version.object_place.unwrap_or(Place::Cloud))?;
        let pieces: Vec<Bytes> = place.get(&name, None).await?.try_collect().await?;
        let source = pieces.concat();
        let sha256 = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &source).as_ref());
        if sha256 == version.sha256 {
            Ok(source.into())
        } else {
            Err(BlobError::Torn(format!("{name} is not what was published: its checksum differs")))
        }
    }
}
