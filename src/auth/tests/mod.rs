//! Which tokens are accepted, and what they mean.

mod fixture;
mod issuers;
mod tokens;
