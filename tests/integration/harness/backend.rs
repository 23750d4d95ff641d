//! Each promise is tried on both databases.

use std::time::Duration;

use super::postgres::Database;

/// What a server stores its rows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// What a test asks for as its argument; `None` when the backend cannot be had here.
pub(crate) trait ForBackend: Sized {
    async fn on(backend: Backend) -> Option<Self>;
}

impl ForBackend for Backend {
    async fn on(backend: Backend) -> Option<Self> {
        Database::available(backend).await.then_some(backend)
    }
}

/// Far more than any test needs, so that one that hangs still says so.
const TEST_SECONDS_MAX: Duration = Duration::from_secs(300);

/// Says otherwise, for more kills than usual.
const TEST_SECONDS_VARIABLE: &str = "RUNLEDGER_TEST_SECONDS_MAX";

/// Tries `promise` on `backend`.
pub(crate) async fn run<T: ForBackend>(backend: Backend, promise: impl AsyncFnOnce(T)) {
    let Some(subject) = T::on(backend).await else { return };
    let longest = std::env::var(TEST_SECONDS_VARIABLE).ok().and_then(|seconds| seconds.parse().ok());
    let longest = longest.map_or(TEST_SECONDS_MAX, Duration::from_secs);
    tokio::time::timeout(longest, promise(subject)).await.expect("the test ends in time");
}

/// Makes the tests `name::sqlite` and `name::postgres` of each `async fn name`.
macro_rules! for_each_backend {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::harness::{Backend, run};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(Backend::Sqlite, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(Backend::Postgres, super::$name).await;
            }
        }
    )+};
}
pub(crate) use for_each_backend;

/// Makes the test `name::sqlite` of each `async fn name` whose promise is about its file.
macro_rules! for_sqlite {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::harness::{Backend, run};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(Backend::Sqlite, super::$name).await;
            }
        }
    )+};
}
pub(crate) use for_sqlite;

/// Makes the test `name::postgres` of each `async fn name` whose promise SQLite cannot give.
macro_rules! for_postgres {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::harness::{Backend, run};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(Backend::Postgres, super::$name).await;
            }
        }
    )+};
}
pub(crate) use for_postgres;
