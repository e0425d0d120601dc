//! Values of rows on their way from the wire into a batch.

use sqlx::Row as _;
use sqlx::postgres::{PgRow, PgValueFormat};

use super::super::batch::Batch;
use super::super::outcome::{Column, unreadable};
use super::PgKind;
use super::numeric::read_numeric;
use super::text::read_text;
use super::types::{date, point, read_binary};

/// Takes a value of a row into a batch.
pub(in super::super) fn read(row: &PgRow, index: usize, column: &Column, kind: &PgKind, batch: &mut Batch) {
    // to hand a value on from result to result takes longer than to read it: so it is looked at where it lies
    let raw = row.try_get_raw(index);
    let value = match &raw {
        Ok(value) => value,
        Err(error) => return batch.push(&Err(unreadable(column, &error.to_string()))),
    };
    let Ok(bytes) = value.as_bytes() else {
        return batch.null();
    };
    let cell = match value.format() {
        PgValueFormat::Binary => {
            if read_usual(kind, bytes, batch).is_some() {
                return;
            }
            read_binary(kind, bytes)
        }
        PgValueFormat::Text => read_text(kind, bytes),
    };
    batch.push(&cell.map_err(|what| unreadable(column, &what)));
}

/// Takes in the binary form of the types that most columns have. `None`: it is another one, or not as it should be.
#[inline]
fn read_usual(kind: &PgKind, bytes: &[u8], batch: &mut Batch) -> Option<()> {
    match kind {
        PgKind::Int4 => batch.int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        PgKind::Int8 => batch.int(i64::from_be_bytes(bytes.try_into().ok()?)),
        PgKind::Float8 => batch.float(f64::from_be_bytes(bytes.try_into().ok()?)),
        PgKind::Text if bytes != [0] => batch.text(std::str::from_utf8(bytes).ok()?)?,
        PgKind::Numeric => batch.decimal(|out| read_numeric(bytes, out).ok())?,
        PgKind::Date => batch.date(date(bytes).ok()?),
        PgKind::Timestamp => batch.point(point(bytes, None).ok()?)?,
        PgKind::TimestampTz => batch.point(point(bytes, Some(0)).ok()?)?,
        _ => return None,
    }
    Some(())
}
