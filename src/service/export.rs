//! Exports of executions, by link.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::Service;
use super::download::{Download, check_lifetime};
use crate::auth::{Delegation, Viewer};
use crate::domain::execution::Order;
use crate::domain::export::{Export, Format};
use crate::domain::limits::EXPORT_FILTER_BYTES_MAX;
use crate::error::{Error, Result};
use crate::export;
use crate::storage::Linkable;

/// What the link to an export says.
#[derive(Serialize, Deserialize)]
struct ExportLink {
    viewer: Delegation,
    export: Export,
}

impl Linkable for ExportLink {
    const AUDIENCE: &str = "runledger:export";
}

/// An export, to be sent.
pub struct Exported {
    pub format: Format,
    pub pieces: BoxStream<'static, Result<Bytes>>,
}

impl Service {
    /// A link to the executions that match when it is followed: whoever has it sees what its viewer sees.
    ///
    /// # Errors
    /// `BAD_INPUT` for an order in which an execution can move; `TOO_LARGE` for a filter that no link can carry.
    pub fn link_to_export(
        &self,
        viewer: &Viewer,
        export: Export,
        expires_in_seconds: i32,
    ) -> Result<Download> {
        check_lifetime(expires_in_seconds)?;
        if !matches!(export.order, Order::Newest | Order::Oldest) {
            let message =
                "must be NEWEST or OLDEST: in the other orders, executions move while they are exported";
            return Err(Error::bad_input("order", message));
        }
        let filter_bytes = serde_json::to_vec(&export.filter).map_err(Error::internal)?.len();
        if EXPORT_FILTER_BYTES_MAX.is_passed_by(filter_bytes) {
            return Err(Error::TooLarge { field: "filter".into(), limit: EXPORT_FILTER_BYTES_MAX });
        }
        let path = format!("exports/executions.{}", export.format.extension());
        self.link_at(&path, ExportLink { viewer: viewer.delegate(), export }, expires_in_seconds)
    }

    /// What the link to an export is for.
    ///
    /// # Errors
    /// `FORBIDDEN` when the link has expired or is none of ours; `UNAVAILABLE` when too many are being written.
    pub fn linked_export(&self, token: &str) -> Result<Exported> {
        let (ExportLink { viewer, export }, expires_at) = self.check_link(token)?;
        let place = Arc::clone(&self.exports).try_acquire_owned().map_err(|_| Error::Unavailable {
            message: "too many exports are being written; try again in a moment".into(),
            cause: None,
        })?;
        let format = export.format;
        let pieces = export::stream(self.store.clone(), viewer.accept(expires_at), export);
        // The place is given back when the last piece was taken, or the caller leaves.
        let pieces = pieces.inspect(move |_| {
            let _held = &place;
        });
        Ok(Exported { format, pieces: pieces.boxed() })
    }
}
