//! Documents that were found valid, so that the few that a front end sends are parsed, measured and validated once.
//!
//! Whether a document is valid depends on its text and the schema alone. What depends on the values of its variables is
//! checked with every request, by `coerce`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::parser::types::ExecutableDocument;

use crate::domain::limits::{DOCUMENT_CACHE_BYTES_MAX, DOCUMENT_CACHE_ENTRIES_MAX};

/// Valid documents by their text.
///
/// Two halves: documents go into the young one; when that is full it becomes the old one, and the old one goes. One that is
/// found in the old half moves to the young one, so what is forgotten was not used lately, and nothing is ever searched.
#[derive(Debug)]
pub(super) struct Documents {
    halves: Mutex<Halves>,
    half_entries_max: usize,
    half_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<String, Arc<ExecutableDocument>>,
    young_bytes: usize,
    old: HashMap<String, Arc<ExecutableDocument>>,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            halves: Mutex::default(),
            half_entries_max: DOCUMENT_CACHE_ENTRIES_MAX / 2,
            half_bytes_max: DOCUMENT_CACHE_BYTES_MAX / 2,
        }
    }
}

impl Documents {
    /// The document with this text, if it is known to be valid.
    pub(super) fn get(&self, text: &str) -> Option<Arc<ExecutableDocument>> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = halves.young.get(text) {
            return Some(Arc::clone(document));
        }
        let (text, document) = halves.old.remove_entry(text)?;
        self.put_young(&mut halves, text, Arc::clone(&document));
        Some(document)
    }

    /// Remembers a document that was found valid.
    pub(super) fn put(&self, text: String, document: Arc<ExecutableDocument>) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_young(&mut halves, text, document);
    }

    fn put_young(&self, halves: &mut Halves, text: String, document: Arc<ExecutableDocument>) {
        let is_full = halves.young.len() >= self.half_entries_max
            || halves.young_bytes + text.len() > self.half_bytes_max;
        if is_full {
            halves.old = std::mem::take(&mut halves.young);
            halves.young_bytes = 0;
        }
        let bytes = text.len();
        if halves.young.insert(text, document).is_none() {
            halves.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn documents(half_entries_max: usize, half_bytes_max: usize) -> Documents {
        Documents { half_entries_max, half_bytes_max, ..Documents::default() }
    }

    fn put(documents: &Documents, text: &str) {
        documents.put(text.to_owned(), Arc::new(parse_query(text).unwrap()));
    }

    fn known(documents: &Documents) -> Vec<&'static str> {
        let halves = documents.halves.lock().unwrap();
        let is_known = |text: &&str| halves.young.contains_key(*text) || halves.old.contains_key(*text);
        ["{a}", "{b}", "{c}", "{d}", "{e}"].into_iter().filter(is_known).collect()
    }

    #[test]
    fn they_are_bounded_by_number_and_what_is_used_stays() {
        let documents = documents(2, 1_000);
        for text in ["{a}", "{b}", "{c}"] {
            put(&documents, text);
        }
        assert!(documents.get("{a}").is_some(), "it moves to the young ones");
        put(&documents, "{d}");
        put(&documents, "{e}");
        assert_eq!(known(&documents), ["{a}", "{c}", "{d}", "{e}"]);
        assert!(documents.get("{b}").is_none());
    }

    #[test]
    fn they_are_bounded_by_their_text() {
        let documents = documents(100, 6);
        for text in ["{a}", "{b}", "{c}", "{c}", "{d}", "{e}"] {
            put(&documents, text);
        }
        assert_eq!(known(&documents), ["{c}", "{d}", "{e}"]);
    }
}
