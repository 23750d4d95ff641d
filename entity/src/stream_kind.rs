//! What an execution's stream has.

use sea_orm::entity::prelude::*;

/// What an execution's stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum StreamKind {
    /// The lines of its log.
    #[sea_orm(string_value = "LOG")]
    Log,
    /// The rrweb events of its visual session.
    #[sea_orm(string_value = "VISUAL")]
    Visual,
}
