//! Where objects are: on this machine, in cloud storage, or both.
//!
//! What is saved is first made durable on this machine, in the folder `objects` of the data folder. Cloud storage gets
//! it behind the call, by a job; from then on the copy here is one of many that the cache may drop. So there are two
//! folders with one rule: what is in `objects` may be nowhere else, and what is in the cache is in the cloud, too.
//!
//! [`Copies`] keeps the files of both, [`Storage`] knows which storage is configured, [`Links`] signs downloads.

mod clean;
mod copies;
mod fetch;
mod links;
mod logs;
mod node;
mod sources;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use crate::blob::{self, BlobError, BlobStore, Content, LOCAL_FOLDER, Result as BlobResult};
use crate::config;
use crate::domain::object::{Bucket, ObjectKey, ObjectName, Place};
use crate::error::{Error, Result};
use crate::monitor::{self, ObjectKind};

pub use clean::Kept;
pub use copies::{Copies, Finished, Staged};
pub use links::{LINK_KEY_BYTES, Link, Linkable, Linked, Links};
pub use sources::MoveFailure;

/// The folder of the data folder for files that are being made.
const STAGING_FOLDER: &str = "staging";

const SWITCHED_OFF: &str = "it goes to cloud storage, which is switched off or not configured now";
const NOT_CONFIGURED: &str = "it is in cloud storage, which is not configured now";

/// The storages that are configured. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Storage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    local: Arc<dyn BlobStore>,
    cloud: Option<Arc<dyn BlobStore>>,
    uses_cloud: bool,
    buckets: config::Buckets,
    copies: Copies,
    data_dir: PathBuf,
    node_id: Uuid,
    /// The buckets that are there, and private.
    private: Mutex<HashSet<(Place, Bucket)>>,
}

impl Storage {
    /// Opens what is configured, without asking the cloud anything.
    ///
    /// # Errors
    /// When a folder cannot be made, or the settings of the cloud make no sense together.
    pub async fn open(settings: &config::Storage, data_dir: &Path) -> Result<Self> {
        let objects = data_dir.join(LOCAL_FOLDER);
        let copies = Copies::open(objects.clone(), data_dir.join(STAGING_FOLDER), settings.cache.clone())?;
        let cloud = settings.cloud.as_ref().map(blob::open).transpose().map_err(Error::internal)?;
        let cloud = cloud.map(|cloud| blob::watched(word(Place::Cloud), cloud));
        let local = blob::Local::open(objects).await.map_err(Error::internal)?;
        Ok(Self(Arc::new(Inner {
            local: blob::watched(word(Place::Local), Arc::new(local)),
            uses_cloud: settings.uses_cloud && cloud.is_some(),
            cloud,
            buckets: settings.buckets.clone(),
            copies,
            data_dir: data_dir.to_owned(),
            node_id: node::node_of(data_dir)?,
            private: Mutex::default(),
        })))
    }

    /// Whether new objects go to the cloud.
    pub fn uses_cloud(&self) -> bool {
        self.0.uses_cloud
    }

    /// Cloud storage, if new objects go there.
    pub fn upload_to(&self) -> Option<&Arc<dyn BlobStore>> {
        self.0.cloud.as_ref().filter(|_| self.0.uses_cloud)
    }

    /// Cloud storage, to read what is there already: also when nothing new goes there.
    pub fn cloud(&self) -> Option<&Arc<dyn BlobStore>> {
        self.0.cloud.as_ref()
    }

    /// Where new objects at this place go, once their bucket is known to be there and private: before anything is sent to it,
    /// also when the cloud was away at the start.
    ///
    /// # Errors
    /// What storage says. Nothing new goes to a cloud that is switched off.
    pub async fn to_send_to(&self, place: Place, bucket: &Bucket) -> BlobResult<&Arc<dyn BlobStore>> {
        let store = match place {
            Place::Local => self.local(),
            Place::Cloud => self.upload_to().ok_or_else(|| BlobError::unavailable(SWITCHED_OFF))?,
        };
        let known = (place, bucket.clone());
        if !copies::lock(&self.0.private).contains(&known) {
            store.ensure_bucket(bucket).await?;
            copies::lock(&self.0.private).insert(known);
        }
        Ok(store)
    }

    /// Stores an object at this place.
    ///
    /// # Errors
    /// What storage says. A bucket that has gone since it was known is made by the next attempt.
    pub async fn put(
        &self,
        place: Place,
        name: &ObjectName,
        content: Content,
        content_type: &str,
    ) -> BlobResult<()> {
        let store = self.to_send_to(place, &name.bucket).await?;
        let bytes = content.size_bytes().await?;
        let put = store.put(name, content, content_type).await;
        if put.is_ok() {
            let is_source = name.bucket == self.0.buckets.code;
            let kind = if is_source { ObjectKind::Source } else { ObjectKind::Generation };
            monitor::object_sent(kind, bytes);
        }
        self.noting_missing_bucket(place, &name.bucket, put)
    }

    fn noting_missing_bucket(&self, place: Place, bucket: &Bucket, sent: BlobResult<()>) -> BlobResult<()> {
        if let Err(BlobError::NoBucket(_)) = sent {
            copies::lock(&self.0.private).remove(&(place, bucket.clone()));
        }
        sent
    }

    /// Where the objects at this place are read.
    fn at(&self, place: Place) -> BlobResult<&Arc<dyn BlobStore>> {
        match place {
            Place::Local => Ok(self.local()),
            Place::Cloud => self.cloud().ok_or_else(|| BlobError::unavailable(NOT_CONFIGURED)),
        }
    }

    /// This machine's disk.
    pub fn local(&self) -> &Arc<dyn BlobStore> {
        &self.0.local
    }

    /// The buckets that must be there.
    pub fn buckets(&self) -> [&Bucket; 3] {
        let config::Buckets { projects, code, logs } = &self.0.buckets;
        [projects, code, logs]
    }

    /// Whether the objects on this machine belong to this database: they do if nobody has said otherwise, and from then on to
    /// no other.
    ///
    /// # Errors
    /// What the disk says.
    pub fn is_of(&self, database_id: Uuid) -> Result<bool> {
        Ok(node::database_of(&self.0.data_dir, database_id)? == database_id)
    }

    /// The bucket of archives.
    pub fn archive_bucket(&self) -> &Bucket {
        &self.0.buckets.projects
    }

    /// The bucket of sources.
    pub fn code_bucket(&self) -> &Bucket {
        &self.0.buckets.code
    }

    /// The bucket of logs.
    pub fn log_bucket(&self) -> &Bucket {
        &self.0.buckets.logs
    }

    /// The files on this machine.
    pub fn copies(&self) -> &Copies {
        &self.0.copies
    }

    /// Which server this is, of those on one database: the same after a restart, because it stands in the data folder.
    pub fn node_id(&self) -> Uuid {
        self.0.node_id
    }

    /// The archive of a generation.
    pub fn archive(&self, project_id: Uuid, version: i32, generation_id: Uuid) -> ObjectName {
        let key = ObjectKey::generation(project_id, version, generation_id);
        ObjectName { bucket: self.0.buckets.projects.clone(), key }
    }

    /// The source of a version of a code agent.
    pub fn source(&self, code_agent_id: Uuid, number: i32) -> ObjectName {
        ObjectName { bucket: self.0.buckets.code.clone(), key: ObjectKey::source(code_agent_id, number) }
    }
}

/// As metrics name it.
fn word(place: Place) -> &'static str {
    match place {
        Place::Local => "local",
        Place::Cloud => "cloud",
    }
}

/// What a caller is told when storage does not do what they need now.
pub fn unavailable(error: &BlobError) -> Error {
    Error::Unavailable {
        message: "object storage cannot do this right now; try again".into(),
        cause: Some(error.to_string()),
    }
}
