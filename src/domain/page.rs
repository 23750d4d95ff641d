//! Pages of a list, after Relay's cursor specification: <https://relay.dev/graphql/connections.htm>.
//!
//! Pages are keyset pages: a cursor holds the sort key of its row, so that any page costs the same and rows that are
//! added or removed meanwhile shift nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::error::Error;

/// The place of a row in a list sorted by a number and then by id.
///
/// `order` names the sort, so that a cursor is not used with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub order: char,
    pub key: i64,
    pub id: Uuid,
}

impl Cursor {
    /// The opaque text for clients.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{}.{}", self.order, self.key, self.id.simple()))
    }

    /// Reads [`Cursor::encode`]'s text; `None` for anything else.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let text = std::str::from_utf8(&bytes).ok()?;
        let order = text.chars().next()?;
        let (key, id) = text.strip_prefix(order)?.split_once('.')?;
        Some(Self { order, key: key.parse().ok()?, id: Uuid::parse_str(id).ok()? })
    }
}

/// Which end of the list a page is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `first`: from the start, or from `after` on.
    Forward,
    /// `last`: from the end, or from `before` back.
    Backward,
}

/// `first`, `after`, `last` and `before`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page<C> {
    pub direction: Direction,
    /// At most [`PAGE_ROWS_MAX`].
    pub rows: u64,
    pub after: Option<C>,
    pub before: Option<C>,
}

/// The arguments of a connection, as they came.
#[derive(Debug, Clone, Default)]
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

impl PageArgs {
    /// Checks the arguments; `decode` reads a cursor.
    ///
    /// # Errors
    /// `BAD_INPUT` for both `first` and `last`, for a negative number and for a cursor of another list; `TOO_LARGE` for
    /// more than [`PAGE_ROWS_MAX`] rows.
    pub fn check<C>(self, decode: impl Fn(&str) -> Option<C>) -> Result<Page<C>, Error> {
        let cursor = |field: &'static str, text: Option<String>| {
            text.map(|text| {
                decode(&text).ok_or_else(|| {
                    Error::bad_input(field, format!("{field} must be a cursor that this list has given"))
                })
            })
            .transpose()
        };
        let (direction, field, rows) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_input("last", "give either first or last, not both"));
            }
            (None, Some(last)) => (Direction::Backward, "last", Some(last)),
            (first, None) => (Direction::Forward, "first", first),
        };
        Ok(Page {
            direction,
            rows: checked_rows(field, rows)?,
            after: cursor("after", self.after)?,
            before: cursor("before", self.before)?,
        })
    }
}

fn checked_rows(field: &'static str, rows: Option<i32>) -> Result<u64, Error> {
    let Some(rows) = rows else { return Ok(PAGE_ROWS_DEFAULT) };
    let rows =
        u64::try_from(rows).map_err(|_| Error::bad_input(field, format!("{field} must not be negative")))?;
    if rows > PAGE_ROWS_MAX.max {
        return Err(Error::TooLarge { field: field.into(), limit: PAGE_ROWS_MAX });
    }
    Ok(rows)
}

/// One page of rows, in the list's order whatever the direction, with what Relay wants to know.
#[derive(Debug)]
pub struct Rows<T> {
    pub rows: Vec<T>,
    pub has_next_page: bool,
    pub has_previous_page: bool,
}

impl<T> Rows<T> {
    /// Whether there are more rows in the direction of the page.
    pub fn has_more<C>(&self, page: &Page<C>) -> bool {
        match page.direction {
            Direction::Forward => self.has_next_page,
            Direction::Backward => self.has_previous_page,
        }
    }

    /// Makes a page from what was read: up to `page.rows + 1` rows in the direction of the page, the last of which only
    /// tells that there are more.
    pub fn from_read<C>(mut rows: Vec<T>, page: &Page<C>) -> Self {
        let more = rows.len() as u64 > page.rows;
        rows.truncate(usize::try_from(page.rows).unwrap_or(usize::MAX));
        match page.direction {
            Direction::Forward => Self { rows, has_next_page: more, has_previous_page: page.after.is_some() },
            Direction::Backward => {
                rows.reverse();
                Self { rows, has_next_page: page.before.is_some(), has_previous_page: more }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_garbage_does_not() {
        let cursor = Cursor { order: 'T', key: -1, id: Uuid::from_u128(7) };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        for text in ["", "x", "é", "AAAA", &URL_SAFE_NO_PAD.encode("T1"), &URL_SAFE_NO_PAD.encode("é1.2")] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }
}
