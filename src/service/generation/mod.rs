//! Generations: save, read, compare, download, follow, delete.

mod change;
mod compare;
mod content;
mod download;
mod read;
mod save;

pub use compare::Compared;
pub use content::Contents;
pub use download::Archive;
pub use save::{ProjectFiles, SaveGeneration, Saved};
