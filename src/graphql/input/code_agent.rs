//! Code agents to be made, changed, found, and their source.

use async_graphql::{ID, InputObject, MaybeUndefined};

use super::filter::checked_texts;
use crate::domain::code::Filter;
use crate::domain::limits::{SEARCH_WORDS_MAX, at_most};
use crate::domain::text;
use crate::error::Result;
use crate::graphql::context::uuid;
use crate::service::{CreateCodeAgent, PublishCodeVersion, UpdateCodeAgent};

/// Which code agents. All given conditions hold together.
#[derive(Debug, Default, InputObject)]
pub(in crate::graphql) struct CodeAgentFilter {
    /// Words, at most 10, each of which is found somewhere in the name or the description, upper and lower case alike. It
    /// looks through the tenant's agents, newest first, until the page is full.
    search: Option<String>,
    /// With exactly this name.
    name: Option<String>,
    /// In this language, upper and lower case alike.
    language: Option<String>,
    /// With any of these tags, at most 200; an empty list matches nothing.
    tags: Option<Vec<String>>,
}

/// A code agent to be made.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct CreateCodeAgentInput {
    /// For people; at most 255 characters. Several agents may have the same.
    name: String,
    /// What its source is written in; kept in lower case. Source in `python`, `javascript`, `typescript`, `rust`, `go`,
    /// `bash`, `sql` or `json` (or by a usual short name, such as `py`) is checked.
    language: String,
    /// At most 16 KiB.
    description: Option<String>,
    /// At most 50, each of at most 255 characters.
    tags: Option<Vec<String>>,
    /// Becomes version 1; at most 2 MiB. Source that is not valid is refused with BAD_INPUT, and no agent is made.
    source: Option<String>,
    /// Keep source that is not valid.
    #[graphql(default)]
    allow_invalid: bool,
}

/// A change of a code agent; what is left out stays as it is.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct UpdateCodeAgentInput {
    /// Which one.
    id: ID,
    /// At most 255 characters.
    name: Option<String>,
    /// At most 16 KiB; null removes it.
    description: MaybeUndefined<String>,
    /// All tags that it is to have.
    tags: Option<Vec<String>>,
}

/// Source to be published as the next version.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct PublishCodeVersionInput {
    /// Of which code agent.
    code_agent_id: ID,
    /// At most 2 MiB. It reads back byte for byte.
    source: String,
    /// Keep source that is not valid.
    #[graphql(default)]
    allow_invalid: bool,
}

impl CodeAgentFilter {
    /// The filter for services; `field` is its path.
    ///
    /// # Errors
    /// `BAD_INPUT`, `TOO_LARGE`.
    pub(in crate::graphql) fn check(self, field: &str) -> Result<Filter> {
        let search = text::short_optional(&format!("{field}.search"), self.search)?.unwrap_or_default();
        let words: Vec<_> = search.to_lowercase().split_whitespace().map(str::to_owned).collect();
        at_most(&format!("{field}.search"), words.len(), SEARCH_WORDS_MAX)?;
        let language = text::short_optional(&format!("{field}.language"), self.language)?;
        Ok(Filter {
            name: text::short_optional(&format!("{field}.name"), self.name)?,
            words,
            language: language.map(|language| language.trim().to_lowercase()),
            tags: checked_texts(field, "tags", self.tags)?,
        })
    }
}

impl From<CreateCodeAgentInput> for CreateCodeAgent {
    fn from(input: CreateCodeAgentInput) -> Self {
        Self {
            name: input.name,
            language: input.language,
            description: input.description,
            tags: input.tags.unwrap_or_default(),
            source: input.source,
            allow_invalid: input.allow_invalid,
        }
    }
}

impl UpdateCodeAgentInput {
    pub(in crate::graphql) fn check(self) -> Result<UpdateCodeAgent> {
        Ok(UpdateCodeAgent {
            id: uuid("input.id", &self.id)?,
            name: self.name,
            description: match self.description {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(description) => Some(Some(description)),
            },
            tags: self.tags,
        })
    }
}

impl PublishCodeVersionInput {
    pub(in crate::graphql) fn check(self) -> Result<PublishCodeVersion> {
        Ok(PublishCodeVersion {
            code_agent_id: uuid("input.codeAgentId", &self.code_agent_id)?,
            source: self.source,
            allow_invalid: self.allow_invalid,
        })
    }
}
