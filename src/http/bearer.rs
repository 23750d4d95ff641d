//! `Bearer` tokens, as RFC 6750 writes them.

/// The token of `Bearer <token>`; the scheme is not case-sensitive.
pub(super) fn token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The token of `Bearer <token>`, or of a bare token, as clients put it into `connectionParams`.
pub(super) fn token_or_bare(authorization: &str) -> Option<&str> {
    let text = authorization.trim();
    if text.contains(' ') { token(text) } else { (!text.is_empty()).then_some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_not_case_sensitive_and_required() {
        assert_eq!(token("Bearer abc"), Some("abc"));
        assert_eq!(token("bearer  abc "), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("abc"), None);
        assert_eq!(token("Bearer "), None);
    }

    #[test]
    fn a_socket_also_takes_a_bare_token() {
        assert_eq!(token_or_bare("abc"), Some("abc"));
        assert_eq!(token_or_bare("BEARER abc"), Some("abc"));
        assert_eq!(token_or_bare("Basic abc"), None);
        assert_eq!(token_or_bare(""), None);
    }
}
