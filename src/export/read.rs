//! Reading what is exported, a batch ahead of what is written.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};
use uuid::Uuid;

use super::Record;
use crate::auth::Viewer;
use crate::domain::export::Export;
use crate::domain::limits::{EXPORT_PAGE_ROWS, EXPORT_VALUES_BYTES_MAX};
use crate::domain::page::{Cursor, Direction, Page};
use crate::error::Result;
use crate::store::{Columns, ExecutionRow, PayloadChange, Store};

type Batch = Result<Vec<Record>>;

/// All batches in order. Reading stops when the receiver is dropped.
pub(super) fn batches(store: Store, viewer: Viewer, export: Export) -> Receiver<Batch> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(error) = read(&store, &viewer, &export, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    receiver
}

async fn read(store: &Store, viewer: &Viewer, export: &Export, to: &Sender<Batch>) -> Result<()> {
    let mut page = Page { direction: Direction::Forward, rows: EXPORT_PAGE_ROWS, after: None, before: None };
    loop {
        let read =
            store.reader(viewer).list_executions(&export.filter, export.order, &page, Columns::ALL).await?;
        page.after = read.rows.last().map(|row| Cursor {
            order: 'E',
            key: row.created_at.timestamp_micros(),
            id: row.id,
        });
        for rows in parts(store, viewer, export, read.rows).await? {
            let records = with_large_values(store, viewer, export, rows).await?;
            if to.send(Ok(records)).await.is_err() {
                return Ok(());
            }
        }
        if !read.has_next_page {
            return Ok(());
        }
    }
}

/// The rows in parts whose large values fit the memory of a batch.
async fn parts(
    store: &Store,
    viewer: &Viewer,
    export: &Export,
    rows: Vec<Arc<ExecutionRow>>,
) -> Result<Vec<Vec<Arc<ExecutionRow>>>> {
    if !export.with.any() || rows.is_empty() {
        return Ok(vec![rows]);
    }
    let sizes = store.reader(viewer).large_value_sizes(export.with, &keys(&rows)).await?;
    Ok(in_parts(rows, |row| sizes.get(&row.id).copied().unwrap_or_default()))
}

fn in_parts<T>(items: Vec<T>, size: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let more = size(&item);
        match parts.last_mut() {
            Some(part) if bytes + more <= EXPORT_VALUES_BYTES_MAX => part.push(item),
            _ => {
                parts.push(vec![item]);
                bytes = 0;
            }
        }
        bytes += more;
    }
    parts
}

async fn with_large_values(
    store: &Store,
    viewer: &Viewer,
    export: &Export,
    rows: Vec<Arc<ExecutionRow>>,
) -> Result<Vec<Record>> {
    let mut large: HashMap<Uuid, PayloadChange> = if export.with.any() && !rows.is_empty() {
        store.reader(viewer).several_large_values(export.with, &keys(&rows)).await?
    } else {
        HashMap::new()
    };
    let record = |row: Arc<ExecutionRow>| Record { large: large.remove(&row.id).unwrap_or_default(), row };
    Ok(rows.into_iter().map(record).collect())
}

fn keys(rows: &[Arc<ExecutionRow>]) -> Vec<(String, Uuid)> {
    rows.iter().map(|row| (row.tenant_id.clone(), row.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_filled_in_order_and_one_that_is_too_large_comes_alone() {
        let max = EXPORT_VALUES_BYTES_MAX;
        let parts = in_parts(vec![1, max - 1, 1, max + 7, 0, max], |size| *size);
        assert_eq!(parts, [vec![1, max - 1], vec![1], vec![max + 7], vec![0, max]]);
        assert!(in_parts(Vec::<u64>::new(), |size| *size).is_empty());
    }
}
