//! Exports of executions: rows become CSV, JSON or NDJSON while they are read, a few thousand at a time.
//!
//! Pages are read by key, as lists are, so an execution that is there all the while comes exactly once, whatever is
//! written and deleted meanwhile. The next page is read while this one is written and sent; a reader that is slow or
//! leaves stops the reading.

mod csv;
mod json;
mod read;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use crate::auth::Viewer;
use crate::domain::export::{Export, Format};
use crate::error::Result;
use crate::store::{ExecutionRow, PayloadChange, Store};

use csv::Csv;
use json::Json;

/// The whole export, piece by piece.
///
/// An item that is an error is the last: what came before it is only a part.
pub fn stream(store: Store, viewer: Viewer, export: Export) -> impl Stream<Item = Result<Bytes>> {
    async_stream::try_stream! {
        let mut encoder = Encoder::new(&export);
        let mut batches = read::batches(store, viewer, export);
        yield encoder.start();
        while let Some(batch) = batches.recv().await {
            yield encoder.rows(&batch?)?;
        }
        yield encoder.end();
    }
}

/// An execution, and the large values that were asked for.
struct Record {
    row: Arc<ExecutionRow>,
    large: PayloadChange,
}

enum Encoder {
    Csv(Csv),
    Json(Json),
}

impl Encoder {
    fn new(export: &Export) -> Self {
        match export.format {
            Format::Csv => Self::Csv(Csv::new(export.with)),
            Format::Json => Self::Json(Json::list(export.with)),
            Format::Ndjson => Self::Json(Json::lines(export.with)),
        }
    }

    fn start(&self) -> Bytes {
        match self {
            Self::Csv(csv) => csv.header().into(),
            Self::Json(json) => json.start().into(),
        }
    }

    fn rows(&mut self, records: &[Record]) -> Result<Bytes> {
        match self {
            Self::Csv(csv) => csv.rows(records),
            Self::Json(json) => json.rows(records),
        }
        .map(Bytes::from)
    }

    fn end(&self) -> Bytes {
        match self {
            Self::Csv(_) => Bytes::new(),
            Self::Json(json) => json.end().into(),
        }
    }
}

/// As the API writes times.
fn time(time: crate::clock::Timestamp) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
