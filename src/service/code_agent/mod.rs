//! Code agents: make, change, publish versions, read, delete.
//!
//! Names are for people: several agents may have the same. What executions ran stays recorded when an agent is deleted.

mod change;
mod publish;
mod read;

pub use change::{CreateCodeAgent, UpdateCodeAgent};
pub use publish::{PublishCodeVersion, Published};
