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
    /// Whether there are several conditions: then the executions are spread over rows, one for every combination of
    /// values that executions have.
    pub fn is_combination(&self) -> bool {
        let Self { owner_id, code_agent_id, workflow_id, project_key } = self;
        let conditions =
            [owner_id.is_some(), code_agent_id.is_some(), workflow_id.is_some(), project_key.is_some()];
        conditions.into_iter().filter(|is_there| *is_there).count() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_conditions_are_a_combination() {
        let owner = Subject { owner_id: Some("ada".into()), ..Subject::default() };
        assert!(!Subject::default().is_combination() && !owner.is_combination());
        assert!(Subject { project_key: Some(String::new()), ..owner.clone() }.is_combination());
        assert!(Subject { code_agent_id: Some(Uuid::nil()), ..owner }.is_combination());
    }
}
