//! Rows whose fields are plain: when nothing else is selected they are written as JSON text at once.
//!
//! async-graphql makes a future for every field of every row, and a tree of what they give; that takes five times as long as
//! reading the rows. A field is plain if it takes no argument, waits for nothing and cannot fail. A selection with any other
//! field, or with something else that is not dealt with here, goes the usual way, and both ways give the same.

use std::borrow::Cow;

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};

use super::scalars::Json;

/// Room for the text of a row.
const ROW_BYTES: usize = 512;

/// An object type with plain fields.
pub(super) trait Plain: OutputType + Sized {
    /// Writes one of the plain fields; `None` for a field that is not plain.
    fn plain(field: &str, selection: &Selected<'_, '_>) -> Option<Writer<Self>>;
}

/// Writes a field of a row as JSON.
pub(super) type Writer<T> = Box<dyn Fn(&T, &mut String) + Send + Sync>;

/// What is selected of a field that is an object.
#[derive(Clone, Copy)]
pub(super) struct Selected<'s, 'c> {
    context: &'s ContextSelectionSet<'c>,
    set: &'s SelectionSet,
}

/// How the rows of a selection are written.
pub(super) struct Plan<T>(Vec<(String, Writer<T>)>);

impl Selected<'_, '_> {
    /// How a row of `T` is written with this selection; `None` if not all of it is plain.
    pub(super) fn plan<T: Plain>(&self) -> Option<Plan<T>> {
        self.plan_of(&T::type_name(), T::plain)
    }

    /// The same for an object that is a part of a row, whose fields `field` gives.
    pub(super) fn plan_of<T>(
        &self,
        type_name: &str,
        field: impl Fn(&str, &Selected<'_, '_>) -> Option<Writer<T>>,
    ) -> Option<Plan<T>> {
        let mut plan = Plan(Vec::with_capacity(self.set.items.len()));
        self.add_to(&mut plan, type_name, &field)?;
        Some(plan)
    }

    fn add_to<T>(
        &self,
        plan: &mut Plan<T>,
        type_name: &str,
        field: &impl Fn(&str, &Selected<'_, '_>) -> Option<Writer<T>>,
    ) -> Option<()> {
        for selection in &self.set.items {
            let (condition, directives, set) = match &selection.node {
                Selection::Field(selected) => {
                    plan.add(self.writer(&selected.node, type_name, field)?, &selected.node)?;
                    continue;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = &self.context.query_env.fragments.get(name)?.node;
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
            Selected { context: self.context, set: &set.node }.add_to(plan, type_name, field)?;
        }
        Some(())
    }

    fn writer<T>(
        &self,
        selected: &Field,
        type_name: &str,
        field: &impl Fn(&str, &Selected<'_, '_>) -> Option<Writer<T>>,
    ) -> Option<Writer<T>> {
        // Those that skip and include have been dealt with.
        if !selected.directives.is_empty() || !selected.arguments.is_empty() {
            return None;
        }
        if selected.name.node == "__typename" {
            let name = format!("\"{type_name}\"");
            return Some(Box::new(move |_, text| text.push_str(&name)));
        }
        field(&selected.name.node, &Selected { context: self.context, set: &selected.selection_set.node })
    }
}

impl<T> Plan<T> {
    /// `None` when the key is there already: then the two are to be merged.
    fn add(&mut self, writer: Writer<T>, selected: &Field) -> Option<()> {
        let key = format!("\"{}\":", selected.response_key().node);
        let is_new = self.0.iter().all(|(other, _)| *other != key);
        is_new.then(|| self.0.push((key, writer)))
    }

    /// Writes a row as a JSON object.
    pub(super) fn write(&self, row: &T, text: &mut String) {
        text.push('{');
        for (index, (key, write)) in self.0.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(key);
            write(row, text);
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
    Text(Cow<'r, str>),
    /// Text without a character that JSON escapes.
    Word(Cow<'r, str>),
    Number(i64),
}

/// A writer for a field of these.
pub(super) fn leaf<T: 'static>(
    get: impl for<'r> Fn(&'r T) -> Option<Leaf<'r>> + Send + Sync + 'static,
) -> Option<Writer<T>> {
    use std::fmt::Write as _;
    Some(Box::new(move |row, text| {
        // What is written is memory: it cannot fail.
        let _ = match get(row) {
            None => text.write_str("null"),
            Some(Leaf::Word(word)) => write!(text, "\"{word}\""),
            Some(Leaf::Number(number)) => write!(text, "{number}"),
            Some(Leaf::Text(value)) => {
                text.push_str(&serde_json::to_string(&*value).unwrap_or_default());
                Ok(())
            }
        };
    }))
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
        let plan = Selected { context, set: &context.item.node }.plan::<T>();
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
        let plan = Selected { context, set: &context.item.node }.plan::<T>();
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
