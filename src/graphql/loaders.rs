//! What belongs to the rows of a list, read in one statement however many rows there are.
//!
//! Loaders are made per request, with the request's viewer: nothing that one viewer loaded can reach another.

use std::collections::HashMap;

use async_graphql::Request;
use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use entity::execution_payload::Model as Payload;
use uuid::Uuid;

use super::error::ApiError;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::service::Service;
use crate::store::ProjectRow;

/// The tenant and the id of an execution.
pub(super) type ExecutionKey = (String, Uuid);

/// The large values of executions.
pub(super) struct Payloads(Service, Viewer);
/// The projects that executions name by key.
pub(super) struct Projects(Service, Viewer);
/// When executions appended a line last.
pub(super) struct LastAppends(Service, Viewer);

/// Gives a request its loaders and the service.
pub(super) fn attach(service: &Service, request: Request, viewer: Option<&Viewer>) -> Request {
    let request = request.data(service.clone());
    let Some(viewer) = viewer else { return request };
    request
        .data(loader(Payloads(service.clone(), viewer.clone())))
        .data(loader(Projects(service.clone(), viewer.clone())))
        .data(loader(LastAppends(service.clone(), viewer.clone())))
}

fn loader<T>(loader: T) -> DataLoader<T> {
    DataLoader::new(loader, TokioSpawner::current(), TokioTimer::default())
}

impl Loader<ExecutionKey> for Payloads {
    type Value = Payload;
    type Error = ApiError;

    async fn load(&self, keys: &[ExecutionKey]) -> Result<HashMap<ExecutionKey, Payload>, ApiError> {
        let rows = self.0.payloads(&self.1, keys).await?;
        Ok(rows.into_iter().map(|(id, row)| ((row.tenant_id.clone(), id), row)).collect())
    }
}

impl Loader<ExecutionKey> for LastAppends {
    type Value = Timestamp;
    type Error = ApiError;

    async fn load(&self, keys: &[ExecutionKey]) -> Result<HashMap<ExecutionKey, Timestamp>, ApiError> {
        let last = self.0.last_appends(&self.1, keys).await?;
        Ok(keys.iter().filter_map(|key| Some((key.clone(), (*last.get(&key.1)?)?))).collect())
    }
}

impl Loader<(String, String)> for Projects {
    type Value = ProjectRow;
    type Error = ApiError;

    async fn load(
        &self,
        keys: &[(String, String)],
    ) -> Result<HashMap<(String, String), ProjectRow>, ApiError> {
        Ok(self.0.projects_by_key(&self.1, keys).await?)
    }
}
