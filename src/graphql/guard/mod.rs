//! Before execution, for HTTP and sockets alike: nothing runs that did not pass here.
//!
//! Promises, for any document of at most 32 KiB:
//! - the work done here is linear in the document, whatever its fragments expand to;
//! - a document that expands to more than the limits of [`crate::domain::limits`] is refused, and so is a cycle;
//! - a mutation's field runs once, however often the document repeats it;
//! - variables have the declared types, or the request is refused before any resolver runs.
//!
//! Why not async-graphql's own limits: its depth, alias and complexity visitors expand every spread without a memo,
//! so a document of 1.5 kB in which each of 40 fragments spreads the next one twice costs 2^40 steps before a limit
//! is looked at. The order here matters for the same reason: only `measure` may meet a document that nobody has
//! measured, because it visits each fragment once.

mod coerce;
mod documents;
mod input_types;
mod measure;
mod merge;
mod nesting;
mod subscription;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::parser::{self, parse_query};
use async_graphql::{Request, ServerError, UploadValue, Variables};

use crate::domain::limits::{GRAPHQL_DOCUMENT_BYTES_MAX, GRAPHQL_NESTING_MAX};
use crate::error::Error;

use super::error::server_error;
use documents::Documents;
use input_types::InputTypes;

/// What async-graphql writes into a variable in the place of an uploaded file.
const UPLOAD_PREFIX: &str = "#__graphql_file__:";

/// What stands in a variable of type `Upload` for the file at this place of [`Params::uploads`].
pub fn upload_reference(index: usize) -> String {
    format!("{UPLOAD_PREFIX}{index}")
}

/// A request as it came, whatever brought it.
#[derive(Default)]
pub struct Params {
    pub query: String,
    pub operation_name: Option<String>,
    pub variables: Variables,
    pub uploads: Vec<UploadValue>,
}

/// The kind of the operation that a request runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

impl OperationKind {
    /// As the document writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// A request that may be executed: the only thing that [`super::Engine`] runs, made only by [`Guard::check`].
pub struct GuardedRequest {
    kind: OperationKind,
    text: String,
    operation_name: Option<String>,
    document: Arc<ExecutableDocument>,
    /// Whether the document is known to be valid.
    is_proven: bool,
    variables: Variables,
    uploads: Vec<UploadValue>,
}

/// A document whose validity is seen when it is executed.
pub(super) struct Unproven {
    text: String,
    document: Arc<ExecutableDocument>,
}

impl GuardedRequest {
    /// Whether it reads, writes or follows.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }

    /// The name of the operation, when the request gave one.
    pub fn operation_name(&self) -> Option<&str> {
        self.operation_name.as_deref()
    }

    /// What [`Guard::found_valid`] is to be told of, should it be executed; `None` when the document is known to be valid.
    pub(super) fn unproven(&self) -> Option<Unproven> {
        (!self.is_proven).then(|| Unproven { text: self.text.clone(), document: Arc::clone(&self.document) })
    }

    /// What makes subscriptions alike that follow the same thing, wherever each of them began; `None` for what cannot be
    /// compared.
    pub(super) fn sameness(&self) -> Option<Sameness> {
        if self.kind != OperationKind::Subscription || !self.uploads.is_empty() {
            return None;
        }
        let operation = chosen_operation(&self.document, self.operation_name.as_deref()).ok()?;
        let mut others = self.variables.clone();
        for name in subscription::variables_for_the_start(operation, &self.text) {
            others.remove(&name);
        }
        Some(Sameness {
            query: self.text.as_str().into(),
            operation_name: self.operation_name.clone(),
            variables: serde_json::to_string(&others).ok()?,
        })
    }

    /// The variables as JSON, where they have it: a map takes a kilobyte as soon as there is one.
    pub(super) fn variables(&self) -> Option<Box<str>> {
        serde_json::to_string(&self.variables).ok().map(Into::into)
    }

    pub(super) fn into_request(self) -> Request {
        let mut request = Request::new(String::new()).variables(self.variables);
        request.operation_name = self.operation_name;
        request.uploads = self.uploads;
        request.set_parsed_query(Arc::unwrap_or_clone(self.document));
        request
    }
}

/// The document, the operation and its variables, but for those that only say where to begin.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sameness {
    query: Box<str>,
    operation_name: Option<String>,
    variables: String,
}

impl Sameness {
    /// A request that is alike, with these variables.
    ///
    /// # Errors
    /// `BAD_INPUT` when the text cannot be read again: some values that nothing declares are written as they are.
    pub(super) fn params(&self, variables: &str) -> Result<Params, Error> {
        let unreadable = |_| {
            Error::bad_input("variables", "a variable that nothing declares has a value that is not JSON")
        };
        Ok(Params {
            query: self.query.to_string(),
            operation_name: self.operation_name.clone(),
            variables: serde_json::from_str(variables).map_err(unreadable)?,
            uploads: Vec::new(),
        })
    }
}

/// The rules, with what they must know of the schema.
#[derive(Debug)]
pub struct Guard {
    input_types: InputTypes,
    documents: Documents,
}

impl Guard {
    /// For the schema with this definition.
    ///
    /// # Errors
    /// When the definition does not parse.
    pub fn new(sdl: &str) -> Result<Self, Error> {
        Ok(Self { input_types: InputTypes::from_sdl(sdl)?, documents: Documents::default() })
    }

    /// Whether any input can be a file.
    pub fn takes_files(&self) -> bool {
        self.input_types.has_upload()
    }

    /// Lets a request pass, or says everything that is wrong with it.
    ///
    /// # Errors
    /// Request errors: execution must not begin.
    pub fn check(&self, params: Params) -> Result<GuardedRequest, Vec<ServerError>> {
        let known = self.documents.get(&params.query);
        let is_proven = known.is_some();
        let document = known.map_or_else(|| guarded_document(&params.query).map(Arc::new), Ok)?;
        let operation = chosen_operation(&document, params.operation_name.as_deref())?;
        let kind = match operation.ty {
            OperationType::Query => OperationKind::Query,
            OperationType::Mutation => OperationKind::Mutation,
            OperationType::Subscription => OperationKind::Subscription,
        };
        coerce::check_variables(&self.input_types, operation, &params.variables, params.uploads.len())?;
        Ok(GuardedRequest {
            kind,
            text: params.query,
            operation_name: params.operation_name,
            document,
            is_proven,
            variables: params.variables,
            uploads: params.uploads,
        })
    }

    /// Remembers that a document passed validation.
    pub(super) fn found_valid(&self, unproven: Unproven) {
        self.documents.put(unproven.text, unproven.document);
    }
}

/// A measured document, ready to be executed. It depends on the text alone.
fn guarded_document(text: &str) -> Result<ExecutableDocument, Vec<ServerError>> {
    if GRAPHQL_DOCUMENT_BYTES_MAX.is_passed_by(text.len()) {
        return Err(refused(&Error::TooLarge { field: "query".into(), limit: GRAPHQL_DOCUMENT_BYTES_MAX }));
    }
    if text.contains(UPLOAD_PREFIX) {
        return Err(refused(&Error::bad_input("query", "a file is given as a variable of type Upload")));
    }
    if GRAPHQL_NESTING_MAX.is_passed_by(nesting::of(text)) {
        return Err(refused(&Error::TooComplex { limit: GRAPHQL_NESTING_MAX }));
    }
    let mut document = parse_query(text).map_err(|error| vec![syntax_error(error)])?;
    measure::check(&document).map_err(|error| refused(&error))?;
    subscription::flatten_roots(&mut document).map_err(|error| refused(&error))?;
    merge::merge_fields(&mut document);
    merge::check_mutation_roots(&document).map_err(|error| refused(&error))?;
    Ok(document)
}

fn chosen_operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, Vec<ServerError>> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        (DocumentOperations::Multiple(_), None) => {
            let message = "the document has several operations: say which one to run";
            return Err(refused(&Error::bad_input("operationName", message)));
        }
    };
    found.map(|operation| &operation.node).ok_or_else(|| {
        refused(&Error::bad_input("operationName", "the document has no operation with this name"))
    })
}

/// The parser draws a picture of the line that it stopped at; its last line says what was expected.
fn syntax_error(error: parser::Error) -> ServerError {
    let mut error = ServerError::from(error);
    if let Some((_, expected)) = error.message.rsplit_once("= ") {
        error.message = format!("syntax error: {expected}");
    }
    error
}

fn refused(error: &Error) -> Vec<ServerError> {
    vec![server_error(error)]
}
