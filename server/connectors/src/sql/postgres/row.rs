//! Values of rows on their way from the wire into a batch.

use std::io;

use super::super::batch::Batch;
use super::super::error::SqlFailure;
use super::super::outcome::{Column, ColumnKind, Columns, unreadable};
use super::PgKind;
use super::line::unspeakable;
use super::numeric::read_numeric;
use super::text::read_text;
use super::types::{date, point, read_binary};

/// In which form the values of a result come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All as text.
    Text,
    /// Each in the form in which it was asked for.
    Chosen {
        /// Points in time as text, which has their zone.
        zones_as_text: bool,
    },
}

impl Form {
    /// Whether values of that kind come as text.
    #[inline]
    pub(super) fn is_text(self, kind: &PgKind) -> bool {
        match self {
            Self::Text => true,
            Self::Chosen { zones_as_text } => kind.is_other() || (zones_as_text && kind.has_zone()),
        }
    }
}

/// The values of a row, one after the other. `None` is NULL.
pub(super) struct Values<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Values<'a> {
    /// Of the body of a message.
    #[inline]
    pub(super) fn of(body: &'a [u8]) -> Result<Self, SqlFailure> {
        let (count, rest) = body.split_first_chunk().ok_or_else(too_short)?;
        let left = u16::from_be_bytes(*count);
        Ok(Self { rest, left })
    }

    /// The next one, if there is one.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Option<&'a [u8]>>, SqlFailure> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (length, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        // NULL has a length below 0
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.rest = rest;
            return Ok(Some(None));
        };
        let (value, rest) = rest.split_at_checked(length).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(Some(Some(value)))
    }
}

#[cold]
fn too_short() -> SqlFailure {
    unspeakable(io::Error::new(
        io::ErrorKind::InvalidData,
        "a row is shorter than it says",
    ))
}

/// Takes a row into a batch.
pub(super) fn read_row(body: &[u8], form: Form, columns: &Columns, batch: &mut Batch) -> Result<(), SqlFailure> {
    let mut values = Values::of(body)?;
    for column in columns {
        let ColumnKind::Postgres(kind) = &column.kind else {
            return Err(too_short());
        };
        match values.next()?.ok_or_else(too_short)? {
            None => batch.null(),
            Some(bytes) => read(bytes, form, column, kind, batch),
        }
    }
    Ok(())
}

#[inline]
fn read(bytes: &[u8], form: Form, column: &Column, kind: &PgKind, batch: &mut Batch) {
    let is_usual = match form {
        Form::Text => None,
        Form::Chosen { zones_as_text } => read_usual(kind, zones_as_text, bytes, batch),
    };
    if is_usual.is_none() {
        let cell = if form.is_text(kind) {
            read_text(kind, bytes)
        } else {
            read_binary(kind, bytes)
        };
        batch.push(&cell.map_err(|what| unreadable(column, &what)));
    }
}

/// Takes in the binary form of the types that most columns have. `None`: it is another one, or not as it should be.
#[inline]
fn read_usual(kind: &PgKind, zones_as_text: bool, bytes: &[u8], batch: &mut Batch) -> Option<()> {
    match kind {
        PgKind::Int4 => batch.int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        PgKind::Int8 => batch.int(i64::from_be_bytes(bytes.try_into().ok()?)),
        PgKind::Float8 => batch.float(f64::from_be_bytes(bytes.try_into().ok()?)),
        PgKind::Text if bytes != [0] => batch.text(std::str::from_utf8(bytes).ok()?)?,
        PgKind::Numeric => batch.decimal(|out| read_numeric(bytes, out).ok())?,
        PgKind::Date => batch.date(date(bytes).ok()?),
        PgKind::Timestamp => batch.point(point(bytes, None).ok()?)?,
        PgKind::TimestampTz if !zones_as_text => batch.point(point(bytes, Some(0)).ok()?)?,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(kind: PgKind) -> Column {
        Column {
            name: "a".to_owned(),
            type_code: None,
            kind: ColumnKind::Postgres(kind),
        }
    }

    proptest! {
        #[test]
        fn no_row_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let columns = vec![column(PgKind::Int4), column(PgKind::Text), column(PgKind::Other)];
            for form in [Form::Text, Form::Chosen { zones_as_text: false }] {
                let mut batch = Batch::default();
                batch.begin_row(columns.len());
                let _ = read_row(&body, form, &columns, &mut batch);
            }
        }
    }

    #[test]
    fn what_has_no_binary_form_here_comes_as_text() {
        let zones = PgKind::Array(Box::new(PgKind::TimestampTz));
        let form = Form::Chosen { zones_as_text: true };
        assert!(form.is_text(&zones) && form.is_text(&PgKind::Other) && !form.is_text(&PgKind::Timestamp));
        let form = Form::Chosen { zones_as_text: false };
        assert!(!form.is_text(&zones) && form.is_text(&PgKind::Other));
    }

    #[test]
    fn rows_that_are_too_short_are_refused() {
        let columns = vec![column(PgKind::Text); 2];
        let read = |body: &[u8]| {
            let mut batch = Batch::default();
            batch.begin_row(2);
            read_row(body, Form::Text, &columns, &mut batch).map_err(|failure| failure.is_disconnect())
        };
        assert_eq!(read(b"\0\x02\0\0\0\x01a\xFF\xFF\xFF\xFF"), Ok(()));
        assert_eq!(read(b"\0\x02\0\0\0\x01a\0\0\0\x02b"), Err(true));
        assert_eq!(read(b"\0\x01\0\0\0\x01a"), Err(true));
        assert_eq!(read(b""), Err(true));
    }
}
