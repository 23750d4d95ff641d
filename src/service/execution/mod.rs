//! Executions: start, change, finish, record, read, follow, delete.

mod binding;
mod change;
mod compare;
mod count;
mod delete;
mod follow;
mod input;
mod read;
mod record;
mod start;
mod writes;

pub use change::{Finish, Update};
pub use compare::ComparedExecutions;
pub use delete::Deleted;
pub use input::{Tokens, VisualChange};
pub use record::{RecordExecution, Recorded};
pub use start::{StartExecution, Started};
pub use writes::{Writer, Writes, write_in_groups};

use uuid::Uuid;

use super::Service;
use crate::analytics::Event;
use crate::event::Topic;
use crate::store::ExecutionRow;

/// Who is to be told of a change.
pub(super) fn topics(row: &ExecutionRow) -> [Topic; 4] {
    topics_of(&row.tenant_id, row.id)
}

fn topics_of(tenant_id: &str, id: Uuid) -> [Topic; 4] {
    [Topic::Tenant(tenant_id.to_owned()), Topic::Execution(id), Topic::Log(id), Topic::Visual(id)]
}

impl Service {
    fn tell_finished(&self, user_id: &str, row: &ExecutionRow) {
        let ExecutionRow { id, mode, code_agent_id, status, duration_ms, .. } = *row;
        let event = Event::ExecutionFinished { id, mode, code_agent_id, status, duration_ms };
        self.analytics.tell(user_id, &row.tenant_id, &event);
    }
}
