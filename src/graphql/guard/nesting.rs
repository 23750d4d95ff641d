//! How deep the brackets of a document are nested, known before anything recurses over it.
//!
//! The parser and all that comes after it use stack for each level; the parser's own limit leaves too little for the
//! others. Strings and comments are skipped, so that a bracket in them cannot hide one outside.

/// The deepest nesting of `(`, `[` and `{` together. A document that is not well-formed has some number, too.
pub(super) fn of(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = match byte {
            b'#' => after_comment(tail),
            b'"' => after_string(tail),
            b'(' | b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
                tail
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                tail
            }
            _ => tail,
        };
    }
    deepest
}

fn after_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.map_or(&[], |end| &text[end..])
}

/// After the string whose opening quote has been read.
fn after_string(text: &[u8]) -> &[u8] {
    if let Some(block) = text.strip_prefix(b"\"\"") {
        return after_block_string(block);
    }
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return rest,
            // An unended string ends with its line.
            [b'"' | b'\n' | b'\r', tail @ ..] => return tail,
            [b'\\', _, tail @ ..] | [_, tail @ ..] => tail,
        };
    }
}

fn after_block_string(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return rest,
            [b'"', b'"', b'"', tail @ ..] => return tail,
            [b'\\', b'"', b'"', b'"', tail @ ..] | [_, tail @ ..] => tail,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn brackets_are_counted_where_they_are_brackets() {
        for (text, depth) in [
            ("", 0),
            ("{ a(b: [1]) { c } }", 3),
            ("{ a } { b }", 1),
            (r#"{ a(b: "[[[", c: "\"[[[") }"#, 2),
            ("{ a(b: \"\"\"[[[ \"[[ \\\"\"\" [[\"\"\") }", 2),
            (r#"{ a(b: "") { c(d: "") } }"#, 3),
            ("{ # [[[\n a }", 1),
            ("]]]{", 1),
        ] {
            assert_eq!(of(text), depth, "{text}");
        }
    }

    #[test]
    fn what_closes_in_a_string_or_comment_hides_nothing() {
        assert_eq!(of(&r#"["]""#.repeat(500)), 500);
        assert_eq!(of(&r#"["""]""""#.repeat(500)), 500);
        assert_eq!(of(&"[#]\n".repeat(500)), 500);
    }
}
