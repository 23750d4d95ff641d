//! MD5 as S3 and Supabase give it in an ETag. It guards against accidents only; whoever stores an archive keeps a better
//! checksum of it.

use bytes::Bytes;
use md5::{Digest as _, Md5};

/// What an ETag says of the bytes of an object, if it is a checksum.
#[derive(Debug)]
pub(super) struct Checksum {
    whole: Md5,
    /// The checksum of each part of a multipart upload.
    parts: Vec<[u8; 16]>,
}

impl Checksum {
    pub(super) fn new() -> Self {
        Self { whole: Md5::new(), parts: Vec::new() }
    }

    /// Adds a piece that is sent, in a multipart upload as one part. Off the runtime's threads: eight megabytes take a
    /// while.
    pub(super) async fn with(mut self, piece: Bytes) -> Self {
        let added = tokio::task::spawn_blocking(move || {
            self.add(&piece);
            self
        });
        // The task does nothing but hash; if it fails, so does the process.
        added.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.whole.update(piece);
        self.parts.push(Md5::digest(piece).into());
    }

    /// Whether the ETag proves that storage has these bytes. One that does not may still be of another form: encrypted
    /// objects have ETags that look like an MD5 and are none.
    pub(super) fn is_proven_by(&self, etag: &str) -> bool {
        let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
        let parts = self.parts.len();
        etag.eq_ignore_ascii_case(&hex(&self.whole.clone().finalize()))
            || etag.eq_ignore_ascii_case(&format!("{}-{parts}", hex(&Md5::digest(self.parts.concat()))))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&str]) -> Checksum {
        let mut checksum = Checksum::new();
        pieces.iter().for_each(|piece| checksum.add(piece.as_bytes()));
        checksum
    }

    #[test]
    fn an_etag_of_either_form_is_a_proof() {
        assert!(of(&["hello ", "world"]).is_proven_by("\"5eb63bbbe01eeed093cb22bb8f5acdc3\""));
        assert!(of(&["hello world"]).is_proven_by("W/\"5EB63BBBE01EEED093CB22BB8F5ACDC3\""));
        assert!(of(&[]).is_proven_by("d41d8cd98f00b204e9800998ecf8427e"));
        // md5(md5("hello ") + md5("world"))
        assert!(of(&["hello ", "world"]).is_proven_by("e09e4fd6265b36115fe3db32df945d84-2"));
        for other in ["", "5eb63bbbe01eeed093cb22bb8f5acdc4", "5eb63bbbe01eeed093cb22bb8f5acdc3-2", "x-2"] {
            assert!(!of(&["hello ", "world"]).is_proven_by(other), "{other}");
        }
    }
}
