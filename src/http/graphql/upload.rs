//! Requests with files, by the GraphQL multipart request specification: first `operations`, then `map`, then files.
//!
//! Promises: no more than 10 files of 512 MiB each, spooled to unnamed temporary files that vanish with the request;
//! memory holds one chunk of a file at a time; every file of the map is there, and every variable that it names
//! was null. async-graphql's own reader limits neither the number of files nor the size of `operations`.

use std::collections::HashMap;
use std::path::Path;

use async_graphql::{UploadValue, Value, Variables};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::StatusCode;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::domain::limits::{
    HTTP_BODY_BYTES_MAX, UPLOAD_FILE_BYTES_MAX, UPLOAD_FILES_MAX, UPLOAD_IDLE_SECONDS_MAX,
    UPLOAD_MAP_BYTES_MAX,
};
use crate::error::{Error, Limit, disk};
use crate::graphql::guard::{Params, upload_reference};
use crate::http::params;

use super::body::DRAIN_WAIT;
use super::failure::Failure;

/// From the name of a part to the variables that it is the value of, such as `variables.input.archive`.
type FileMap = HashMap<String, Vec<String>>;

/// Reads a whole multipart request; with files only when the schema takes any, so that none is written for nothing. Files
/// are spooled to unnamed ones in the folder `spool`.
pub(super) async fn receive(
    mut request: Request,
    takes_files: bool,
    spool: &Path,
) -> Result<Params, Failure> {
    // Each part has a limit of its own.
    DefaultBodyLimit::disable().apply(&mut request);
    let multipart = Multipart::from_request(request, &()).await;
    let mut parts = multipart.map_err(|error| Failure::malformed("body", error.body_text()))?;
    let received = read_parts(&mut parts, takes_files, spool).await;
    if received.is_err() {
        let draining = async { while let Ok(Some(_)) = parts.next_field().await {} };
        let _ = timeout(DRAIN_WAIT, draining).await;
    }
    received
}

async fn read_parts(parts: &mut Multipart, takes_files: bool, folder: &Path) -> Result<Params, Failure> {
    let operations = required_part(parts, "operations", HTTP_BODY_BYTES_MAX).await?;
    let mut params = params::from_json(&operations)?;
    let map = required_part(parts, "map", UPLOAD_MAP_BYTES_MAX).await?;
    let mut waiting: FileMap = serde_json::from_slice(&map)
        .map_err(|error| Failure::malformed("map", format!("the part is not a map of files: {error}")))?;
    if UPLOAD_FILES_MAX.is_passed_by(waiting.len()) {
        return Err(too_large("map", UPLOAD_FILES_MAX));
    }
    if !takes_files && !waiting.is_empty() {
        return Err(Failure::malformed("map", "no input of this schema is a file"));
    }
    while let Some(part) = next_part(parts).await? {
        let paths = part.name().and_then(|name| waiting.remove(name));
        let paths =
            paths.ok_or_else(|| Failure::malformed("map", "a file is not in the map, or comes twice"))?;
        let reference = upload_reference(params.uploads.len());
        for path in paths {
            put_reference(&mut params.variables, &path, &reference)?;
        }
        params.uploads.push(spool(part, folder).await?);
    }
    if waiting.is_empty() {
        Ok(params)
    } else {
        Err(Failure::malformed("map", "a file of the map is missing"))
    }
}

async fn required_part(parts: &mut Multipart, name: &'static str, limit: Limit) -> Result<Vec<u8>, Failure> {
    let part = next_part(parts).await?.filter(|part| part.name() == Some(name));
    let mut part = part.ok_or_else(|| {
        Failure::malformed("body", format!("the part `{name}` is missing, or not where it belongs"))
    })?;
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(part.chunk()).await? {
        if limit.is_passed_by(bytes.len() + chunk.len()) {
            return Err(too_large(name, limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn next_part(parts: &mut Multipart) -> Result<Option<Field<'_>>, Failure> {
    in_time(parts.next_field()).await
}

/// Writes a file to disk as it arrives, and winds it back.
async fn spool(mut part: Field<'_>, folder: &Path) -> Result<UploadValue, Failure> {
    let filename = part.file_name().unwrap_or_default().to_owned();
    let content_type = part.content_type().map(ToOwned::to_owned);
    let folder = folder.to_owned();
    let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
    let file = file.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    let mut file = File::from_std(file.map_err(disk_failure)?);
    let mut size_bytes = 0;
    while let Some(chunk) = in_time(part.chunk()).await? {
        size_bytes += chunk.len();
        if UPLOAD_FILE_BYTES_MAX.is_passed_by(size_bytes) {
            return Err(too_large("file", UPLOAD_FILE_BYTES_MAX));
        }
        file.write_all(&chunk).await.map_err(disk_failure)?;
    }
    file.flush().await.map_err(disk_failure)?;
    tokio::io::AsyncSeekExt::rewind(&mut file).await.map_err(disk_failure)?;
    Ok(UploadValue { filename, content_type, content: file.into_std().await })
}

async fn in_time<T>(reading: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Failure> {
    match timeout(UPLOAD_IDLE_SECONDS_MAX.to_duration(), reading).await {
        Ok(read) => read.map_err(|error| Failure::malformed("body", error.body_text())),
        Err(_elapsed) => {
            let error = Error::bad_input("body", "the upload stood still for too long");
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}

fn put_reference(variables: &mut Variables, path: &str, reference: &str) -> Result<(), Failure> {
    let no_such_variable =
        || Failure::malformed("map", "a path of the map leads to no variable that is null");
    let mut steps = path.split('.');
    if steps.next() != Some("variables") {
        return Err(no_such_variable());
    }
    let mut place = steps.next().and_then(|name| variables.get_mut(name)).ok_or_else(no_such_variable)?;
    for step in steps {
        place = match place {
            Value::Object(fields) => fields.get_mut(step),
            Value::List(items) => step.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            _ => None,
        }
        .ok_or_else(no_such_variable)?;
    }
    if *place != Value::Null {
        return Err(no_such_variable());
    }
    *place = Value::String(reference.to_owned());
    Ok(())
}

fn too_large(field: &'static str, limit: Limit) -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, Error::TooLarge { field: field.into(), limit })
}

fn disk_failure(error: std::io::Error) -> Failure {
    match disk::failure(error) {
        error @ Error::Unavailable { .. } => Failure::new(StatusCode::SERVICE_UNAVAILABLE, error),
        error => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    #[test]
    fn a_path_of_the_map_leads_to_a_null_variable() {
        let mut variables =
            Variables::from_value(value!({ "input": { "files": [null, null], "name": "x" } }));
        assert!(put_reference(&mut variables, "variables.input.files.1", "file").is_ok());
        let expected = value!({ "input": { "files": [null, "file"], "name": "x" } });
        assert_eq!(variables.clone().into_value(), expected);
        for path in
            ["variables", "", "input.name", "variables.input.name", "variables.input.files.2", "variables.x"]
        {
            assert!(put_reference(&mut variables, path, "file").is_err(), "{path}");
        }
    }
}
