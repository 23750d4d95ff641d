//! Many rows in one statement of PostgreSQL, however many they are: each column is one parameter, an array. The text is the
//! same for any number of rows, so it stays prepared. <https://www.postgresql.org/docs/current/functions-array.html>

use sea_orm::sea_query::{ArrayType, Expr, ExprTrait as _, Func, InsertStatement, OnConflict, Query, Value};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue, ColumnTrait as _, DbErr, EntityTrait, Iden as _, Iterable as _,
};
use uuid::Uuid;

use crate::clock::Timestamp;

/// Says of each row, by a bit for each column that may be null, whether it is: SeaORM's arrays have no nulls.
const NULLS: &str = "nulls";

/// An insert of rows, which all set the same columns.
pub(super) fn insert<E: EntityTrait>(
    mut rows: Vec<E::ActiveModel>,
    on_conflict: Option<OnConflict>,
) -> Result<InsertStatement, DbErr> {
    let mut arrays = Query::select();
    let mut select = Query::select();
    let mut columns = Vec::new();
    let mut nulls = vec![0_i64; rows.len()];
    let mut free_bits = (0..63).map(|bit| 1_i64 << bit);
    for column in E::Column::iter() {
        let mut values = Vec::with_capacity(rows.len());
        for row in &mut rows {
            if let ActiveValue::Set(value) | ActiveValue::Unchanged(value) = row.take(column) {
                values.push(value);
            }
        }
        if values.is_empty() {
            continue;
        }
        if values.len() != rows.len() {
            return Err(DbErr::Custom(format!("some rows leave {} out", column.unquoted())));
        }
        let (array, empty) = Array::of(values)?;
        arrays.expr_as(array.unnest(), column);
        select.expr(if column.def().is_null() {
            // The sign is left out.
            let bit = free_bits.next().ok_or_else(|| DbErr::Custom("too many columns may be null".into()))?;
            empty.into_iter().for_each(|row| nulls[row] |= bit);
            Expr::cust(format!("CASE WHEN ({NULLS} & {bit}) = 0 THEN \"{}\" END", column.unquoted()))
        } else if empty.is_empty() {
            Expr::col(column)
        } else {
            return Err(DbErr::Custom(format!("{} is null", column.unquoted())));
        });
        columns.push(column);
    }
    let nulls = nulls.into_iter().map(|bits| Value::BigInt(Some(bits))).collect();
    arrays.expr_as(Array::of(nulls)?.0.unnest(), NULLS);
    select.from_subquery(arrays, "given");

    let mut insert = Query::insert();
    insert.into_table(E::default().table_ref()).columns(columns);
    insert.select_from(select).map_err(|error| DbErr::Custom(error.to_string()))?;
    if let Some(on_conflict) = on_conflict {
        insert.on_conflict(on_conflict);
    }
    Ok(insert)
}

/// The values of one column, none of them null.
struct Array {
    /// As PostgreSQL spells it.
    of: &'static str,
    values: Value,
}

impl Array {
    /// Of values of one type, in which others take the place of nulls; says where.
    fn of(mut values: Vec<Value>) -> Result<(Self, Vec<usize>), DbErr> {
        let first = values.first().ok_or_else(|| DbErr::Custom("there are no rows".into()))?;
        let (of, of_type, any) = match first {
            Value::Bool(_) => ("bool[]", ArrayType::Bool, Value::Bool(Some(false))),
            Value::SmallInt(_) => ("int2[]", ArrayType::SmallInt, Value::SmallInt(Some(0))),
            Value::Int(_) => ("int4[]", ArrayType::Int, Value::Int(Some(0))),
            Value::BigInt(_) => ("int8[]", ArrayType::BigInt, Value::BigInt(Some(0))),
            Value::Double(_) => ("float8[]", ArrayType::Double, Value::Double(Some(0.0))),
            Value::String(_) => ("text[]", ArrayType::String, String::new().into()),
            Value::Bytes(_) => ("bytea[]", ArrayType::Bytes, Vec::<u8>::new().into()),
            Value::Uuid(_) => ("uuid[]", ArrayType::Uuid, Uuid::nil().into()),
            Value::ChronoDateTimeUtc(_) => {
                ("timestamptz[]", ArrayType::ChronoDateTimeUtc, Timestamp::UNIX_EPOCH.into())
            }
            other => return Err(DbErr::Custom(format!("{:?} has no array", other.array_type()))),
        };
        let mut nulls = Vec::new();
        for (row, value) in values.iter_mut().enumerate() {
            if *value == value.as_null() {
                nulls.push(row);
                *value = any.clone();
            }
        }
        Ok((Self { of, values: Value::Array(of_type, Some(Box::new(values))) }, nulls))
    }

    /// Behind a sub-select, so that PostgreSQL does not see how many there are: a plan for the few of one call seems cheaper to
    /// it than the one for any number, and it would plan each call anew.
    fn unnest(self) -> Expr {
        let values = Query::select().expr(Expr::value(self.values).cast_as(self.of)).take();
        Func::cust("unnest").arg(Expr::SubQuery(None, Box::new(values.into()))).into()
    }
}

#[cfg(test)]
mod tests {
    use entity::code_version_run;
    use sea_orm::sea_query::PostgresQueryBuilder;
    use sea_orm::{NotSet, Set};

    use super::*;

    fn run(version: i32, owner_id: &str) -> code_version_run::ActiveModel {
        code_version_run::ActiveModel {
            tenant_id: Set("t".to_owned()),
            code_agent_id: Set(Uuid::nil()),
            code_version: Set(version),
            owner_id: Set(owner_id.to_owned()),
            execution_id: Set(Uuid::nil()),
        }
    }

    fn text(rows: Vec<code_version_run::ActiveModel>) -> String {
        insert::<code_version_run::Entity>(rows, None).unwrap().build(PostgresQueryBuilder).0
    }

    #[test]
    fn the_text_is_the_same_for_any_number_of_rows() {
        let one = text(vec![run(1, "o")]);
        assert_eq!(one, text((1..=300).map(|version| run(version, "o")).collect()));
        assert!(!one.contains("$7"), "a parameter for each of five columns, and one for nulls: {one}");
    }

    #[test]
    fn rows_that_set_other_columns_are_refused() {
        let mut other = run(2, "o");
        other.owner_id = NotSet;
        let refused = insert::<code_version_run::Entity>(vec![run(1, "o"), other], None);
        assert!(refused.is_err_and(|error| error.to_string().contains("owner_id")));
    }

    #[test]
    fn nulls_are_told_by_their_rows() {
        let values = [Some("a".to_owned()), None, Some(String::new())].map(Value::String).to_vec();
        let (array, nulls) = Array::of(values).unwrap();
        assert_eq!((array.of, nulls), ("text[]", vec![1]));
    }
}
