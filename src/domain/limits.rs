//! Every limit that is not a setting, with its unit as the last word of its name.

// Tokens and the keys that verify them.

/// The longest token that is looked at; a Supabase token with large metadata has a few kilobytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The longest user or organisation id, in characters.
pub const TOKEN_ID_CHARS_MAX: usize = 255;
/// How far the clock of a token's issuer may be ahead of ours (`nbf`). An expiry has no leeway: sockets end on time.
pub const TOKEN_NOT_BEFORE_LEEWAY_SECONDS: i64 = 5;
/// Verified tokens that are remembered; the oldest are forgotten first.
pub const TOKEN_CACHE_ENTRIES_MAX: usize = 10_000;
/// After this long a remembered token is verified again, so that a withdrawn key stops working.
pub const TOKEN_CACHE_AGE_SECONDS_MAX: i64 = 600;
/// The longest life of a token that `runledger token` makes: ten years.
pub const TOKEN_LIFETIME_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;
/// The shortest HS256 secret: as long as the hash (RFC 7518, section 3.2).
pub const JWT_SECRET_BYTES_MIN: usize = 32;
/// The largest JWKS document that is read.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// The most keys of one JWKS document that are used.
pub const JWKS_KEYS_MAX: usize = 64;
/// How long fetching a JWKS document may take, connecting included.
pub const JWKS_FETCH_MILLISECONDS_MAX: u64 = 5_000;
/// The shortest time between two fetches of one JWKS document, however many unknown keys are asked for.
pub const JWKS_FETCH_INTERVAL_SECONDS_MIN: i64 = 10;
/// After this long a JWKS document is fetched again, so that withdrawn keys go.
pub const JWKS_AGE_SECONDS_MAX: i64 = 600;
