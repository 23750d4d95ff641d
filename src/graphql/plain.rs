//! Rows whose fields are plain: when nothing else is selected they are written as JSON text at once.
//!
//! async-graphql makes a future for every field of every row, and a tree of what they give: a third of a microsecond a field.
//! A field is plain if it takes no argument, waits for nothing and cannot fail. A selection with any other
//! field, or with something else that is not dealt with here, goes the usual way, and both ways give the same.

use std::borrow::Cow;

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::EnumType;
use async_graphql::{Context, ContextSelectionSet, OutputType, Positioned, QueryEnv, ServerResult, Value};
use uuid::Uuid;

use super::scalars::{DateTime, Decimal, Json};
use crate::store::Columns;

/// Room for the text of a row.
const ROW_BYTES: usize = 512;

/// An object type with plain fields.
pub(super) trait Plain: OutputType + Sized {
    /// Writes one of the plain fields; `None` for a field that is not plain.
    fn plain(field: &str, selection: &Selected<'_>) -> Option<Part<Self>>;
}

/// How a field of a row is written as JSON.
pub(super) struct Part<T> {
    /// What of the row it needs.
    pub(super) columns: Columns,
    pub(super) write: Box<Write<T>>,
}

type Write<T> = dyn Fn(&T, &mut String) + Send + Sync;

/// What is selected of a field that is an object.
#[derive(Clone, Copy)]
pub(super) struct Selected<'s> {
    query: &'s QueryEnv,
    set: &'s SelectionSet,
}

/// How the rows of a selection are written.
pub(super) struct Plan<T> {
    parts: Vec<(String, Part<T>)>,
    /// What of a row is needed.
    pub(super) columns: Columns,
}

impl<'s> Selected<'s> {
    /// Of the field that is being resolved.
    pub(super) fn of(context: &'s Context<'_>) -> Self {
        Self { query: context.query_env, set: &context.item.node.selection_set.node }
    }

    fn of_rows(context: &'s ContextSelectionSet<'_>) -> Self {
        Self { query: context.query_env, set: &context.item.node }
    }

    /// How a row of `T` is written with this selection; `None` if not all of it is plain.
    pub(super) fn plan<T: Plain>(&self) -> Option<Plan<T>> {
        self.plan_of(&T::type_name(), T::plain)
    }

    /// The same for an object that is a part of a row, whose fields `field` gives.
    pub(super) fn plan_of<T>(
        &self,
        type_name: &str,
        field: impl Fn(&str, &Selected<'_>) -> Option<Part<T>>,
    ) -> Option<Plan<T>> {
        let mut plan = Plan { parts: Vec::with_capacity(self.set.items.len()), columns: Columns::EMPTY };
        self.add_to(&mut plan, type_name, &field)?;
        Some(plan)
    }

    /// What of the rows of a connection is needed: those of `nodes`, and those of `edges`.
    pub(super) fn columns_of_connection<N: Plain, E: Plain>(&self) -> Columns {
        let mut columns = Columns::EMPTY;
        for selection in &self.set.items {
            // Whatever is in a fragment.
            let Selection::Field(field) = &selection.node else { return Columns::ALL };
            let rows = Selected { query: self.query, set: &field.node.selection_set.node };
            let needed = match field.node.name.node.as_str() {
                "nodes" => rows.plan::<N>().map(|plan| plan.columns),
                "edges" => rows.plan::<E>().map(|plan| plan.columns),
                _ => Some(Columns::EMPTY),
            };
            columns = columns.and(needed.unwrap_or(Columns::ALL));
        }
        columns
    }

    fn add_to<T>(
        &self,
        plan: &mut Plan<T>,
        type_name: &str,
        field: &impl Fn(&str, &Selected<'_>) -> Option<Part<T>>,
    ) -> Option<()> {
        for selection in &self.set.items {
            let (condition, directives, set) = match &selection.node {
                Selection::Field(selected) => {
                    plan.add(self.part(&selected.node, type_name, field)?, &selected.node)?;
                    continue;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = &self.query.fragments.get(name)?.node;
                    (Some(&fragment.type_condition), &spread.node.directives, &fragment.selection_set)
                }
                Selection::InlineFragment(inline) => {
                    (inline.node.type_condition.as_ref(), &inline.node.directives, &inline.node.selection_set)
                }
            };
            let is_of_type = condition.is_none_or(|condition| condition.node.on.node == type_name);
            if !is_of_type || !directives.is_empty() {
                return None;
            }
            Selected { query: self.query, set: &set.node }.add_to(plan, type_name, field)?;
        }
        Some(())
    }

    fn part<T>(
        &self,
        selected: &Field,
        type_name: &str,
        field: &impl Fn(&str, &Selected<'_>) -> Option<Part<T>>,
    ) -> Option<Part<T>> {
        // Those that skip and include have been dealt with.
        if !selected.directives.is_empty() || !selected.arguments.is_empty() {
            return None;
        }
        if selected.name.node == "__typename" {
            let name = format!("\"{type_name}\"");
            let write = move |_: &T, text: &mut String| text.push_str(&name);
            return Some(Part { columns: Columns::EMPTY, write: Box::new(write) });
        }
        field(&selected.name.node, &Selected { query: self.query, set: &selected.selection_set.node })
    }
}

impl<T> Plan<T> {
    /// `None` when the key is there already: then the two are to be merged.
    fn add(&mut self, part: Part<T>, selected: &Field) -> Option<()> {
        let key = format!("\"{}\":", selected.response_key().node);
        let is_new = self.parts.iter().all(|(other, _)| *other != key);
        self.columns = self.columns.and(part.columns);
        is_new.then(|| self.parts.push((key, part)))
    }

    /// Writes a row as a JSON object.
    pub(super) fn write(&self, row: &T, text: &mut String) {
        text.push('{');
        for (index, (key, part)) in self.parts.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(key);
            (part.write)(row, text);
        }
        text.push('}');
    }

    fn write_all(&self, rows: &[T]) -> String {
        let mut text = String::with_capacity(2 + rows.len() * ROW_BYTES);
        text.push('[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            self.write(row, &mut text);
        }
        text.push(']');
        text
    }
}

/// What a plain field has.
pub(super) enum Leaf<'r> {
    Text(&'r str),
    /// Text without a character that JSON escapes.
    Word(&'static str),
    Id(Uuid),
    Time(DateTime),
    Decimal(Decimal),
    Number(i64),
}

impl Leaf<'_> {
    fn write(self, text: &mut String) {
        match self {
            Self::Text(value) if value.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) => {
                text.push_str(&serde_json::to_string(value).unwrap_or_default());
            }
            Self::Text(word) | Self::Word(word) => quote(word, text),
            Self::Id(id) => quote(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()), text),
            Self::Time(time) => quoted(text, |text| time.write_to(text)),
            Self::Decimal(decimal) => quoted(text, |text| decimal.write_to(text)),
            Self::Number(number) => text.push_str(itoa::Buffer::new().format(number)),
        }
    }
}

/// The value of an enum, as the schema has it.
pub(super) fn word<E: EnumType>(value: E) -> Option<Leaf<'static>> {
    E::items().iter().find(|item| item.value == value).map(|item| Leaf::Word(item.name))
}

fn quote(word: &str, text: &mut String) {
    quoted(text, |text| text.push_str(word));
}

fn quoted(text: &mut String, write: impl FnOnce(&mut String)) {
    text.push('"');
    write(text);
    text.push('"');
}

/// A field that has one of these.
pub(super) fn leaf<T: 'static>(
    columns: Columns,
    get: impl for<'r> Fn(&'r T) -> Option<Leaf<'r>> + Send + Sync + 'static,
) -> Option<Part<T>> {
    let write = move |row: &T, text: &mut String| match get(row) {
        Some(leaf) => leaf.write(text),
        None => text.push_str("null"),
    };
    Some(Part { columns, write: Box::new(write) })
}

/// A list of rows.
pub(super) struct PlainList<'a, T: Clone>(pub(super) Cow<'a, [T]>);

impl<T: Plain + Clone> OutputType for PlainList<'_, T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let plan = Selected::of_rows(context).plan::<T>();
        match plan {
            Some(plan) => Ok(Json::from_text(plan.write_all(&self.0)).into_value()),
            None => self.0.as_ref().resolve(context, field).await,
        }
    }
}

/// One row.
pub(super) struct PlainRow<T>(pub(super) T);

impl<T: Plain> OutputType for PlainRow<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let plan = Selected::of_rows(context).plan::<T>();
        match plan {
            Some(plan) => {
                let mut text = String::with_capacity(ROW_BYTES);
                plan.write(&self.0, &mut text);
                Ok(Json::from_text(text).into_value())
            }
            None => self.0.resolve(context, field).await,
        }
    }
}
