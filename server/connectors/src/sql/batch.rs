//! Rows that were read off the line, and wait for their reader to make objects of them.

use std::borrow::Cow;
use std::ops::Range;

use super::error::SqlFailure;
use super::moment::{Date, DateTime, Time};
use super::value::Cell;

/// Rows that go together from the line to the reader.
const ROWS: usize = 512;
/// Bytes of rows, about, that go together.
const BYTES: usize = 256 * 1024;

/// Rows of one result, read from their wire form by whoever reads the line: to their reader only the making of objects is left, for which
/// Python can be used by one thread at a time only. They lie one after the other, which is how they are gone through.
#[derive(Default)]
pub struct Batch {
    width: usize,
    values: Vec<Value>,
    texts: String,
    bytes: Vec<u8>,
    /// Where the row begins that is read next.
    next: usize,
}

/// A value, or where its text or bytes are. As small as can be: it is written by one processor core and read by another.
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Decimal(Place),
    Text(Place),
    Bytes(Place),
    Date(Date),
    DateTime(Packed),
    Json(Place),
    /// What is rare: a time, a span, a UUID, an array, a text beyond the fourth gigabyte; or why the value cannot be read.
    Other(Box<Result<Cell<'static>, SqlFailure>>),
}

const _: () = assert!(size_of::<Value>() == 16);

/// Where a text or bytes are in their batch.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
}

impl Place {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A point in time as numbers that need no more room than they must, nor to lie where a number of 64 bits may.
#[derive(Clone, Copy)]
struct Packed {
    bits: [u32; 2],
    /// Seconds east of UTC.
    offset: i32,
}

/// No zone is known.
const NO_OFFSET: i32 = i32::MIN;

impl Packed {
    /// `None` if it does not fit: it has a part that no clock or calendar shows.
    #[inline]
    fn new(point: DateTime) -> Option<Self> {
        let DateTime { date, time } = point;
        let days = (date.year as u64 & 0x3FFF) << 9 | u64::from(date.month & 15) << 5 | u64::from(date.day & 31);
        let clock = u64::from(time.hour & 31) << 12 | u64::from(time.minute & 63) << 6 | u64::from(time.second & 63);
        let micro = u64::from(time.micro) & 0xF_FFFF;
        let bits = (days << 17 | clock) << 20 | micro;
        let packed = Self {
            bits: [(bits >> 32) as u32, bits as u32],
            offset: time.offset.unwrap_or(NO_OFFSET),
        };
        (packed.get() == point).then_some(packed)
    }

    #[inline]
    fn get(self) -> DateTime {
        let bits = u64::from(self.bits[0]) << 32 | u64::from(self.bits[1]);
        let part = |from: u32, width: u32| (bits >> from) & ((1 << width) - 1);
        DateTime {
            date: Date {
                year: part(46, 14) as i32,
                month: part(42, 4) as u8,
                day: part(37, 5) as u8,
            },
            time: Time {
                hour: part(32, 5) as u8,
                minute: part(26, 6) as u8,
                second: part(20, 6) as u8,
                micro: part(0, 20) as u32,
                offset: (self.offset != NO_OFFSET).then_some(self.offset),
            },
        }
    }
}

/// A row of a batch.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    values: &'a [Value],
    batch: &'a Batch,
}

impl Batch {
    /// An empty one, for as many rows as another one has.
    pub(super) fn like(other: &Self) -> Self {
        Self {
            values: Vec::with_capacity(other.values.len()),
            texts: String::with_capacity(other.texts.len()),
            bytes: Vec::with_capacity(other.bytes.len()),
            ..Self::default()
        }
    }

    /// A row of so many values comes.
    pub(super) fn begin_row(&mut self, width: usize) {
        self.width = width;
        self.values.reserve(width);
    }

    /// Takes the next value of the row in. It is looked at where it lies: to move it costs more than to read it.
    #[inline]
    pub(super) fn push(&mut self, cell: &Result<Cell<'_>, SqlFailure>) {
        let taken = match cell {
            Ok(Cell::Null) => return self.null(),
            Ok(Cell::Bool(value)) => return self.values.push(Value::Bool(*value)),
            Ok(Cell::Int(value)) => return self.int(*value),
            Ok(Cell::UInt(value)) => return self.values.push(Value::UInt(*value)),
            Ok(Cell::Float(value)) => return self.float(*value),
            Ok(Cell::Date(date)) => return self.date(*date),
            Ok(Cell::DateTime(point)) => self.point(*point),
            Ok(Cell::Text(text)) => self.text(text),
            Ok(Cell::Decimal(text)) => self.decimal(|out| {
                out.push_str(text);
                Some(())
            }),
            Ok(Cell::Bytes(bytes)) => self.piece(bytes, Value::Bytes),
            Ok(Cell::Json(text)) => self.piece(text, Value::Json),
            Ok(Cell::Time(_) | Cell::Span(_) | Cell::Uuid(_) | Cell::List(_)) | Err(_) => None,
        };
        if taken.is_none() {
            let other = cell.clone().map(Cell::into_owned);
            self.values.push(Value::Other(Box::new(other)));
        }
    }

    #[inline]
    pub(super) fn null(&mut self) {
        self.values.push(Value::Null);
    }

    #[inline]
    pub(super) fn int(&mut self, value: i64) {
        self.values.push(Value::Int(value));
    }

    #[inline]
    pub(super) fn float(&mut self, value: f64) {
        self.values.push(Value::Float(value));
    }

    #[inline]
    pub(super) fn date(&mut self, date: Date) {
        self.values.push(Value::Date(date));
    }

    /// `None`: it does not fit, and was not taken in. So with those below.
    #[inline]
    pub(super) fn point(&mut self, point: DateTime) -> Option<()> {
        self.values.push(Value::DateTime(Packed::new(point)?));
        Some(())
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) -> Option<()> {
        let place = place(self.texts.len(), text.len())?;
        self.texts.push_str(text);
        self.values.push(Value::Text(place));
        Some(())
    }

    /// An exact number whose text is written by what is given, which can fail half-way.
    #[inline]
    pub(super) fn decimal(&mut self, write: impl FnOnce(&mut String) -> Option<()>) -> Option<()> {
        let start = self.texts.len();
        let place = write(&mut self.texts).and_then(|()| place(start, self.texts.len() - start));
        match place {
            Some(place) => self.values.push(Value::Decimal(place)),
            None => self.texts.truncate(start),
        }
        place.map(drop)
    }

    fn piece(&mut self, bytes: &[u8], value: fn(Place) -> Value) -> Option<()> {
        let place = place(self.bytes.len(), bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        self.values.push(value(place));
        Some(())
    }

    /// Whether it has as many rows as go together.
    pub(super) fn is_full(&self) -> bool {
        let bytes = self.texts.len() + self.bytes.len() + size_of_val(&*self.values);
        bytes >= BYTES || self.values.len() >= ROWS * self.width
    }

    /// How many rows are still to be read.
    pub fn len(&self) -> usize {
        (self.values.len() - self.next).checked_div(self.width).unwrap_or(0)
    }

    /// Whether no row is left.
    pub fn is_empty(&self) -> bool {
        self.next == self.values.len()
    }

    /// The next row.
    pub fn next_row(&mut self) -> Option<Row<'_>> {
        if self.is_empty() {
            return None;
        }
        let range = self.next..self.next + self.width;
        self.next = range.end;
        Some(Row {
            values: &self.values[range],
            batch: self,
        })
    }
}

fn place(start: usize, length: usize) -> Option<Place> {
    Some(Place {
        start: start.try_into().ok()?,
        end: (start + length).try_into().ok()?,
    })
}

impl<'a> Row<'a> {
    /// How many values it has.
    pub fn len(self) -> usize {
        self.values.len()
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.values.is_empty()
    }

    /// The value of a column.
    ///
    /// # Errors
    /// A value that Python has no form for, such as a date before the year 1; or that does not follow the protocol.
    #[inline(always)]
    pub fn cell(self, index: usize) -> Result<Cell<'a>, &'a SqlFailure> {
        let text = |place: &Place| Cow::Borrowed(&self.batch.texts[place.range()]);
        let bytes = |place: &Place| Cow::Borrowed(&self.batch.bytes[place.range()]);
        Ok(match &self.values[index] {
            Value::Null => Cell::Null,
            Value::Bool(value) => Cell::Bool(*value),
            Value::Int(value) => Cell::Int(*value),
            Value::UInt(value) => Cell::UInt(*value),
            Value::Float(value) => Cell::Float(*value),
            Value::Decimal(place) => Cell::Decimal(text(place)),
            Value::Text(place) => Cell::Text(text(place)),
            Value::Bytes(place) => Cell::Bytes(bytes(place)),
            Value::Date(date) => Cell::Date(*date),
            Value::DateTime(point) => Cell::DateTime(point.get()),
            Value::Json(place) => Cell::Json(bytes(place)),
            Value::Other(other) => (**other).as_ref()?.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::SqlFailureClass;
    use super::*;

    fn push<'c>(batch: &mut Batch, cells: impl IntoIterator<Item = Result<Cell<'c>, SqlFailure>>) {
        let cells: Vec<_> = cells.into_iter().collect();
        batch.begin_row(cells.len());
        for cell in &cells {
            batch.push(cell);
        }
    }

    #[test]
    fn rows_come_out_as_they_went_in() {
        let first = [
            Cell::Int(-1),
            Cell::Text("żółw".into()),
            Cell::Null,
            Cell::List(vec![Cell::Text("a".into()), Cell::Null]),
        ];
        let second = [
            Cell::Decimal("1.50".into()),
            Cell::Bytes(vec![0, 255].into()),
            Cell::Json(b"{}".into()),
            Cell::Text("".into()),
        ];
        let mut batch = Batch::default();
        assert!(batch.next_row().is_none());
        for row in [&first, &second] {
            push(&mut batch, row.iter().cloned().map(Ok));
        }
        assert_eq!(batch.len(), 2);
        for row in [first, second] {
            let read = batch.next_row().unwrap();
            let read: Vec<_> = (0..read.len()).map(|index| read.cell(index).unwrap()).collect();
            assert_eq!(read, row);
        }
        assert!(batch.is_empty() && batch.next_row().is_none());
    }

    #[test]
    fn points_in_time_keep_all_their_parts() {
        let first = DateTime {
            date: Date::MIN,
            time: Time::MIDNIGHT,
        };
        let clock = Time {
            hour: 23,
            minute: 59,
            second: 59,
            micro: 999_999,
            offset: Some(0),
        };
        let last = DateTime {
            date: Date::MAX,
            time: clock,
        };
        let [east, west] = [50_400, -43_199].map(|offset| DateTime {
            date: Date::MAX,
            time: clock.at(offset),
        });
        for point in [first, last, east, west] {
            assert_eq!(Packed::new(point).unwrap().get(), point);
        }
        // whoever makes an object of it finds out, rather than get another hour
        let impossible = DateTime {
            date: Date::MAX,
            time: Time { hour: 77, ..clock },
        };
        let mut batch = Batch::default();
        push(&mut batch, [Ok(Cell::DateTime(impossible))]);
        let cell = batch.next_row().unwrap().cell(0).unwrap();
        assert_eq!(cell, Cell::DateTime(impossible));
    }

    #[test]
    fn a_value_that_cannot_be_read_is_an_error_of_its_own() {
        let failure = SqlFailure::new(SqlFailureClass::Data, "the date is out of range");
        let mut batch = Batch::default();
        push(&mut batch, [Ok(Cell::Int(1)), Err(failure)]);
        let row = batch.next_row().unwrap();
        assert_eq!(row.cell(0).unwrap(), Cell::Int(1));
        assert!(row.cell(1).unwrap_err().message().contains("out of range"));
    }

    #[test]
    fn a_batch_is_full_by_rows_or_by_bytes() {
        let mut batch = Batch::default();
        for _ in 0..ROWS {
            assert!(!batch.is_full() || batch.is_empty());
            push(&mut batch, [Ok(Cell::Null)]);
        }
        assert!(batch.is_full());
        let mut batch = Batch::default();
        push(&mut batch, [Ok(Cell::Text("x".repeat(BYTES).into()))]);
        assert!(batch.is_full());
    }
}
