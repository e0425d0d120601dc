//! What services took by minute, hour and day (management.md 6.13, operations.md 8). Times are in milliseconds, shares in percent.

use busbar_model::{Error, Kind};
use busbar_store::{DAY, Period, now_secs, utc_secs};
use serde_json::{Map, Value, json};
use time::{Date, Duration, OffsetDateTime};

use super::service::named;
use super::{Row, object, wrong};
use crate::management::answer::Answer;
use crate::management::{Call, Management};
use crate::statistics::{Choice, Figures, Order, Summary};

/// The longest period that is read at once: a trend has a value for each of its days.
const LONGEST: u64 = 100 * 366 * DAY;

pub const TABLE: &[Row] = &[
    ("zato.stats.delete", |management, call| {
        Box::pin(delete(management, call))
    }),
    // jobs of Zato's, each of which brought numbers to the next stage
    ("zato.stats.process-raw-times", |management, _| {
        Box::pin(store(management))
    }),
    ("zato.stats.aggregate-by-minute", |management, _| {
        Box::pin(store(management))
    }),
    ("zato.stats.aggregate-by-hour", |management, _| {
        Box::pin(condense(management))
    }),
    ("zato.stats.aggregate-by-day", |management, _| {
        Box::pin(condense(management))
    }),
    ("zato.stats.aggregate-by-month", |management, _| {
        Box::pin(condense(management))
    }),
    ("zato.stats.summary.create-summary-by-day", |management, _| {
        Box::pin(condense(management))
    }),
    ("zato.stats.summary.create-summary-by-week", |management, _| {
        Box::pin(condense(management))
    }),
    ("zato.stats.summary.create-summary-by-month", |management, _| {
        Box::pin(condense(management))
    }),
    ("zato.stats.summary.create-summary-by-year", |management, _| {
        Box::pin(condense(management))
    }),
    ("zato.stats.get-by-service", |management, call| {
        Box::pin(of_service(management, call))
    }),
    ("zato.stats.summary.get-summary-by-day", |management, call| {
        Box::pin(summary(management, call, Unit::Day))
    }),
    ("zato.stats.summary.get-summary-by-week", |management, call| {
        Box::pin(summary(management, call, Unit::Week))
    }),
    ("zato.stats.summary.get-summary-by-month", |management, call| {
        Box::pin(summary(management, call, Unit::Month))
    }),
    ("zato.stats.summary.get-summary-by-year", |management, call| {
        Box::pin(summary(management, call, Unit::Year))
    }),
    ("zato.stats.summary.get-summary-by-range", |management, call| {
        Box::pin(range(management, call))
    }),
    ("zato.stats.trends.get-trends", |management, call| {
        Box::pin(range(management, call))
    }),
];

/// A part of the calendar, in UTC.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Day,
    /// From Monday on.
    Week,
    Month,
    Year,
}

impl Unit {
    /// The one that a second since 1970 is in; `None`: it is beyond the calendar.
    fn around(self, second: u64) -> Option<Period> {
        let moment = OffsetDateTime::from_unix_timestamp(i64::try_from(second).ok()?).ok()?;
        let date = moment.date();
        let (first, after) = match self {
            Self::Day => (date, date.next_day()?),
            Self::Week => {
                let weekday = date.weekday().number_days_from_monday();
                let monday = date.checked_sub(Duration::days(weekday.into()))?;
                (monday, monday.checked_add(Duration::days(7))?)
            }
            Self::Month => {
                let first = date.replace_day(1).ok()?;
                (first, first.checked_add(Duration::days(31))?.replace_day(1).ok()?)
            }
            Self::Year => (
                Date::from_ordinal_date(date.year(), 1).ok()?,
                Date::from_ordinal_date(date.year() + 1, 1).ok()?,
            ),
        };
        // the week of the first of January 1970 began before
        let second = |date: Date| date.midnight().assume_utc().unix_timestamp().max(0) as u64;
        Some(Period {
            start: second(first),
            stop: second(after),
        })
    }
}

/// A point in time that a request has.
fn moment(call: &Call<'_>, element: &str) -> Result<u64, Error> {
    utc_secs(call.text(element).unwrap_or_default()).ok_or_else(|| {
        wrong(
            element,
            "must be a time from 1970 on, such as `2026-03-01T12:00:00`, in UTC unless it has an offset",
        )
    })
}

fn period(call: &Call<'_>) -> Result<Period, Error> {
    let (start, stop) = (moment(call, "start")?, moment(call, "stop")?);
    if stop <= start {
        return Err(wrong("stop", "must be after `start`"));
    }
    if stop - start > LONGEST {
        return Err(wrong("stop", "must be within 100 years of `start`"));
    }
    Ok(Period { start, stop })
}

fn choice(call: &Call<'_>) -> Result<Choice, Error> {
    let top = call.input.get("n").and_then(Value::as_u64).unwrap_or_default();
    if top == 0 {
        return Err(wrong("n", "must be 1 or more"));
    }
    let order = call.text("n_type").and_then(Order::named);
    let order = order.ok_or_else(|| wrong("n_type", "must be `mean` or `usage`"))?;
    Ok(Choice {
        top: usize::try_from(top).unwrap_or(usize::MAX),
        order,
        service: call.text("service_name").filter(|it| !it.is_empty()).map(str::to_owned),
    })
}

async fn delete(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let period = period(call)?;
    management.parts().statistics.delete(period).await?;
    Ok(Answer::Done)
}

async fn store(management: &Management) -> Result<Answer, Error> {
    management.parts().statistics.store().await?;
    Ok(Answer::Done)
}

async fn condense(management: &Management) -> Result<Answer, Error> {
    let statistics = &management.parts().statistics;
    statistics.store().await?;
    statistics.condense().await?;
    Ok(Answer::Done)
}

/// Milliseconds; what takes less than one has decimals.
fn ms(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

fn joined<T: ToString>(values: impl Iterator<Item = T>) -> String {
    values.map(|it| it.to_string()).collect::<Vec<_>>().join(",")
}

/// A service, in the elements of these services.
fn elements(figures: &Figures) -> Map<String, Value> {
    object(json!({
        "service_name": figures.service,
        "usage": figures.calls,
        "mean": ms(figures.mean_us),
        "rate": (figures.rate * 10_000.0).round() / 10_000.0,
        "time": ms(figures.total_us),
        "usage_trend": joined(figures.calls_trend.iter()),
        "mean_trend": joined(figures.mean_us_trend.iter().map(|it| ms(*it))),
        "min_resp_time": ms(figures.min_us),
        "max_resp_time": ms(figures.max_us),
    }))
}

async fn of_service(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = match (
        call.text("service_name"),
        call.input.get("service_id").and_then(Value::as_u64),
    ) {
        (Some(name), _) if !name.is_empty() => name.to_owned(),
        (_, Some(id)) => {
            let snapshot = management.changes().snapshot();
            let numbers = management.numbers(&snapshot).await?;
            let name = numbers.service_name(id).map(str::to_owned);
            name.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no service with the id {id}")))?
        }
        _ => return Err(Error::new(Kind::BadRequest, "Element missing: service_id")),
    };
    let choice = Choice {
        top: 1,
        order: Order::Usage,
        service: Some(service.clone()),
    };
    let summary = Summary::read(&*management.parts().statistics, period(call)?, &choice, now_secs()).await?;
    if let Some(figures) = summary.services.first() {
        return Ok(Answer::One(elements(figures)));
    }
    // one that is gone may have been called then
    named(management, &service)?;
    Ok(Answer::One(object(json!({
        "service_name": service, "usage": 0, "mean": 0, "rate": 0, "time": 0,
    }))))
}

async fn answer(management: &Management, call: &Call<'_>, period: Period) -> Result<Answer, Error> {
    let choice = choice(call)?;
    let summary = Summary::read(&*management.parts().statistics, period, &choice, now_secs()).await?;
    let item = |figures: &Figures| {
        let mut item = elements(figures);
        item.extend(object(json!({
            "all_services_usage": summary.calls,
            "all_services_time": ms(summary.total_us),
            "mean_all_services": ms(summary.mean_us),
            "usage_perc_all_services": figures.calls_share,
            "time_perc_all_services": figures.time_share,
        })));
        item
    };
    Ok(Answer::Many(summary.services.iter().map(item).collect(), None))
}

async fn summary(management: &Management, call: &Call<'_>, unit: Unit) -> Result<Answer, Error> {
    let start = moment(call, "start")?;
    let period = unit
        .around(start)
        .ok_or_else(|| wrong("start", "is beyond the year 9999"))?;
    answer(management, call, period).await
}

async fn range(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let period = period(call)?;
    answer(management, call, period).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_calendar_are_those_around_a_moment() {
        let at = |text: &str| utc_secs(text).unwrap();
        for (unit, moment, start, stop) in [
            (Unit::Day, "2024-02-29T23:59:59", "2024-02-29", "2024-03-01"),
            (Unit::Week, "2026-03-01", "2026-02-23", "2026-03-02"),
            (Unit::Week, "2026-03-02", "2026-03-02", "2026-03-09"),
            (Unit::Month, "2026-01-31", "2026-01-01", "2026-02-01"),
            (Unit::Month, "2026-12-15T10:00", "2026-12-01", "2027-01-01"),
            (Unit::Year, "2024-12-31", "2024-01-01", "2025-01-01"),
            (Unit::Week, "1970-01-01", "1970-01-01", "1970-01-05"),
        ] {
            let period = Period {
                start: at(start),
                stop: at(stop),
            };
            assert_eq!(unit.around(at(moment)), Some(period), "{unit:?} {moment}");
        }
        assert_eq!(Unit::Year.around(at("9999-06-01")), None);
        assert_eq!(Unit::Day.around(u64::MAX), None);
    }
}
