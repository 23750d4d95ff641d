//! Generated projects as `tar.gz` archives: packing, checking, reading back, comparing. Blocking; no storage, no database.
//!
//! Promises:
//! - **Memory does not grow with the content.** Packing and [`inspect()`] hold a few buffers, and the paths of the files
//!   ([`PROJECT_PATHS_BYTES_MAX`](crate::domain::limits::PROJECT_PATHS_BYTES_MAX)). [`read_files`] and [`unified_diff`]
//!   hold what their own limits allow.
//! - **Limits hold while reading.** An archive that would unpack to more than is allowed is refused when it gets there,
//!   not after.
//! - **An archive means one thing.** What [`inspect()`] lets pass holds only files and folders, with the paths of
//!   [`ProjectPath`](crate::domain::manifest::ProjectPath), and unpacks to the same with every tool: where tools disagree
//!   (two names for one entry, bytes after the end, sizes that differ between headers), it is refused.
//! - **The same files, in the same order, make the same bytes**, with one build on one kind of processor: no times, no
//!   users, no modes but `644` and `755`.
//! - What is packed here passes [`inspect()`].
//!
//! Entries of an archive are read by the crate `tar`, one header at a time. Its own handling of long names and pax headers
//! is not used: it reads them into memory whole, whatever their size, and stops at the first empty line of a pax header.

mod diff;
mod entries;
mod folder;
mod gzip;
mod header;
mod inspect;
mod pack;
mod read;
mod sum;
#[cfg(test)]
mod tests;

pub use diff::unified_diff;
pub use folder::{Folder, pack_folder};
pub use inspect::inspect;
pub use pack::{PackFile, pack};
pub use read::read_files;
pub use sum::{Sum, Summed};

/// Content goes through buffers of this size.
const BUFFER_BYTES: usize = 64 * 1024;
