//! Objects: archives of generations, large sources. One trait, and one suite of tests that every backend passes.
//!
//! What a [`BlobStore`] promises, whichever it is:
//! - **Whole or not there.** [`put`](BlobStore::put) replaces an object at once. Who reads meanwhile gets the old bytes or
//!   the new ones, never a mixture; a put that is cut off leaves the old object, or none.
//! - **Checked and durable.** When it returns `Ok`, storage has exactly these bytes: their number and checksum were compared
//!   with what storage says it has.
//! - **Repeatable.** Every call can be made again: putting the same, deleting what is gone and making a bucket that is
//!   there are no errors. No call retries for long by itself: whoever calls decides, by [`BlobError::retry`].
//! - **Private.** A bucket that the public can read is refused.

mod checksum;
mod content;
mod error;
mod local;
mod rewrite;
mod s3;
mod supabase;
#[cfg(test)]
mod tests;
mod watched;
mod wire;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::Url;

use crate::config::Cloud;
use crate::domain::object::{Bucket, ObjectName};

pub use content::Content;
pub use error::{BlobError, Retry};
pub use local::{LOCAL_FOLDER, Local};
pub use watched::watched;

/// The result of asking storage for something.
pub type Result<T, E = BlobError> = std::result::Result<T, E>;

/// The bytes of an object, in pieces.
pub type Pieces = BoxStream<'static, Result<Bytes>>;

/// What storage says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key, as storage spells it.
    pub key: String,
    /// Its size.
    pub size_bytes: u64,
}

/// A place for objects; see the promises above.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync {
    /// Whether the bucket is there and private; makes and changes nothing.
    ///
    /// # Errors
    /// [`BlobError::NoBucket`]; [`BlobError::Public`] for one that the public can read.
    async fn check_bucket(&self, bucket: &Bucket) -> Result<()>;

    /// Makes the bucket, private, when it is missing.
    ///
    /// # Errors
    /// [`BlobError::Public`] for one that the public can read.
    async fn ensure_bucket(&self, bucket: &Bucket) -> Result<()>;

    /// Stores an object, in place of the one with this name.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] for more than storage takes; [`BlobError::NoBucket`]; [`BlobError::Torn`] when what
    /// storage has afterwards is something else.
    async fn put(&self, name: &ObjectName, content: Content, content_type: &str) -> Result<()>;

    /// Makes an object what its first `offset` bytes are, followed by `tail`. Those bytes are there already; what comes
    /// after them is the `tail` of an earlier attempt, or nothing. Its first `offset` bytes are never touched: whoever
    /// reads them meanwhile sees nothing else. In a cloud, `tail` appears all at once; on a disk it may be seen growing.
    ///
    /// One writer at a time. A write that was given up may still arrive late; it does not take back what was appended
    /// after it, except in clouds that know no conditions.
    ///
    /// # Errors
    /// [`BlobError::Torn`] when the object is shorter than `offset`, or not what was written afterwards;
    /// [`BlobError::NoBucket`]; [`BlobError::Unavailable`] also when somebody else has written it meanwhile.
    async fn append(&self, name: &ObjectName, offset: u64, tail: Bytes, content_type: &str) -> Result<()>;

    /// Whether [`append`](Self::append) sends all of the object again, whatever its size.
    fn rewrites(&self) -> bool;

    /// Has storage itself delete the logs of a bucket this many days after they were last written, or no more when
    /// `days` is `None`. What others have arranged for the bucket stays as it is. Says whether storage does so from now
    /// on: `false` from one that has no such rules, or does not let us make them.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    async fn ensure_retention(&self, bucket: &Bucket, days: Option<u32>) -> Result<bool>;

    /// The bytes of an object, or of a range of it: what of it exists, empty when that is nothing.
    ///
    /// # Errors
    /// [`BlobError::NotFound`].
    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Pieces>;

    /// What there is under this name.
    ///
    /// # Errors
    /// What storage says; a missing object is none.
    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>>;

    /// Deletes an object; one that is not there is no error.
    ///
    /// # Errors
    /// What storage says.
    async fn delete(&self, name: &ObjectName) -> Result<()>;

    /// The objects whose keys begin with `prefix`, in no order, however many.
    ///
    /// # Errors
    /// What storage says, also in the middle.
    async fn list(&self, bucket: &Bucket, prefix: &str) -> Result<BoxStream<'static, Result<ObjectInfo>>>;

    /// A link that lets whoever has it download this object, under `file_name`, until it expires; `None` from a storage
    /// that cannot sign. S3's links live a week at most.
    ///
    /// # Errors
    /// What storage says; of a missing object, some say so only to whoever follows the link.
    async fn sign_get(&self, name: &ObjectName, expires_in: Duration, file_name: &str)
    -> Result<Option<Url>>;
}

/// The store of a cloud storage. Nothing is asked of it yet.
///
/// # Errors
/// [`BlobError::Refused`] for settings that no client can be made of.
pub fn open(cloud: &Cloud) -> Result<Arc<dyn BlobStore>> {
    open_with(cloud, wire::Patience::default())
}

fn open_with(cloud: &Cloud, patience: wire::Patience) -> Result<Arc<dyn BlobStore>> {
    let wire = wire::Wire::new(patience)?;
    Ok(match cloud {
        Cloud::S3(settings) => Arc::new(s3::S3::new(settings, wire)),
        Cloud::Supabase(settings) => Arc::new(supabase::Supabase::new(settings, wire)?),
    })
}

/// The value of `Content-Disposition` that has a browser save a file under this name. What could end the name early or
/// cannot be in a header becomes `_`.
pub fn attachment(file_name: &str) -> String {
    format!("attachment; filename=\"{}\"", plain_file_name(file_name))
}

fn plain_file_name(file_name: &str) -> String {
    let is_plain = |character: &char| {
        character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '/' | '%') || *character == ' '
    };
    file_name.chars().map(|character| if is_plain(&character) { character } else { '_' }).collect()
}
