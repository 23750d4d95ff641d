//! The objects of logs and of visual sessions: `job-{executionId}.log` and `job-{executionId}.visual.ndjson` in the bucket
//! of logs.

use std::ops::Range;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::{Storage, unavailable, word};
use crate::blob::{BlobError, Result as BlobResult};
use crate::domain::object::{ObjectKey, ObjectName, Place};
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::monitor::{self, ObjectKind};

/// What both are: JSON lines.
const LOG_TYPE: &str = "application/x-ndjson";

impl Storage {
    /// The log of an execution, or its visual session.
    pub fn log(&self, kind: StreamKind, execution_id: Uuid) -> ObjectName {
        let key = match kind {
            StreamKind::Log => ObjectKey::log(execution_id),
            StreamKind::Visual => ObjectKey::visual(execution_id),
        };
        ObjectName { bucket: self.0.buckets.logs.clone(), key }
    }

    /// Whether adding to an object at this place means to send all of it again.
    pub fn rewrites(&self, place: Place) -> bool {
        self.at(place).is_ok_and(|store| store.rewrites())
    }

    /// Makes the object of a log end with `lines`, which begin at `offset`.
    ///
    /// # Errors
    /// What storage says.
    pub async fn append_log(
        &self,
        place: Place,
        (kind, execution_id): (StreamKind, Uuid),
        offset: u64,
        lines: Bytes,
    ) -> BlobResult<()> {
        let name = self.log(kind, execution_id);
        let store = self.to_send_to(place, &name.bucket).await?;
        let bytes = lines.len() as u64;
        let appended = store.append(&name, offset, lines, LOG_TYPE).await;
        if appended.is_ok() {
            monitor::object_sent(object_kind(kind), bytes);
        }
        self.noting_missing_bucket(place, &name.bucket, appended)
    }

    /// Notes that nobody waits any more for lines to be added to an object at this place.
    pub fn gave_up_appending(&self, place: Place) {
        monitor::storage_failed(word(place), "append");
    }

    /// Some bytes of the object of a log.
    ///
    /// # Errors
    /// `UNAVAILABLE` when storage does not give them now; `NOT_FOUND` when the object is gone.
    pub async fn read_log(
        &self,
        place: Place,
        (kind, execution_id): (StreamKind, Uuid),
        bytes: Range<u64>,
    ) -> Result<Vec<u8>> {
        let length = bytes.end - bytes.start;
        let read = async {
            let pieces: Vec<Bytes> =
                self.at(place)?.get(&self.log(kind, execution_id), Some(bytes)).await?.try_collect().await?;
            let read = pieces.concat();
            if read.len() as u64 == length {
                return Ok(read);
            }
            Err(BlobError::Torn(format!(
                "the log or visual session of {execution_id} is shorter than what was archived"
            )))
        };
        read.await.map_err(|error| match error {
            // By a rule of the bucket, or by hand: nothing brings it back.
            BlobError::NotFound => Error::NotFound { what: missing(kind) },
            error => unavailable(&error),
        })
    }
}

fn missing(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Log => "log, which has expired or was removed from storage,",
        StreamKind::Visual => "visual session, which has expired or was removed from storage,",
    }
}

fn object_kind(kind: StreamKind) -> ObjectKind {
    match kind {
        StreamKind::Log => ObjectKind::Log,
        StreamKind::Visual => ObjectKind::Visual,
    }
}
