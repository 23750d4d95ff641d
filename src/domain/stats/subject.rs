//! Which executions are counted together.

use uuid::Uuid;

/// Conditions that hold together; `None` is no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Subject {
    pub owner_id: Option<String>,
    pub code_agent_id: Option<Uuid>,
    pub workflow_id: Option<String>,
    pub project_key: Option<String>,
}

impl Subject {
    /// Every choice of these conditions, from none to all of them: an execution with these values is counted in each, so
    /// that whatever is asked for has a row of its own. That is two choices for each condition that there is.
    pub fn choices(&self) -> Vec<Self> {
        let mut choices = vec![Self::default()];
        let mut choose = |set: &dyn Fn(&mut Self)| {
            let with = choices.clone().into_iter().map(|mut choice| {
                set(&mut choice);
                choice
            });
            choices.extend(with.collect::<Vec<_>>());
        };
        if self.owner_id.is_some() {
            choose(&|choice| choice.owner_id.clone_from(&self.owner_id));
        }
        if self.code_agent_id.is_some() {
            choose(&|choice| choice.code_agent_id = self.code_agent_id);
        }
        if self.workflow_id.is_some() {
            choose(&|choice| choice.workflow_id.clone_from(&self.workflow_id));
        }
        if self.project_key.is_some() {
            choose(&|choice| choice.project_key.clone_from(&self.project_key));
        }
        choices
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_choice_of_conditions_is_there_once() {
        let full = Subject {
            owner_id: Some("ada".into()),
            code_agent_id: Some(Uuid::nil()),
            workflow_id: Some("nightly".into()),
            project_key: Some(String::new()),
        };
        let choices = full.choices();
        assert_eq!(choices.len(), 16);
        assert_eq!(choices.iter().collect::<HashSet<_>>().len(), 16);
        assert!(choices.contains(&full) && choices.contains(&Subject::default()));
        let few = Subject { workflow_id: None, project_key: None, ..full };
        assert_eq!(few.choices().len(), 4);
    }
}
