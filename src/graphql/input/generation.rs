//! Saving generations.

use async_graphql::{Context, ID, InputObject, Upload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::manifest::ProjectPath;
use crate::error::{Error, Result};
use crate::graphql::context::uuid_optional;
use crate::service::{ProjectFiles, SaveGeneration};

/// A generation to be saved: either `files` or `archive` (a tar.gz). The project is created when `projectKey` is new. With
/// `id`, saving it again returns it with `created: false`.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct SaveGenerationInput {
    /// A UUID of the caller's choice, which makes the call safe to repeat.
    id: Option<ID>,
    /// The key of its project; at most 255 characters.
    project_key: String,
    /// For people; at most 16 KiB.
    message: Option<String>,
    /// Its files, as long as the whole request has 8 MiB at most.
    files: Option<Vec<GenerationFileInput>>,
    /// A tar.gz of its files, at most 512 MiB, as a file of a GraphQL multipart request. It is kept as it is. It may hold
    /// files and folders only, at most 50,000 files of 2 GiB together; links, absolute paths, `..` and a path that comes
    /// twice are refused.
    archive: Option<Upload>,
}

/// A file: either its text or its bytes.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct GenerationFileInput {
    /// Where it is in the project: relative, with `/` between its names, without `..`; at most 1,024 bytes.
    path: String,
    /// Its content, kept as UTF-8.
    text: Option<String>,
    /// Its content in Base64 (RFC 4648, section 4), for what is no text.
    base64: Option<String>,
}

impl SaveGenerationInput {
    /// As the service takes it.
    ///
    /// # Errors
    /// `BAD_INPUT` that names the field.
    pub(in crate::graphql) fn check(self, context: &Context<'_>) -> Result<SaveGeneration> {
        let files = match (self.files, self.archive) {
            (Some(files), None) => {
                let files = files.into_iter().enumerate().map(|(index, file)| file.check(index));
                ProjectFiles::Each(files.collect::<Result<_>>()?)
            }
            (None, Some(archive)) => {
                let upload = archive.value(context).map_err(Error::internal)?;
                ProjectFiles::Archive(upload.content)
            }
            (None, None) => return Err(Error::bad_input("input.files", "give either files or archive")),
            (Some(_), Some(_)) => {
                return Err(Error::bad_input("input.archive", "give either files or archive, not both"));
            }
        };
        Ok(SaveGeneration {
            id: uuid_optional("input.id", self.id)?,
            project_key: self.project_key,
            message: self.message,
            files,
        })
    }
}

impl GenerationFileInput {
    fn check(self, index: usize) -> Result<(ProjectPath, Vec<u8>)> {
        let at = |field: &str| format!("input.files.{index}.{field}");
        let path = ProjectPath::parse(&self.path).map_err(|problem| Error::bad_input(at("path"), problem))?;
        let content = match (self.text, self.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(|_| {
                Error::bad_input(at("base64"), "must be Base64 with the standard alphabet and padding")
            })?,
            (None, None) => return Err(Error::bad_input(at("text"), "give either text or base64")),
            (Some(_), Some(_)) => {
                return Err(Error::bad_input(at("base64"), "give either text or base64, not both"));
            }
        };
        Ok((path, content))
    }
}
