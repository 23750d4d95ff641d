//! What is wrong with a source, read off its tree.
//!
//! Parsers made for editors recover from everything and mark what they skipped or made up. The place of a problem is
//! the first token that could not stand where it stands; when none can be told, where the skipped part begins. Two
//! grammars take more than their language does, and get a rule of their own.

use tree_sitter::{Language as Grammar, Node, Tree, TreeCursor};

use super::Language;
use crate::domain::code::Problem;
use crate::domain::limits::SOURCE_PROBLEMS_MAX;

/// How much of the source a message quotes, in characters.
const QUOTE_CHARS_MAX: usize = 40;
/// Tokens of a skipped part that are looked at for the one that does not fit.
const TOKENS_MAX: usize = 20_000;

/// The problems of a source that has been parsed, in their order, at most [`SOURCE_PROBLEMS_MAX`].
pub(super) fn problems(language: Language, grammar: &Grammar, tree: &Tree, source: &str) -> Vec<Problem> {
    let root = tree.root_node();
    let reads_all = matches!(language, Language::Json | Language::Python);
    let mut problems = Vec::new();
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        let found = problem(language, grammar, node, source);
        let descends = found.is_none() && (reads_all || node.has_error());
        problems.extend(found);
        if problems.len() == SOURCE_PROBLEMS_MAX {
            break;
        }
        let has_moved = descends && cursor.goto_first_child();
        if !has_moved && !goto_next(&mut cursor) {
            break;
        }
    }
    if language == Language::Json && problems.is_empty() {
        problems.extend(not_one_value(root, source));
    }
    problems
}

/// The next node after this one and all below it.
fn goto_next(cursor: &mut TreeCursor<'_>) -> bool {
    loop {
        if cursor.goto_next_sibling() {
            return true;
        }
        if !cursor.goto_parent() {
            return false;
        }
    }
}

fn problem(language: Language, grammar: &Grammar, node: Node<'_>, source: &str) -> Option<Problem> {
    let (message, node) = if node.is_error() {
        match misfit(grammar, node) {
            Some(token) => (format!("unexpected {}", quote(token, source)), token),
            None => (format!("syntax error at {}", quote(node, source)), node),
        }
    } else if node.is_missing() {
        let what = node.kind();
        let what = if node.is_named() { what.replace('_', " ") } else { format!("`{what}`") };
        (format!("{what} is missing"), node)
    } else {
        let message = match (language, node.kind()) {
            (Language::Python, "block") if node.named_child_count() == 0 => "an indented block is missing",
            (Language::Json, "comment") => "JSON has no comments",
            _ => return None,
        };
        (message.into(), node)
    };
    Some(at(node, source, message))
}

/// The first token inside a skipped part that could not follow what stands before it.
fn misfit<'t>(grammar: &Grammar, skipped: Node<'t>) -> Option<Node<'t>> {
    let mut cursor = skipped.walk();
    for _ in 0..TOKENS_MAX {
        let node = cursor.node();
        if cursor.goto_first_child() {
            continue;
        }
        if node.is_error() || !node.is_extra() && !fits(grammar, node) {
            return Some(node).filter(|node| *node != skipped);
        }
        if !goto_next(&mut cursor) {
            break;
        }
    }
    None
}

/// Whether a parser that saw this token was waiting for such a one.
fn fits(grammar: &Grammar, token: Node<'_>) -> bool {
    let expected = grammar.lookahead_iterator(token.parse_state());
    expected
        .is_none_or(|mut expected| expected.any(|kind| kind == token.kind_id() || kind == token.grammar_id()))
}

fn not_one_value(root: Node<'_>, source: &str) -> Option<Problem> {
    match root.named_child_count() {
        1 => None,
        0 => Some(at(root, source, "a JSON document is one value".into())),
        _ => Some(at(root.named_child(1)?, source, "a JSON document is one value".into())),
    }
}

fn at(node: Node<'_>, source: &str, message: String) -> Problem {
    let (place, byte) = (node.start_position(), node.start_byte());
    let before = source.as_bytes().get(byte.saturating_sub(place.column)..byte).unwrap_or_default();
    // Every character has one byte that does not continue another.
    let characters = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
    let mark = usize::from(place.row == 0 && characters > 0 && source.starts_with('\u{feff}'));
    let from_one = |from_zero: usize| u32::try_from(from_zero + 1).unwrap_or(u32::MAX);
    Problem { message, line: from_one(place.row), column: from_one(characters - mark) }
}

fn quote(node: Node<'_>, source: &str) -> String {
    let text = source.get(node.byte_range()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return if text.is_empty() { "the end".into() } else { "the end of the line".into() };
    }
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let quoted: String = line.chars().take(QUOTE_CHARS_MAX).map(visible).collect();
    let dots = if line.chars().nth(QUOTE_CHARS_MAX).is_some() { "…" } else { "" };
    format!("`{quoted}{dots}`")
}
