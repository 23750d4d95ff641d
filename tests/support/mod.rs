//! Storages for tests, in the process of the tests, that can be made to fail.

pub(crate) mod faults;
pub(crate) mod lifecycle;
pub(crate) mod s3;
pub(crate) mod supabase;
