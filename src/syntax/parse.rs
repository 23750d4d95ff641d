//! From a source to the problems in it. Runs in a process of its own: see [`super::child`].

use std::ops::ControlFlow;

use rustix::time::{ClockId, clock_gettime};
use tree_sitter::{ParseOptions, Parser, Tree};

use super::Language;
use super::problems::problems;
use crate::domain::code::Problem;
use crate::domain::limits::SOURCE_PARSE_MILLISECONDS_MAX;

/// What the parser of `language` finds wrong with `source`; nothing when all is well.
pub(super) fn check(language: Language, source: &str) -> Vec<Problem> {
    let mut first = None;
    let deadline = Deadline::from_now();
    for grammar in language.grammars() {
        let Some(tree) = parse(&grammar, source, &deadline) else { return vec![took_too_long()] };
        let found = problems(language, &grammar, &tree, source);
        if found.is_empty() {
            return found;
        }
        first.get_or_insert(found);
    }
    first.unwrap_or_default()
}

fn parse(grammar: &tree_sitter::Language, source: &str, deadline: &Deadline) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(grammar).ok()?;
    let mut progress = |_: &tree_sitter::ParseState| match deadline.has_passed() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let bytes = source.as_bytes();
    let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
    parser.parse_with_options(&mut read, None, Some(ParseOptions::new().progress_callback(&mut progress)))
}

fn took_too_long() -> Problem {
    let seconds = SOURCE_PARSE_MILLISECONDS_MAX / 1_000;
    Problem { message: format!("the parser gave up after {seconds} s of work"), line: 1, column: 1 }
}

/// In processor time of this thread, so that a busy machine refuses nothing that an idle one takes.
struct Deadline {
    milliseconds: i64,
}

impl Deadline {
    fn from_now() -> Self {
        Self { milliseconds: worked_milliseconds() + SOURCE_PARSE_MILLISECONDS_MAX }
    }

    fn has_passed(&self) -> bool {
        worked_milliseconds() > self.milliseconds
    }
}

fn worked_milliseconds() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}
