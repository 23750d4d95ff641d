//! A call with a file, by the GraphQL multipart request specification.
//!
//! The file is read in pieces while it is sent, each from where it is in the file, so that a call that was given up and
//! still reads does not disturb the next one. Its size is known, so the server can refuse it before it has come.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::Body;
use serde::Serialize;
use serde_json::json;

use super::ClientError;

/// What is read of a file at once.
const PIECE_BYTES: usize = 64 * 1024;
/// A connection slower than this is given up: 64 KiB in a second.
const BYTES_PER_SECOND_MIN: u64 = 64 * 1024;
/// How long the server may take besides: it reads the file again, and stores it.
const STORE_TIME: Duration = Duration::from_secs(120);

/// A file that is the value of a variable.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The path of the variable, such as `variables.input.archive`. It must be null in the call's variables.
    pub variable: &'static str,
    /// What it is called.
    pub file_name: String,
    /// What it is, such as `application/gzip`.
    pub content_type: &'static str,
    /// Its content, which does not change meanwhile.
    pub file: Arc<File>,
    /// How much of the file is sent, from its start.
    pub size_bytes: u64,
}

/// The body of a multipart request.
pub(super) struct Multipart {
    pub content_type: String,
    pub content_length: u64,
    pub body: Body,
    /// How long the call may take.
    pub timeout: Duration,
}

impl Upload {
    /// The body of a call of `operations` with this file.
    pub(super) fn body(&self, operations: &impl Serialize) -> Result<Multipart, ClientError> {
        let operations = serde_json::to_string(operations).map_err(ClientError::setup)?;
        // A new id, so that no file contains it.
        let boundary = crate::clock::new_id().simple().to_string();
        let map = json!({ "0": [self.variable] });
        let name: String =
            self.file_name.chars().filter(|c| !c.is_control() && !['"', '\\'].contains(c)).collect();
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"operations\"\r\n\
             Content-Type: application/json\r\n\r\n{operations}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"map\"\r\n\
             Content-Type: application/json\r\n\r\n{map}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"0\"; filename=\"{name}\"\r\n\
             Content-Type: {}\r\n\r\n",
            self.content_type
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let content_length = head.len() as u64 + self.size_bytes + tail.len() as u64;
        let content = stream::iter([Ok(Bytes::from(head))])
            .chain(pieces(Arc::clone(&self.file), self.size_bytes))
            .chain(stream::iter([Ok(Bytes::from(tail))]));
        Ok(Multipart {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            content_length,
            body: Body::wrap_stream(content),
            timeout: STORE_TIME + Duration::from_secs(self.size_bytes / BYTES_PER_SECOND_MIN),
        })
    }
}

/// The first `size_bytes` of a file.
fn pieces(file: Arc<File>, size_bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(0, move |offset: u64| {
        let file = Arc::clone(&file);
        async move {
            let left = usize::try_from(size_bytes - offset).unwrap_or(usize::MAX);
            if left == 0 {
                return Ok(None);
            }
            let read = move || -> io::Result<Bytes> {
                let mut piece = vec![0; left.min(PIECE_BYTES)];
                file.read_exact_at(&mut piece, offset)?;
                Ok(piece.into())
            };
            let piece = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
            let next = offset + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::TryStreamExt as _;

    use super::*;

    fn file(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    async fn read(file: &Arc<File>, size_bytes: u64) -> io::Result<Vec<u8>> {
        pieces(Arc::clone(file), size_bytes).map_ok(|piece| piece.to_vec()).try_concat().await
    }

    #[tokio::test]
    async fn a_file_is_sent_from_its_start_however_often_and_wherever_it_stands() {
        let content: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let file = file(&content);
        let mut given_up = Box::pin(pieces(Arc::clone(&file), 200_000));
        assert_eq!(given_up.next().await.unwrap().unwrap().len(), PIECE_BYTES);
        assert_eq!(read(&file, 200_000).await.unwrap(), content);
        assert_eq!(read(&file, 3).await.unwrap(), content[..3]);
        assert!(read(&file, 0).await.unwrap().is_empty());
        assert!(read(&file, 200_001).await.is_err(), "a file that is cut meanwhile");
    }
}
