//! Pure types and rules.
