//! Generations: generated projects, one archive of files each.

pub use entity::generation::UploadState;
