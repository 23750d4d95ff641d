//! An export, as it comes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use super::{Client, ClientError, read_answer};

/// How long the server may take for the next piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long all of it may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The pieces of an export.
pub struct Export(Response);

impl Client {
    /// Begins the export with this file name and these parameters, as the HTTP API has them.
    pub async fn export(&self, file_name: &str, parameters: &[(&str, &str)]) -> Result<Export, ClientError> {
        let mut url = self.endpoint.clone();
        let folder = url.path().trim_end_matches("/graphql").to_owned();
        url.set_path(&format!("{folder}/exports/{file_name}"));
        url.query_pairs_mut().extend_pairs(parameters);
        let request = self.http.get(url).bearer_auth(self.tokens.token()?).timeout(EXPORT_TIMEOUT);
        let response = timeout(PIECE_TIMEOUT, request.send()).await;
        let response = response.map_err(|_| ClientError::cut_off())?.map_err(ClientError::transport)?;
        let status = response.status();
        if status.is_success() {
            return Ok(Export(response));
        }
        let text = response.bytes().await.map_err(ClientError::transport)?;
        match read_answer::<Value>(status, &text) {
            Err(error) => Err(error),
            Ok(_) => Err(ClientError::http(status)),
        }
    }
}

impl Export {
    /// The next piece; `None` at the end. An error means that the pieces so far are only a part.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let piece = timeout(PIECE_TIMEOUT, self.0.chunk()).await;
        piece.map_err(|_| ClientError::cut_off())?.map_err(ClientError::transport)
    }
}
