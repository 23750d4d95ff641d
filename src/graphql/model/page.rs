//! Relay's page information: <https://relay.dev/graphql/connections.htm>.

use async_graphql::SimpleObject;

use crate::domain::page::Rows;

/// Where a page stands in its list.
#[derive(Debug, Clone, SimpleObject)]
pub(in crate::graphql) struct PageInfo {
    /// Whether rows follow. Paging backwards, whether `before` was given.
    pub has_next_page: bool,
    /// Whether rows come before. Paging forwards, whether `after` was given.
    pub has_previous_page: bool,
    /// The cursor of the first edge, to be given as `before`. Null for an empty page.
    pub start_cursor: Option<String>,
    /// The cursor of the last edge, to be given as `after`. Null for an empty page.
    pub end_cursor: Option<String>,
}

impl PageInfo {
    /// The information about a page whose rows have these cursors.
    pub(super) fn of<T>(rows: &Rows<T>, cursor: impl Fn(&T) -> String) -> Self {
        Self {
            has_next_page: rows.has_next_page,
            has_previous_page: rows.has_previous_page,
            start_cursor: rows.rows.first().map(&cursor),
            end_cursor: rows.rows.last().map(&cursor),
        }
    }
}
