//! When lines arrived. A chunk is one call's lines; an entry of the index of a log's object has those of many calls, and
//! remembers when each arrived, so that archiving changes nobody's answer.

use entity::log_chunk;
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Lines `first_seq..=last_seq` of an execution, which arrived together. The order is that of their arrival.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    pub at: Timestamp,
    pub execution_id: Uuid,
    pub last_seq: i64,
    pub first_seq: i64,
    pub tenant_id: String,
    /// How much text is read with them, at most.
    pub bytes: usize,
}

/// A chunk, or an entry of the index, without its text.
#[derive(Debug, FromQueryResult)]
pub(super) struct ArrivedRow {
    tenant_id: String,
    execution_id: Uuid,
    first_seq: i64,
    last_seq: i64,
    appended_at: Timestamp,
    byte_count: i32,
    arrivals: Option<String>,
}

/// One call of an entry: its last line, counted from the entry's first, and by how many microseconds it arrived before
/// the entry's last.
type Call = (i64, i64);

impl ArrivedRow {
    pub(super) const COLUMNS: [log_chunk::Column; 7] = [
        log_chunk::Column::TenantId,
        log_chunk::Column::ExecutionId,
        log_chunk::Column::FirstSeq,
        log_chunk::Column::LastSeq,
        log_chunk::Column::AppendedAt,
        log_chunk::Column::ByteCount,
        log_chunk::Column::Arrivals,
    ];

    fn calls(&self) -> Result<Vec<Call>> {
        match &self.arrivals {
            None => Ok(vec![(self.last_seq - self.first_seq, 0)]),
            Some(calls) => serde_json::from_str(calls).map_err(Error::internal),
        }
    }
}

/// The calls of the newest `rows_max` rows, newest first, but for those that a call in an older row may be newer than.
pub(super) fn newest(rows: Vec<ArrivedRow>, rows_max: usize) -> Result<Vec<Arrival>> {
    let known_from = match rows.last() {
        Some(last) if rows.len() >= rows_max => Some((last.appended_at, last.execution_id, last.last_seq)),
        _ => None,
    };
    let mut arrivals = Vec::with_capacity(rows.len());
    for row in rows {
        let mut first_seq = row.first_seq;
        for (lines, micros_before) in row.calls()? {
            let last_seq = row.first_seq + lines;
            let at = row.appended_at - chrono::TimeDelta::microseconds(micros_before);
            if known_from.is_none_or(|known_from| (at, row.execution_id, last_seq) >= known_from) {
                let (execution_id, tenant_id) = (row.execution_id, row.tenant_id.clone());
                let bytes = usize::try_from(row.byte_count).unwrap_or(0);
                arrivals.push(Arrival { at, execution_id, last_seq, first_seq, tenant_id, bytes });
            }
            first_seq = last_seq + 1;
        }
    }
    arrivals.sort_unstable();
    arrivals.reverse();
    Ok(arrivals)
}

/// What an entry remembers of its calls, given the last line and the time of each; `None` for a single one. Also when the
/// newest of them arrived.
pub(super) fn remembered(first_seq: i64, calls: &[(i64, Timestamp)]) -> Result<Option<String>> {
    let Some(newest) = calls.iter().map(|(_, at)| *at).max().filter(|_| calls.len() > 1) else {
        return Ok(None);
    };
    let call = |(last_seq, at): &(i64, Timestamp)| -> Call {
        (last_seq - first_seq, (newest - *at).num_microseconds().unwrap_or(0))
    };
    let calls: Vec<_> = calls.iter().map(call).collect();
    serde_json::to_string(&calls).map(Some).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_timestamp_micros(1_800_000_000_000_000 + micros).unwrap()
    }

    fn row(execution: u128, first_seq: i64, calls: &[(i64, Timestamp)]) -> ArrivedRow {
        ArrivedRow {
            tenant_id: "tenant".into(),
            execution_id: Uuid::from_u128(execution),
            first_seq,
            last_seq: calls.last().unwrap().0,
            appended_at: calls.iter().map(|(_, at)| *at).max().unwrap(),
            byte_count: 10,
            arrivals: remembered(first_seq, calls).unwrap(),
        }
    }

    fn lines(arrivals: &[Arrival]) -> Vec<(u128, i64, i64)> {
        arrivals.iter().map(|call| (call.execution_id.as_u128(), call.first_seq, call.last_seq)).collect()
    }

    #[test]
    fn calls_are_in_the_order_in_which_they_arrived_archived_or_not() {
        let chunks = || {
            vec![
                row(2, 3, &[(4, at(7))]),
                row(1, 2, &[(2, at(5))]),
                row(2, 0, &[(2, at(4))]),
                row(1, 0, &[(1, at(1))]),
            ]
        };
        let in_order = [(2, 3, 4), (1, 2, 2), (2, 0, 2), (1, 0, 1)];
        assert_eq!(lines(&newest(chunks(), 10).unwrap()), in_order);
        let entries = vec![row(2, 0, &[(2, at(4)), (4, at(7))]), row(1, 0, &[(1, at(1)), (2, at(5))])];
        assert_eq!(lines(&newest(entries, 10).unwrap()), in_order);
        let mut one_archived = chunks();
        one_archived.truncate(2);
        one_archived[0] = row(2, 0, &[(2, at(4)), (4, at(7))]);
        assert_eq!(
            lines(&newest(one_archived, 2).unwrap()),
            in_order[..2],
            "(1, 3, _) may be newer than (2, 0, 2)"
        );
    }

    #[test]
    fn a_call_whose_clock_was_behind_keeps_its_time() {
        let entry = row(1, 0, &[(0, at(9)), (1, at(3))]);
        assert_eq!(entry.appended_at, at(9));
        let times: Vec<_> = newest(vec![entry], 2).unwrap().iter().map(|call| call.at).collect();
        assert_eq!(times, [at(9), at(3)]);
    }
}
