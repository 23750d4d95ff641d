//! Documents that were found valid, so that the few that a front end sends are parsed, measured and validated once.
//!
//! Whether a document is valid depends on its text and the schema alone. What depends on the values of its variables is
//! checked with every request, by `coerce`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::parser::types::ExecutableDocument;

use crate::domain::limits::{DOCUMENT_CACHE_BYTES_MAX, DOCUMENT_CACHE_BYTES_MIN};
use crate::domain::recent::Recent;

/// Valid documents by their text.
#[derive(Debug)]
pub(super) struct Documents(Mutex<Recent<String, Arc<ExecutableDocument>>>);

impl Default for Documents {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(DOCUMENT_CACHE_BYTES_MAX)))
    }
}

impl Documents {
    /// The document with this text, if it is known to be valid.
    pub(super) fn get(&self, text: &str) -> Option<Arc<ExecutableDocument>> {
        self.lock().get(text)
    }

    /// Remembers a document that was found valid.
    pub(super) fn put(&self, text: String, document: Arc<ExecutableDocument>) {
        let bytes = text.len().max(DOCUMENT_CACHE_BYTES_MIN);
        self.lock().put(text, document, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Recent<String, Arc<ExecutableDocument>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
