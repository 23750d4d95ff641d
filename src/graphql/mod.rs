//! Placeholder: the GraphQL schema.

/// The schema as text.
pub fn sdl() -> String {
    String::new()
}
