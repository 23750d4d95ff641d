//! Importing from folders that are laid out well and badly, to a server in memory that misbehaves on demand.

mod fixture;
mod report;
mod scan;
mod send;
