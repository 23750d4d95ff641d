//! Cloud storage in the process of the tests, of both kinds, and servers that use it.

use std::collections::BTreeMap;

use super::server::ServerBuilder;
use super::support::faults::Front;
use super::support::s3::{self, FakeS3};
use super::support::supabase::{self, FakeSupabase};
use super::{Backend, Server};

/// The bucket of generations.
pub(crate) const PROJECTS: &str = "codebegen-projects";
/// The bucket of sources.
pub(crate) const CODE: &str = "code-agents";
/// The bucket of logs.
pub(crate) const LOGS: &str = "agent-logs";

/// A kind of cloud storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloudKind {
    S3,
    Supabase,
}

/// A cloud storage that fails as it is told.
pub(crate) enum Cloud {
    S3(FakeS3),
    Supabase(FakeSupabase),
}

impl Cloud {
    pub(crate) async fn start(kind: CloudKind) -> Self {
        match kind {
            CloudKind::S3 => Self::S3(FakeS3::start().await),
            CloudKind::Supabase => Self::Supabase(FakeSupabase::start().await),
        }
    }

    /// What goes wrong, and what was asked.
    pub(crate) fn front(&self) -> &Front {
        match self {
            Self::S3(server) => server.front(),
            Self::Supabase(server) => server.front(),
        }
    }

    /// All objects of a bucket.
    pub(crate) fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        match self {
            Self::S3(server) => server.objects(bucket),
            Self::Supabase(server) => server.objects(bucket),
        }
    }

    /// Changes a stored object behind the server's back.
    pub(crate) fn corrupt(&self, bucket: &str, key: &str) {
        match self {
            Self::S3(server) => server.corrupt(bucket, key),
            Self::Supabase(server) => server.corrupt(bucket, key),
        }
    }

    /// The variables that make a server use it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let url = self.front().url();
        match self {
            Self::S3(_) => vec![
                ("RUNLEDGER_BLOB_BACKEND", "s3".into()),
                ("AWS_ENDPOINT_URL", url),
                ("AWS_ACCESS_KEY_ID", s3::ACCESS_KEY_ID.into()),
                ("AWS_SECRET_ACCESS_KEY", s3::SECRET_ACCESS_KEY.into()),
            ],
            Self::Supabase(_) => vec![
                ("RUNLEDGER_BLOB_BACKEND", "supabase".into()),
                ("SUPABASE_URL", url),
                ("SUPABASE_SERVICE_KEY", supabase::SECRET_KEY.into()),
            ],
        }
    }

    /// A server with a database of its own that uses it, not yet started.
    pub(crate) async fn server(&self, backend: Backend) -> ServerBuilder {
        self.used_by(Server::builder(backend).await)
    }

    /// A server that uses it, not yet started.
    pub(crate) fn used_by(&self, builder: ServerBuilder) -> ServerBuilder {
        self.environment().iter().fold(builder, |builder, (name, value)| builder.env(name, value))
    }
}
