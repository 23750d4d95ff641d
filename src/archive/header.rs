//! What headers of an archive say: of their own entry, and, in extension headers, of the next one.

use std::io::Read;

use tar::{EntryType, Header};

use super::entries::Stop;
use crate::domain::limits::ARCHIVE_HEADER_BYTES_MAX;
use crate::error::Error;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// It says something of the next entry.
    Extension,
}

/// Reads the kind of an entry.
///
/// # Errors
/// Why it cannot be taken, to be put after its name.
pub(super) fn kind(header: &Header) -> Result<Kind, String> {
    // Where the magic word is cut or varied, tools disagree about which fields a header has.
    let is_known = header.as_ustar().is_some() || header.as_gnu().is_some();
    if !is_known && header.as_bytes()[257..].starts_with(b"ustar") {
        return Err("has a header of an unknown format".into());
    }
    // GNU headers have no such field; some tools read it all the same.
    if header.as_gnu().is_some() && header.as_bytes()[345..500].iter().any(|byte| *byte != 0) {
        return Err("has fields of an incremental backup".into());
    }
    let is_folder = header.entry_type() == EntryType::Directory;
    match header.entry_type() {
        EntryType::Regular if header.path_bytes().ends_with(b"/") => {
            Err("is a file whose name ends like that of a folder".into())
        }
        EntryType::Regular => Ok(Kind::File),
        EntryType::Directory if header.entry_size().is_ok_and(|size| size == 0) => Ok(Kind::Folder),
        EntryType::GNULongName | EntryType::XHeader | EntryType::XGlobalHeader if is_known => {
            Ok(Kind::Extension)
        }
        other => Err(match other {
            EntryType::Symlink => "is a symbolic link".into(),
            EntryType::Link => "is a hard link".into(),
            EntryType::GNULongLink => "is the target of a link".into(),
            EntryType::Char | EntryType::Block => "is a device".into(),
            EntryType::Fifo => "is a pipe".into(),
            EntryType::GNUSparse => "is a sparse file".into(),
            _ if is_folder => "is a folder with content".into(),
            other => {
                format!("is neither a file nor a folder, but of type {}", other.as_byte().escape_ascii())
            }
        }),
    }
}

/// What extension headers have said of the next entry.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    seen: Vec<EntryType>,
    /// Its name, where it is not in its own header.
    pub name: Option<Vec<u8>>,
    /// Its size, in a pax header.
    pub size_bytes: Option<u64>,
}

impl Extensions {
    /// Whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Reads one extension header.
    ///
    /// # Errors
    /// `BAD_INPUT` for one that comes twice, is larger than [`ARCHIVE_HEADER_BYTES_MAX`], or says what tools disagree
    /// about.
    pub(super) fn read(&mut self, field: &str, kind: EntryType, mut content: impl Read) -> Result<(), Stop> {
        let refused = |message: &str| Stop::from(Error::bad_input(field.to_owned(), message.to_owned()));
        if self.seen.contains(&kind) {
            return Err(refused("an entry has two extension headers of one type"));
        }
        self.seen.push(kind);
        let mut text = Vec::new();
        content.by_ref().take(ARCHIVE_HEADER_BYTES_MAX.max + 1).read_to_end(&mut text)?;
        if ARCHIVE_HEADER_BYTES_MAX.is_passed_by(text.len()) {
            return Err(
                Error::TooLarge { field: field.to_owned().into(), limit: ARCHIVE_HEADER_BYTES_MAX }.into()
            );
        }
        if kind == EntryType::GNULongName {
            // It ends with a NUL; one before the end is refused as part of the path.
            let end = text.strip_suffix(b"\0").unwrap_or(&text).len();
            text.truncate(end);
            return self.set_name(text).map_err(refused);
        }
        let is_global = kind == EntryType::XGlobalHeader;
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let (key, value, after) = pax_record(rest).ok_or_else(|| refused("a pax header is malformed"))?;
            self.note(key, value, is_global).map_err(refused)?;
            rest = after;
        }
        Ok(())
    }

    fn note(&mut self, key: &[u8], value: &[u8], is_global: bool) -> Result<(), &'static str> {
        match key {
            b"path" | b"size" if is_global => Err("a pax header says the same of all entries"),
            b"path" => self.set_name(value.to_vec()),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let size = size.ok_or("a pax header is malformed")?;
                if self.size_bytes.replace(size).is_some() {
                    return Err("an entry has two sizes");
                }
                Ok(())
            }
            b"linkpath" => Err("an entry is a link"),
            _ if key.starts_with(b"GNU.sparse.") => Err("an entry is a sparse file"),
            // Times, users, attributes, comments.
            _ => Ok(()),
        }
    }

    fn set_name(&mut self, name: Vec<u8>) -> Result<(), &'static str> {
        match self.name.replace(name) {
            Some(_) => Err("an entry has two names"),
            None => Ok(()),
        }
    }
}

/// The first record of a pax header, `LENGTH KEY=VALUE\n`, and what follows it. The length counts all of it, so that a
/// value may contain anything; a parser that looks for the end of the line would see other records.
fn pax_record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = text.iter().position(|byte| *byte == b' ')?;
    let digits = &text[..space];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (record, after) = text.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_pax_header_is_as_long_as_it_says() {
        assert_eq!(
            pax_record(b"9 a=b\n\nc\n8 d=efg\n"),
            Some((&b"a"[..], &b"b\n\nc"[..], &b"8 d=efg\n"[..]))
        );
        for bad in [
            "",
            " a=b\n",
            "6 a=b",
            "5 a=b\n",
            "7 a=b\n",
            "+6 a=b\n",
            "6 a-b\n",
            "x a=b\n",
            "1 a=b\n",
            "99999999999999999999 a=b\n",
        ] {
            assert_eq!(pax_record(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
