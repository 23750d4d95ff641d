//! The connections that read.
//!
//! sqlx's pool asks every connection that comes back whether it is still there: a round trip to PostgreSQL, two switches of
//! threads to SQLite, and until it is over the next read takes another connection. Many a read is done sooner. So those that
//! read keep their connections, and give them back to the pool only when something failed, and now and then.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::{Stream, TryStreamExt as _};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, Statement,
};
use sea_query_sqlx::SqlxValues;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection as _, Database, Executor as _, Pool, Postgres, Sqlite};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a request waits for a free connection, but for the answer of one that it asks whether it is still there.
pub(super) const ACQUIRE_MAX: Duration = Duration::from_secs(10);
/// A connection that was used so shortly before is not asked whether it is still there, which is a round trip.
pub(super) const TRUSTED: Duration = Duration::from_secs(1);
/// How long it may take to answer: one that a network has forgotten never does.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// One that is not needed for so long goes back to the pool, which closes it some time later.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// So does one that has been out of the pool for so long: the pool replaces those that have become old.
const KEPT_MAX: Duration = Duration::from_secs(600);

/// Connections to PostgreSQL that are never kept: one listens, one reads in a transaction, four write.
const OTHERS: u32 = 6;

/// A pool whose connections stay with those who read.
#[derive(Debug)]
pub(super) struct Readers {
    /// All connections, also for others.
    pub(super) database: DatabaseConnection,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Sqlite(Kept<Sqlite>),
    Postgres(Kept<Postgres>),
}

/// Where a reader's statements run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Connection<'c> {
    Any(&'c Readers),
    Transaction(&'c DatabaseTransaction),
}

struct Kept<DB: Database> {
    pool: Pool<DB>,
    /// How many may read at once.
    turns: Semaphore,
    kept_max: usize,
    /// The one that was used last comes last, and is used first.
    idle: Mutex<Vec<Idle<DB>>>,
}

struct Idle<DB: Database> {
    connection: PoolConnection<DB>,
    taken_at: Instant,
    used_at: Instant,
}

struct Taken<'k, DB: Database> {
    connection: PoolConnection<DB>,
    taken_at: Instant,
    _turn: SemaphorePermit<'k>,
}

impl Readers {
    /// So many connections, all of them kept. The pool must have more, for what reads in a transaction.
    pub(super) fn sqlite(database: DatabaseConnection, readers: u32) -> Self {
        let pool = database.get_sqlite_connection_pool().clone();
        Self { of: Of::Sqlite(Kept::of(pool, readers, readers)), database }
    }

    /// Half of the connections of a database. Of few, fewer are kept: others need them, too.
    pub(super) fn postgres(database: DatabaseConnection, connections: u32) -> Self {
        let readers = connections.div_ceil(2);
        let kept_max = readers.min(connections.saturating_sub(OTHERS));
        let pool = database.get_postgres_connection_pool().clone();
        Self { of: Of::Postgres(Kept::of(pool, readers, kept_max)), database }
    }

    /// How many connections are open, and how many of them nobody uses.
    pub(super) fn connections(&self) -> (u32, usize) {
        match &self.of {
            Of::Sqlite(kept) => (kept.pool.size(), kept.pool.num_idle() + kept.idle().len()),
            Of::Postgres(kept) => (kept.pool.size(), kept.pool.num_idle() + kept.idle().len()),
        }
    }

    /// Closes all connections, once they have done what they are at.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        match &self.of {
            Of::Sqlite(kept) => kept.give_all_back(),
            Of::Postgres(kept) => kept.give_all_back(),
        }
        self.database.close_by_ref().await
    }
}

impl<DB: Database> fmt::Debug for Kept<DB> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Kept")
    }
}

impl<DB: Database> Kept<DB> {
    fn of(pool: Pool<DB>, readers: u32, kept_max: u32) -> Self {
        let turns = Semaphore::new(readers as usize);
        Self { pool, turns, kept_max: kept_max as usize, idle: Mutex::default() }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle<DB>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self) -> Result<Taken<'_, DB>, DbErr> {
        let until = tokio::time::Instant::now() + ACQUIRE_MAX;
        let timed_out = |_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let turn = tokio::time::timeout_at(until, self.turns.acquire()).await.map_err(timed_out)?;
        let turn = turn.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?;
        let kept = self.idle().pop();
        if let Some(Idle { mut connection, taken_at, used_at }) = kept {
            let is_there = used_at.elapsed() < TRUSTED
                || matches!(tokio::time::timeout(ANSWER_MAX, connection.ping()).await, Ok(Ok(())));
            if is_there {
                return Ok(Taken { connection, taken_at, _turn: turn });
            }
            connection.close_on_drop(); // the pool would ask it once more, and wait for ever
        }
        let connection = tokio::time::timeout_at(until, self.pool.acquire()).await.map_err(timed_out)?;
        let connection = connection.map_err(not_acquired)?;
        Ok(Taken { connection, taken_at: Instant::now(), _turn: turn })
    }

    /// Keeps a connection that has done its work. Those that have not go back to the pool, which looks what they are worth.
    fn keep(&self, taken: Taken<'_, DB>) {
        let used_at = Instant::now();
        let mut idle = self.idle();
        let is_old = taken.taken_at.elapsed() > KEPT_MAX;
        if is_old || idle.len() >= self.kept_max || self.turns.is_closed() {
            return;
        }
        idle.push(Idle { connection: taken.connection, taken_at: taken.taken_at, used_at });
        let is_needless = idle[0].used_at.elapsed() > IDLE_MAX;
        let needless = is_needless.then(|| idle.remove(0));
        drop(idle);
        drop(needless);
    }

    fn give_all_back(&self) {
        self.turns.close();
        self.idle().clear();
    }
}

fn not_acquired(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}

fn query<DB: Database>(statement: Statement) -> sqlx::query::Query<'static, DB, SqlxValues>
where
    SqlxValues: sqlx::IntoArguments<DB>,
{
    let values = statement.values.unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values))
}

/// What `$work` gives on a connection, which is kept when that is no error.
macro_rules! run {
    ($kept:expr, |$connection:ident| $work:expr) => {{
        let mut taken = $kept.take().await?;
        let $connection = &mut *taken.connection;
        let done = $work.await;
        if done.is_ok() {
            $kept.keep(taken);
        }
        done
    }};
}

#[async_trait::async_trait]
impl ConnectionTrait for Readers {
    fn get_database_backend(&self) -> DbBackend {
        self.database.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let done = match &self.of {
            Of::Sqlite(kept) => run!(kept, |connection| query(statement).execute(connection)).map(Into::into),
            Of::Postgres(kept) => {
                run!(kept, |connection| query(statement).execute(connection)).map(Into::into)
            }
        };
        done.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql = AssertSqlSafe(sql.to_owned());
        let done = match &self.of {
            Of::Sqlite(kept) => run!(kept, |connection| connection.execute(sql)).map(Into::into),
            Of::Postgres(kept) => run!(kept, |connection| connection.execute(sql)).map(Into::into),
        };
        done.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let row = match &self.of {
            Of::Sqlite(kept) => run!(kept, |connection| query(statement).fetch_optional(connection))
                .map(|row| row.map(Into::into)),
            Of::Postgres(kept) => run!(kept, |connection| query(statement).fetch_optional(connection))
                .map(|row| row.map(Into::into)),
        };
        row.map_err(not_read)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let rows = match &self.of {
            Of::Sqlite(kept) => run!(kept, |connection| gathered(query(statement).fetch(connection)))
                .map(|rows| rows.into_iter().map(Into::into).collect()),
            Of::Postgres(kept) => run!(kept, |connection| query(statement).fetch_all(connection))
                .map(|rows| rows.into_iter().map(Into::into).collect()),
        };
        rows.map_err(not_read)
    }
}

/// All rows. A thread of SQLite's hands over each by itself and wakes whoever waits for it: when the first is there, others
/// have their turn, until most of the rest are there, too.
async fn gathered<R>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
) -> Result<Vec<R>, sqlx::Error> {
    let mut gathered = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if gathered.is_empty() {
            let_others().await;
        }
        gathered.push(row);
    }
    Ok(gathered)
}

/// Waits until the tasks that are ready have had their turn. Tokio's `yield_now` waits longer: until none is ready.
async fn let_others() {
    let mut had_their_turn = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut had_their_turn, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn not_read(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

#[async_trait::async_trait]
impl ConnectionTrait for Connection<'_> {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Any(readers) => readers.get_database_backend(),
            Self::Transaction(transaction) => transaction.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Any(readers) => readers.execute_raw(statement).await,
            Self::Transaction(transaction) => transaction.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Any(readers) => readers.execute_unprepared(sql).await,
            Self::Transaction(transaction) => transaction.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Any(readers) => readers.query_one_raw(statement).await,
            Self::Transaction(transaction) => transaction.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Any(readers) => readers.query_all_raw(statement).await,
            Self::Transaction(transaction) => transaction.query_all_raw(statement).await,
        }
    }
}
