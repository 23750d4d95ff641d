//! What SQLite and PostgreSQL spell differently. Nothing else in the store asks which one it is.

use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Query, SelectStatement};
use sea_orm::{ColumnTrait, DbBackend, Iden, Statement};
use uuid::Uuid;

use super::scoped::subselect;
use crate::clock::Timestamp;
use crate::domain::text::hex;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// A time between two others, as SQL: see [`Dialect::exceeding`].
pub(super) struct Exceeding {
    /// As its index has it.
    pub(super) time: String,
    /// Which rows the index has.
    pub(super) is_long: String,
    pub(super) seconds: String,
}

/// Whose events are not in the rows of the statistics.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unfolded<'t> {
    /// Those of a tenant, which may be further than others.
    Tenant(&'t str),
    /// Those of every tenant, each by its own place.
    Each,
    /// All that may be those of somebody.
    Anybody,
}

/// How far the statistics of every tenant are.
fn place_of_all(column: &str) -> String {
    format!("(SELECT {column} FROM statistic_state WHERE id = 1)")
}

impl Dialect {
    pub(super) fn is_postgres(self) -> bool {
        self == Self::Postgres
    }

    pub(super) fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        }
    }

    /// `column IN ids` through the index that is unique across tenants, for viewers of all tenants.
    pub(super) fn ids_anywhere<C: ColumnTrait>(self, column: C, ids: &[Uuid]) -> Expr {
        let name = Iden::unquoted(&column);
        match self {
            Self::Sqlite => Expr::cust(format!("hex({name})"))
                .is_in(ids.iter().map(|id| id.simple().to_string().to_uppercase())),
            Self::Postgres => Expr::cust(format!("{name}::text")).is_in(ids.iter().map(Uuid::to_string)),
        }
    }

    /// That an execution is one of those whose `tenant_id` and `id` a query gives. They are few.
    pub(super) fn is_one_of(self, keys: SelectStatement) -> Expr {
        let (condition, columns) = match self {
            Self::Sqlite => ("(execution.tenant_id, execution.id) IN ?", "tenant_id, id"),
            // Of an array PostgreSQL thinks that it is short.
            Self::Postgres => ("execution.id = ANY (ARRAY $1)", "id"),
        };
        let keys = Query::select().expr(Expr::cust(columns)).from_subquery(keys, "few").take();
        Expr::cust_with_exprs(condition, [subselect(keys)])
    }

    /// A time that PostgreSQL plans for as for any other, so that it has no reason to plan anew for each.
    pub(super) fn opaque_time(self, time: Timestamp) -> Expr {
        match self {
            Self::Sqlite => Expr::val(time),
            Self::Postgres => Expr::cust_with_values("(SELECT $1::timestamptz)", [time]),
        }
    }

    /// Whether a text column contains `text`, byte for byte: no pattern, so nothing needs an escape.
    pub(super) fn contains<C: ColumnTrait>(self, column: C, text: &str) -> Expr {
        let function = match self {
            Self::Sqlite => "instr",
            Self::Postgres => "strpos",
        };
        Expr::from(Func::cust(function).arg(column.into_expr()).arg(text)).gt(0)
    }

    /// Whether an execution has all of these words, by the index of them. Within a tenant, whose name is one more word of all
    /// that it has, the words of others cost nothing.
    ///
    /// Words are letters and digits, which mean nothing else in a query, and come as a parameter.
    pub(super) fn has_words(self, tenant_id: Option<&str>, words: &[String]) -> Expr {
        match self {
            Self::Sqlite => Expr::cust_with_values(
                "(execution.tenant_id, execution.id) IN (
                     SELECT execution_search.tenant_id, execution_search.execution_id
                     FROM execution_words
                     JOIN execution_search ON execution_search.place = execution_words.rowid
                     WHERE execution_words MATCH ?)",
                [sqlite_terms(tenant_id, words)],
            ),
            Self::Postgres => {
                let (terms, values) = postgres_terms(tenant_id, words);
                let found = format!(
                    "EXISTS (SELECT FROM execution_search
                         WHERE execution_search.tenant_id = execution.tenant_id
                         AND execution_search.execution_id = execution.id AND {POSTGRES_TERMS} @> {terms})"
                );
                Expr::cust_with_values(found, values)
            }
        }
    }

    /// The same, looked at for each execution that is asked about, and for no other.
    pub(super) fn has_words_itself(self, tenant_id: Option<&str>, words: &[String]) -> Expr {
        match self {
            // Of one without any words that is no place: FTS5 takes a row that is NULL for any row.
            Self::Sqlite => Expr::cust_with_values(
                "EXISTS (SELECT 1 FROM execution_words
                     WHERE execution_words MATCH ? AND execution_words.rowid = coalesce((
                         SELECT found.place FROM execution_search AS found
                         WHERE found.tenant_id = execution.tenant_id AND found.execution_id = execution.id), -1))",
                [sqlite_terms(tenant_id, words)],
            ),
            // No EXISTS, as PostgreSQL would make a join of that, and not the index's terms, which take long to make.
            Self::Postgres => Expr::cust_with_values(
                "(SELECT string_to_array(concat_ws(' ', start_words, result_words, error_words), ' ')
                         @> string_to_array($1, ' ')
                     FROM execution_search WHERE execution_search.tenant_id = execution.tenant_id
                     AND execution_search.execution_id = execution.id)",
                [words.join(" ")],
            ),
        }
    }

    /// The same, for a tenant's executions that are found by their words, which few have.
    pub(super) fn is_hit(self, tenant_id: Option<&str>, words: &[String]) -> Expr {
        match self {
            Self::Sqlite => self.has_words(tenant_id, words),
            Self::Postgres => {
                let hits = postgres_hits(tenant_id, words).column("execution_id").take();
                Expr::cust_with_exprs("execution.id = ANY (ARRAY $1)", [subselect(hits)])
            }
        }
    }

    /// How many executions have these words, counted to `max`.
    pub(super) fn count_of_hits(self, tenant_id: Option<&str>, words: &[String], max: u64) -> Expr {
        let mut hits = match self {
            Self::Sqlite => Query::select()
                .from("execution_words")
                .and_where(Expr::cust_with_values(
                    "execution_words MATCH ?",
                    [sqlite_terms(tenant_id, words)],
                ))
                .take(),
            Self::Postgres => postgres_hits(tenant_id, words),
        };
        let hits = hits.expr(Expr::val(1)).limit(max).take();
        subselect(Query::select().expr(Expr::cust("count(*)")).from_subquery(hits, "hits").take())
    }

    /// How long after one time of an execution another was, as there is an index of those of which it was long.
    pub(super) fn exceeding(self, (from, to): (&str, &str), seconds: i64) -> Exceeding {
        match self {
            Self::Sqlite => {
                let time = format!("(unixepoch({to}) - unixepoch({from}))");
                Exceeding { is_long: format!("{time} > {seconds}"), seconds: time.clone(), time }
            }
            Self::Postgres => {
                let time = format!("({to} - {from})");
                Exceeding {
                    is_long: format!("{time} > interval '{seconds} s'"),
                    seconds: format!("CAST(floor(extract(epoch FROM {time})) AS bigint)"),
                    time,
                }
            }
        }
    }

    /// Where the change feed stands: everything before this position is final.
    ///
    /// PostgreSQL hands out sequence numbers before it commits, so a reader that trusts them skips rows that commit
    /// late. Transactions older than `xmin` have all ended; those at or after it may still be running.
    pub(super) fn feed_horizon(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT 0 AS xid, coalesce(max(seq), 0) AS seq FROM change_event",
            Self::Postgres => {
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xid, CAST(-1 AS bigint) AS seq"
            }
        }
    }

    /// The events after a place in the feed. On SQLite, where `xid` is always 0, the number alone is the place, and only
    /// by it alone is a range of the index found.
    pub(super) fn feed_after(self, xid: i64, seq: i64) -> Expr {
        match self {
            Self::Sqlite => Expr::cust("xid").eq(xid).and(Expr::cust("seq").gt(seq)),
            Self::Postgres => Expr::cust("(xid, seq)").gt(Expr::tuple([Expr::val(xid), Expr::val(seq)])),
        }
    }

    /// The events that are not in the rows of the statistics yet, by an index: the place up to which they are is read in the
    /// same statement.
    pub(super) fn unfolded(self, of: Unfolded<'_>) -> Expr {
        match of {
            Unfolded::Anybody => Expr::cust(self.after(place_of_all)),
            // Nobody is behind the place of all.
            Unfolded::Each => {
                let of_each = self.unfolded_of("change_event.tenant_id");
                Expr::cust(format!("({} AND {of_each})", self.after(place_of_all)))
            }
            Unfolded::Tenant(tenant_id) => {
                let parameter = if self.is_postgres() { "$1" } else { "?" };
                Expr::cust_with_values(self.unfolded_of(parameter), [tenant_id])
            }
        }
    }

    /// The events that are not in the statistics of a tenant, which is a column or a parameter.
    pub(super) fn unfolded_of(self, tenant: &str) -> String {
        self.after(|column| {
            let own =
                format!("SELECT {column} FROM statistic_place AS place WHERE place.tenant_id = {tenant}");
            format!("coalesce(({own}), {})", place_of_all(column))
        })
    }

    /// The events after a place of which each column is an expression.
    fn after(self, place: impl Fn(&str) -> String) -> String {
        match self {
            Self::Sqlite => format!("(xid = 0 AND seq > {})", place("seq")),
            // A row that is compared with a sub-select finds no range of an index.
            Self::Postgres => {
                let (xid, seq) = (place("xid"), place("seq"));
                format!("(xid >= {xid} AND (xid > {xid} OR seq > {seq}))")
            }
        }
    }

    /// Whether the statistics are at a place that the feed has not come to, as a query.
    pub(super) fn is_ahead_of_feed(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None, // its numbers are in the file
            Self::Postgres => Some(
                "SELECT greatest(xid, (SELECT max(xid) FROM statistic_place))
                     >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM statistic_state WHERE id = 1",
            ),
        }
    }

    /// Whether an event's transaction and all before it have ended, as SQL.
    pub(super) fn settled(self) -> Option<Expr> {
        match self {
            Self::Sqlite => None, // one writer: what can be seen is in order
            Self::Postgres => Some(Expr::cust("xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint")),
        }
    }

    /// Keeps other processes from changing the schema at the same time; ends with the transaction.
    pub(super) fn lock_schema(self) -> Option<Statement> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Statement::from_string(
                DbBackend::Postgres,
                "SELECT pg_advisory_xact_lock(hashtext('runledger schema'))",
            )),
        }
    }
}

/// All words of a row of `execution_search`, as PostgreSQL's index has them.
pub(super) const POSTGRES_TERMS: &str = "(runledger_windows(execution_search.created_at)
    || runledger_terms(execution_search.tenant_id, start_words, result_words, error_words))";

/// The word that all rows of a tenant have in PostgreSQL's index.
pub(super) fn postgres_mark(tenant_id: &str) -> String {
    format!("_{tenant_id}")
}

/// What PostgreSQL's index has of these words. Each is a key of its own: the index skips from key to key, but looks at all that
/// one word of a key has.
pub(super) fn postgres_hits(tenant_id: Option<&str>, words: &[String]) -> SelectStatement {
    let mut hits = Query::select().from("execution_search").take();
    for term in words.iter().cloned().chain(tenant_id.map(postgres_mark)) {
        // Behind a sub-select, so that there is one plan for all values.
        let has_term = format!("{POSTGRES_TERMS} @> (SELECT array_append(CAST('{{}}' AS text[]), $1))");
        hits.and_where(Expr::cust_with_values(has_term, [term]));
    }
    hits
}

/// These words as PostgreSQL's index has them, as SQL, and its values.
fn postgres_terms(tenant_id: Option<&str>, words: &[String]) -> (&'static str, Vec<String>) {
    let words = words.join(" ");
    match tenant_id {
        None => ("string_to_array($1, ' ')", vec![words]),
        Some(tenant_id) => {
            ("array_prepend($1, string_to_array($2, ' '))", vec![postgres_mark(tenant_id), words])
        }
    }
}

/// Words as SQLite's index of words is asked for them: each in quotes, in which letters and digits mean nothing else.
pub(super) fn sqlite_terms(tenant_id: Option<&str>, words: &[String]) -> String {
    let mark = tenant_id.map(|tenant_id| format!("_{}", hex(tenant_id.as_bytes())));
    let terms = mark.iter().chain(words).map(|word| format!("\"{word}\""));
    terms.collect::<Vec<_>>().join(" ")
}
