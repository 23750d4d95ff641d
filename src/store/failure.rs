//! What a database error means to a caller.

use sea_orm::{DbErr, SqlErr};

use crate::error::Error;

/// Turns a database error into ours: what may pass is `UNAVAILABLE`, all else is a fault of Runledger.
pub(super) fn failed(error: DbErr) -> Error {
    if is_transient(&error) {
        return Error::Unavailable {
            message: "the database cannot do this right now; try again".into(),
            cause: Some(error.to_string()),
        };
    }
    Error::internal(error)
}

/// Whether a row with this key is there already.
pub(super) fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

fn is_transient(error: &DbErr) -> bool {
    let sqlx = match error {
        DbErr::ConnectionAcquire(_) => return true,
        DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error))
        | DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error))
        | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) => error,
        _ => return false,
    };
    match sqlx.as_ref() {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
        _ => false,
    }
}

/// PostgreSQL: connection trouble (08), serialization and deadlock (40), out of resources (53), shutdown (57).
/// SQLite: busy (5), locked (6), out of memory (7), I/O error (10), disk full (13), and their extended codes.
fn is_transient_code(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class));
    }
    code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 10 | 13))
}
