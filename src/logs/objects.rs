//! The text of chunks whose lines are in the objects of their logs.

use std::collections::HashMap;
use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use crate::domain::limits::LOG_OBJECT_READS_AT_ONCE_MAX;
use crate::domain::object::Place;
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::store::LogChunk;

/// Some bytes of one object, and the chunks that have their lines there.
#[derive(Debug)]
struct Piece {
    stream: (StreamKind, Uuid),
    place: Place,
    bytes: Range<u64>,
    /// Index of the chunk, and its bytes.
    chunks: Vec<(usize, Range<u64>)>,
}

/// Fetches the text of archived chunks: what lies together in an object in one read.
///
/// # Errors
/// `UNAVAILABLE` when storage does not give it now.
pub(super) async fn fill(storage: &Storage, chunks: &mut [LogChunk]) -> Result<()> {
    let reads = pieces(chunks).into_iter().map(|piece| async move {
        let text = storage.read_log(piece.place, piece.stream, piece.bytes.clone()).await?;
        Ok::<_, Error>((piece, text))
    });
    let read: Vec<_> = futures_util::stream::iter(reads)
        .buffer_unordered(LOG_OBJECT_READS_AT_ONCE_MAX)
        .try_collect()
        .await?;
    for (piece, text) in read {
        for (index, bytes) in piece.chunks {
            let at = |byte: u64| usize::try_from(byte - piece.bytes.start).map_err(Error::internal);
            let text = text.get(at(bytes.start)?..at(bytes.end)?).unwrap_or_default();
            chunks[index].body = String::from_utf8(text.to_vec()).map_err(Error::internal)?;
        }
    }
    Ok(())
}

fn pieces(chunks: &[LogChunk]) -> Vec<Piece> {
    let archived =
        chunks.iter().enumerate().filter_map(|(index, chunk)| Some((index, chunk, chunk.archived()?)));
    let mut archived: Vec<_> = archived.collect();
    archived.sort_by_key(|(_, chunk, at)| (chunk.execution_id, chunk.kind, at.bytes.start));
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last: HashMap<(StreamKind, Uuid), usize> = HashMap::new();
    for (index, chunk, at) in archived {
        let stream = (chunk.kind, chunk.execution_id);
        let before = last.get(&stream).and_then(|at| pieces.get_mut(*at));
        if let Some(piece) =
            before.filter(|piece| piece.bytes.end == at.bytes.start && piece.place == at.place)
        {
            piece.bytes.end = at.bytes.end;
            piece.chunks.push((index, at.bytes));
            continue;
        }
        last.insert(stream, pieces.len());
        pieces.push(Piece {
            stream,
            place: at.place,
            bytes: at.bytes.clone(),
            chunks: vec![(index, at.bytes)],
        });
    }
    pieces
}
