//! What is wrong with the settings, all of it at once.

use std::fmt;

/// One setting that cannot be used, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable, as in `--help` and `.env.example`.
    pub variable: &'static str,
    /// What is allowed, and what was found unless it is a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.message)
    }
}

/// Collects problems while the settings are read.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Parses one value. A parser's error completes the sentence "it must be …".
    pub(super) fn parse<T>(
        &mut self,
        variable: &'static str,
        value: &str,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parser(value)
            .map_err(|allowed| self.add(variable, format!("is {value:?}; it must be {allowed}")))
            .ok()
    }

    /// Parses a value that must not be printed.
    pub(super) fn parse_secret<T>(
        &mut self,
        variable: &'static str,
        value: &str,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parser(value).map_err(|allowed| self.add(variable, format!("must be {allowed}"))).ok()
    }

    /// Parses every item of a comma-separated list.
    pub(super) fn parse_list<T>(
        &mut self,
        variable: &'static str,
        values: Option<&str>,
        parser: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let items = values.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
        items.filter_map(|item| self.parse(variable, item, &parser)).collect()
    }

    /// Notes a problem that is not about the form of one value.
    pub(super) fn add(&mut self, variable: &'static str, message: impl Into<String>) {
        self.0.push(Problem { variable, message: message.into() });
    }

    /// The result, if nothing was wrong.
    pub(super) fn finish<T>(self, result: Option<T>) -> Result<T, Vec<Problem>> {
        match result {
            Some(result) if self.0.is_empty() => Ok(result),
            _ => Err(self.0),
        }
    }
}
