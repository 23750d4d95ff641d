//! Figures on their way into rows, added up in memory first: for each hour alone, as the wider times follow from the hours.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{EVERY_TENANT, Row, Told};
use crate::clock::Timestamp;
use crate::domain::execution::Mode;
use crate::domain::stats::{Figures, Width, start_of};

/// What tells figures apart. Borrowed: an execution costs no copy of its texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'e> {
    pub tenant_id: &'e str,
    pub owner_id: &'e str,
    pub code_agent_id: Option<Uuid>,
    pub workflow_id: Option<&'e str>,
    pub project_key: Option<&'e str>,
    pub mode: Mode,
    /// When the executions were created.
    pub time: Timestamp,
}

/// Rows to be changed, and by what.
#[derive(Debug, Default)]
pub(super) struct Cells {
    names: Names,
    hours: HashMap<Cell, Figures>,
}

/// A text, as a number.
type Name = u32;

#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Arc<str>, Name>,
    texts: Vec<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Cell {
    subject: Subject,
    start: Timestamp,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Subject {
    tenant: Name,
    owner: Option<Name>,
    code_agent: Option<Uuid>,
    workflow: Option<Name>,
    project: Option<Name>,
}

impl Cells {
    /// How many there are; each becomes up to four rows.
    pub(super) fn len(&self) -> usize {
        self.hours.len()
    }

    /// Adds figures to the rows of their tenant that they count in: that of no condition, those of each condition alone,
    /// and that of all together, when there are several.
    pub(super) fn add(&mut self, of: Of<'_>, figures: &Figures) {
        let all = Subject {
            tenant: self.names.number(of.tenant_id),
            owner: Some(self.names.number(of.owner_id)),
            code_agent: of.code_agent_id,
            workflow: of.workflow_id.map(|id| self.names.number(id)),
            project: of.project_key.map(|key| self.names.number(key)),
        };
        let start = start_of(Width::Hour, of.time);
        for subject in all.counted() {
            self.hours.entry(Cell { subject, start, mode: of.mode }).or_default().add(figures);
        }
    }

    /// Adds figures to the rows of all tenants together.
    pub(super) fn add_to_every_tenant(&mut self, of: Of<'_>, figures: &Figures) {
        let subject = Subject::of_nothing(self.names.number(EVERY_TENANT));
        let start = start_of(Width::Hour, of.time);
        self.hours.entry(Cell { subject, start, mode: of.mode }).or_default().add(figures);
    }

    /// The rows, in the order of their ids.
    pub(super) fn into_rows(self) -> Vec<Row> {
        let mut rows: HashMap<(Width, Cell), Figures> = HashMap::with_capacity(self.hours.len() * 2);
        for (cell, figures) in self.hours {
            for width in [Width::Day, Width::Month, Width::All] {
                let wider = Cell { start: start_of(width, cell.start), ..cell };
                rows.entry((width, wider)).or_default().add(&figures);
            }
            rows.insert((Width::Hour, cell), figures);
        }
        let names = &self.names;
        let row = |((width, cell), figures): ((Width, Cell), Figures)| {
            let Cell { subject, start, mode } = cell;
            let told = Told {
                tenant_id: names.text(subject.tenant),
                owner_id: subject.owner.map(|name| names.text(name)),
                code_agent_id: subject.code_agent,
                workflow_id: subject.workflow.map(|name| names.text(name)),
                project_key: subject.project.map(|name| names.text(name)),
                width,
                start,
                mode,
            };
            Row { id: told.id(), told, figures }
        };
        let changed = rows.into_iter().filter(|(_, figures)| !figures.is_zero());
        let mut rows: Vec<_> = changed.map(row).collect();
        rows.sort_unstable_by_key(|row| row.id);
        rows
    }
}

impl Subject {
    fn of_nothing(tenant: Name) -> Self {
        Self { tenant, owner: None, code_agent: None, workflow: None, project: None }
    }

    fn counted(self) -> impl Iterator<Item = Self> {
        let nothing = Self::of_nothing(self.tenant);
        let owner = Self { owner: self.owner, ..nothing };
        let code_agent = Self { code_agent: self.code_agent, ..nothing };
        let workflow = Self { workflow: self.workflow, ..nothing };
        let project = Self { project: self.project, ..nothing };
        let single = [owner, code_agent, workflow, project];
        let all = (!single.contains(&self)).then_some(self);
        [nothing].into_iter().chain(single.into_iter().filter(move |one| *one != nothing)).chain(all)
    }
}

impl Names {
    fn number(&mut self, text: &str) -> Name {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = text.into();
        let number = Name::try_from(self.texts.len()).unwrap_or(Name::MAX);
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    fn text(&self, number: Name) -> Arc<str> {
        self.texts[number as usize].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'e>(workflow_id: Option<&'e str>, project_key: Option<&'e str>) -> Of<'e> {
        Of {
            tenant_id: "org:a",
            owner_id: "ada",
            code_agent_id: None,
            workflow_id,
            project_key,
            mode: Mode::CloudRun,
            time: "2026-02-03T04:05:06Z".parse().expect("it is RFC 3339"),
        }
    }

    fn rows(of: Of<'_>) -> Vec<Row> {
        let mut cells = Cells::default();
        cells.add(of, &Figures { queued: 1, ..Figures::default() });
        cells.into_rows()
    }

    #[test]
    fn an_execution_counts_in_few_rows() {
        // Of nothing, and of the owner; of each of four widths.
        assert_eq!(rows(of(None, None)).len(), 2 * 4);
        // And of the other condition, and of both.
        assert_eq!(rows(of(Some("w"), None)).len(), 4 * 4);
        // A combination is that of all conditions, not of any two.
        assert_eq!(rows(of(Some("w"), Some("p"))).len(), 5 * 4);
        let code_agent_id = Some(Uuid::nil());
        assert_eq!(rows(Of { code_agent_id, ..of(Some("w"), Some("p")) }).len(), 6 * 4);
    }

    #[test]
    fn rows_are_told_apart_and_found_again() {
        let mut ids: Vec<_> = rows(of(Some("w"), Some("p")))
            .into_iter()
            .chain(rows(of(Some("p"), Some("w"))))
            .map(|row| row.id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        // What has neither workflow nor project in it is the same.
        assert_eq!(ids.len(), 2 * 4 + 2 * 3 * 4);
        assert!(rows(of(None, None)).iter().all(|row| ids.contains(&row.id)));
    }

    #[test]
    fn what_adds_up_to_nothing_changes_no_row() {
        let one = Figures { queued: 1, ..Figures::default() };
        let mut cells = Cells::default();
        cells.add(of(Some("w"), None), &one);
        cells.add(of(Some("w"), None), &one.negated());
        assert!(cells.into_rows().is_empty());
    }
}
