//! What is told, and nothing else.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::execution::{Mode, Status, mode_word, status_word};

/// Something that somebody did.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    AgentCreated {
        code_agent_id: Uuid,
        language: &'a str,
    },
    VersionPublished {
        code_agent_id: Uuid,
        language: &'a str,
        version: i32,
        is_valid: bool,
    },
    ValidationFailed {
        code_agent_id: Option<Uuid>,
        language: &'a str,
        problems: usize,
    },
    ExecutionStarted {
        id: Uuid,
        mode: Mode,
        code_agent_id: Option<Uuid>,
    },
    ExecutionFinished {
        id: Uuid,
        mode: Mode,
        code_agent_id: Option<Uuid>,
        status: Status,
        duration_ms: Option<i64>,
    },
    GenerationCreated {
        id: Uuid,
        version: i32,
        files: i32,
        size_bytes: i64,
    },
    /// A link to it was given.
    GenerationDownloaded {
        id: Uuid,
        version: i32,
        size_bytes: i64,
    },
}

impl Event<'_> {
    /// As PostHog lists it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::AgentCreated { .. } => "agent_created",
            Self::VersionPublished { .. } => "version_published",
            Self::ValidationFailed { .. } => "validation_failed",
            Self::ExecutionStarted { .. } => "execution_started",
            Self::ExecutionFinished { .. } => "execution_finished",
            Self::GenerationCreated { .. } => "generation_created",
            Self::GenerationDownloaded { .. } => "generation_downloaded",
        }
    }

    pub(super) fn properties(&self) -> Value {
        match self {
            Self::AgentCreated { code_agent_id, language } => {
                json!({ "code_agent_id": code_agent_id, "language": language })
            }
            Self::VersionPublished { code_agent_id, language, version, is_valid } => json!({
                "code_agent_id": code_agent_id, "language": language, "version": version, "is_valid": is_valid,
            }),
            Self::ValidationFailed { code_agent_id, language, problems } => {
                json!({ "code_agent_id": code_agent_id, "language": language, "problems": problems })
            }
            Self::ExecutionStarted { id, mode, code_agent_id } => {
                json!({ "execution_id": id, "mode": mode_word(*mode), "code_agent_id": code_agent_id })
            }
            Self::ExecutionFinished { id, mode, code_agent_id, status, duration_ms } => json!({
                "execution_id": id, "mode": mode_word(*mode), "code_agent_id": code_agent_id,
                "status": status_word(*status), "duration_ms": duration_ms,
            }),
            Self::GenerationCreated { id, version, files, size_bytes } => {
                json!({ "generation_id": id, "version": version, "files": files, "size_bytes": size_bytes })
            }
            Self::GenerationDownloaded { id, version, size_bytes } => {
                json!({ "generation_id": id, "version": version, "size_bytes": size_bytes })
            }
        }
    }
}
