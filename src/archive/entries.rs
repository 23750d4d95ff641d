//! Goes through the entries of an archive that came from anybody, and lets only harmless ones pass.

use std::io::{self, Read};
use std::ops::ControlFlow;

use tar::{Archive, Entry};

use super::BUFFER_BYTES;
use super::gzip::Gunzip;
use super::header::{Extensions, Kind, kind};
use crate::domain::limits::{ARCHIVE_ENTRIES_MAX, at_most};
use crate::domain::manifest::ProjectPath;
use crate::domain::text::shown;
use crate::error::{Error, Result};

/// A file or a folder of an archive.
pub(super) enum Found<'a> {
    /// Its content is to be read to its end, or left alone.
    File {
        path: ProjectPath,
        size_bytes: u64,
        executable: bool,
        content: &'a mut dyn Read,
    },
    Folder {
        path: ProjectPath,
    },
}

/// Why going through an archive ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// What is in it is refused.
    Refused(Error),
    /// It cannot be read; [`Gunzip::explain`] knows why.
    Unreadable(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Shows `visit` each file and folder of the `tar.gz` in `input`, until it breaks off. Otherwise reads on to the very
/// end, and makes sure that nothing hides there.
///
/// # Errors
/// About `field`: `BAD_INPUT` for what is refused (see [`inspect`](super::inspect())), `TOO_LARGE`; `INTERNAL` when `input`
/// cannot be read.
pub(super) fn each<R: Read>(
    field: &str,
    input: R,
    visit: impl FnMut(Found<'_>) -> Result<ControlFlow<()>, Stop>,
) -> Result<()> {
    let mut archive = Archive::new(Gunzip::new(input));
    let visited = visit_each(field, &mut archive, visit);
    let mut gunzip = archive.into_inner();
    let outcome = visited.and_then(|flow| match flow {
        ControlFlow::Break(()) => Ok(()),
        ControlFlow::Continue(()) => check_end(field, &mut gunzip),
    });
    outcome.map_err(|stop| match stop {
        Stop::Refused(error) => error,
        Stop::Unreadable(error) => gunzip.explain(field, &error),
    })
}

fn visit_each<R: Read>(
    field: &str,
    archive: &mut Archive<Gunzip<R>>,
    mut visit: impl FnMut(Found<'_>) -> Result<ControlFlow<()>, Stop>,
) -> Result<ControlFlow<()>, Stop> {
    let mut extensions = Extensions::default();
    let mut count = 0;
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let header = entry.header();
        let kind = match kind(header) {
            Ok(Kind::Extension) => {
                let extension = header.entry_type();
                extensions.read(field, extension, &mut entry)?;
                continue;
            }
            kind => kind,
        };
        count += 1;
        at_most(field, count, ARCHIVE_ENTRIES_MAX)?;
        let Extensions { name, size_bytes: other_size_bytes, .. } = std::mem::take(&mut extensions);
        let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = kind.map_err(|reason| refused(field, &name, &reason))?;
        let size_bytes = header.entry_size()?;
        // The other one is for files that a header cannot describe, of 8 GiB and more; those are too large anyway.
        if other_size_bytes.is_some_and(|other| other != size_bytes) {
            return Err(refused(field, &name, "has two sizes").into());
        }
        let flow = if kind == Kind::Folder {
            match folder_path(field, &name)? {
                Some(path) => visit(Found::Folder { path })?,
                None => ControlFlow::Continue(()),
            }
        } else {
            let path = path(field, &name)?;
            let executable = header.mode().is_ok_and(|mode| mode & 0o100 != 0);
            let content = &mut Whole { entry: &mut entry, left_bytes: size_bytes };
            visit(Found::File { path, size_bytes, executable, content })?
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    if extensions.is_empty() {
        Ok(ControlFlow::Continue(()))
    } else {
        Err(Error::bad_input(field.to_owned(), "the archive ends after an extension header").into())
    }
}

/// What comes after the last entry: blocks of zeros, at least one; then the end of the gzip, with a checksum that is
/// right; then nothing.
fn check_end<R: Read>(field: &str, gunzip: &mut Gunzip<R>) -> Result<(), Stop> {
    if gunzip.ended() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match gunzip.read(&mut buffer)? {
            0 => break,
            count if buffer[..count].iter().all(|byte| *byte == 0) => {}
            _ => {
                return Err(Error::bad_input(field.to_owned(), "something follows the end of the tar").into());
            }
        }
    }
    if gunzip.is_last()? {
        Ok(())
    } else {
        Err(Error::bad_input(field.to_owned(), "something follows the end of the gzip").into())
    }
}

fn path(field: &str, name: &[u8]) -> Result<ProjectPath> {
    ProjectPath::from_bytes(name).map_err(|rule| refused(field, name, &format!("is refused: {rule}")))
}

/// The path of a folder, whose name may end with a slash; none for the folder that everything is in.
fn folder_path(field: &str, name: &[u8]) -> Result<Option<ProjectPath>> {
    match name.strip_suffix(b"/").unwrap_or(name) {
        b"." => Ok(None),
        name => path(field, name).map(Some),
    }
}

fn refused(field: &str, name: &[u8], reason: &str) -> Error {
    Error::bad_input(field.to_owned(), format!("{} {reason}", shown(name)))
}

/// The content of a file; ending before its size is an error.
struct Whole<'a, 'b, R: Read> {
    entry: &'a mut Entry<'b, R>,
    left_bytes: u64,
}

impl<R: Read> Read for Whole<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.entry.read(buffer)?;
        if count == 0 && self.left_bytes > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left_bytes = self.left_bytes.saturating_sub(count as u64);
        Ok(count)
    }
}
