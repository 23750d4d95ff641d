//! The calls that an import makes, as types. All may be made again.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::archive::Sum;
use crate::cli::backoff::Backoff;
use crate::client::{Client, ClientError, Upload};

const VIEWER: &str = "query Viewer { viewer { tenantId } }";
const LOOK_UP: &str = "query LookUp($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Generation { \
     version sizeBytes sha256 fileCount project { key } \
     storage { cloudEnabled uploadState uploadError } } } }";
const SAVE: &str = "mutation Save($input: SaveGenerationInput!) { saveGeneration(input: $input) { created generation { \
     version sizeBytes sha256 fileCount project { key } \
     storage { cloudEnabled uploadState uploadError } } } }";

/// How often a call is made that may succeed later: for about half a minute.
const TRIES: u32 = 8;
/// Ids in one look-up.
pub(super) const LOOK_UP_IDS: usize = 100;

/// A generation on the server.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Generation {
    pub version: u64,
    pub size_bytes: u64,
    pub sha256: String,
    pub file_count: usize,
    pub project: Project,
    pub storage: Storage,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Project {
    pub key: String,
}

/// `GenerationStorage`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Storage {
    pub cloud_enabled: bool,
    pub upload_state: UploadState,
    pub upload_error: Option<String>,
}

/// `UploadState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum UploadState {
    LocalOnly,
    Pending,
    Uploaded,
    Failed,
}

/// What has an id on the server.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Generation(Generation),
    /// Something else, of this type.
    Other(String),
}

/// `GenerationPayload`.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    /// False when it was there before, if only from an earlier try.
    pub created: bool,
    pub generation: Generation,
}

/// A packed generation, and what it is saved as.
#[derive(Debug)]
pub(super) struct Packed {
    pub id: Uuid,
    pub project: String,
    pub message: Option<String>,
    pub file: Arc<File>,
    pub sum: Sum,
}

/// A server, as an import sees it.
pub(super) struct Api {
    client: Client,
    tries: u32,
}

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self { client, tries: TRIES }
    }

    /// With another number of tries; for tests, which have less time.
    #[cfg(test)]
    pub(super) fn with_tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// The tenant that the import acts in. It is the first call, and is not made again: a server that is not there is for
    /// the caller to start.
    pub(super) async fn tenant(&self) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Data {
            viewer: Viewer,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Viewer {
            tenant_id: String,
        }
        let data: Data = self.client.graphql(VIEWER, json!({})).await?;
        Ok(data.viewer.tenant_id)
    }

    /// What is there of these, at most [`LOOK_UP_IDS`].
    pub(super) async fn look_up(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Node>, ClientError> {
        #[derive(Deserialize)]
        struct Data {
            nodes: Vec<Option<serde_json::Value>>,
        }
        let data: Data = self.persist(|| self.client.graphql(LOOK_UP, json!({ "ids": ids }))).await?;
        let nodes = ids.iter().zip(data.nodes).filter_map(|(id, node)| Some((*id, node?)));
        nodes
            .map(|(id, node)| {
                let name = node["__typename"].as_str().unwrap_or_default().to_owned();
                if name != "Generation" {
                    return Ok((id, Node::Other(name)));
                }
                let generation = serde_json::from_value(node).map_err(|error| {
                    ClientError::answer(format!("the server's generation is not as expected: {error}"))
                })?;
                Ok((id, Node::Generation(generation)))
            })
            .collect()
    }

    /// Saves a generation; idempotent by its id.
    pub(super) async fn save(&self, packed: &Packed) -> Result<Saved, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            save_generation: Saved,
        }
        let input = json!({
            "id": packed.id,
            "projectKey": packed.project,
            "message": packed.message,
            "archive": null,
        });
        let variables = json!({ "input": input });
        let upload = Upload {
            variable: "variables.input.archive",
            file_name: format!("{}.tar.gz", packed.id),
            content_type: "application/gzip",
            file: Arc::clone(&packed.file),
            size_bytes: packed.sum.size_bytes,
        };
        let data: Data = self.persist(|| self.client.graphql_with_file(SAVE, &variables, &upload)).await?;
        Ok(data.save_generation)
    }

    /// Makes a call that is idempotent until it gets through, is refused for good, or was tried often enough.
    async fn persist<T, F>(&self, call: impl Fn() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::default();
        for _ in 1..self.tries {
            match call().await {
                Err(error) if error.retryable => sleep(backoff.wait(error.retry_after)).await,
                answer => return answer,
            }
        }
        call().await
    }
}
