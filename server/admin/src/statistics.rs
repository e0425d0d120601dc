//! What services took in a period: which were called most, which are slowest, and how that went over time.

use std::collections::BTreeMap;

use busbar_dispatch::Minutes;
use busbar_model::Error;
use busbar_runtime::handler::BoxFuture;
use busbar_store::{DAY, HOUR, MINUTE, Period, ServiceTally, Tally, at_ms};
use serde::{Deserialize, Serialize};

/// How many values a trend has at most, if its period is not longer than so many days: those of the minutes of a day.
const VALUES: u64 = 1_440;

/// What services took, as it is kept.
pub trait Statistics: Send + Sync + 'static {
    /// What they took in a period, on all servers: for each part of `step` seconds in which one was called one tally. `services`: only
    /// these.
    fn read(
        &self,
        period: Period,
        step: u64,
        services: Option<Vec<String>>,
    ) -> BoxFuture<'_, Result<Vec<ServiceTally>, Error>>;

    /// Stores what has been counted until now.
    fn store(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Brings what is old down to hours and days.
    fn condense(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Forgets a period.
    fn delete(&self, period: Period) -> BoxFuture<'_, Result<(), Error>>;
}

impl Statistics for Minutes {
    fn read(
        &self,
        period: Period,
        step: u64,
        services: Option<Vec<String>>,
    ) -> BoxFuture<'_, Result<Vec<ServiceTally>, Error>> {
        Box::pin(async move { self.read(period, step, services.as_deref()).await })
    }

    fn store(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.store())
    }

    fn condense(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.condense())
    }

    fn delete(&self, period: Period) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.delete(period))
    }
}

/// By what services are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The slowest on average come first.
    Mean,
    /// Those that are called most come first.
    Usage,
}

impl Order {
    /// The one of this name, `mean` or `usage`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "mean" => Some(Self::Mean),
            "usage" => Some(Self::Usage),
            _ => None,
        }
    }
}

/// Which services are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// How many at most.
    pub top: usize,
    /// The first ones by this.
    pub order: Order,
    /// No other than this one.
    pub service: Option<String>,
}

/// What services took in a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// When the first value of a trend begins: RFC 3339 in UTC.
    pub start: String,
    /// Calls of all services.
    pub calls: u64,
    /// Microseconds of all of them.
    pub total_us: u64,
    /// Microseconds of the average one.
    pub mean_us: u64,
    /// Seconds that a value of a trend stands for.
    pub step_secs: u64,
    /// Those that were chosen.
    pub services: Vec<Figures>,
}

/// What one service took in a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Its name.
    pub service: String,
    /// Its calls.
    pub calls: u64,
    /// Calls a second.
    pub rate: f64,
    /// Percent of the calls of all services.
    pub calls_share: f64,
    /// Microseconds of all its calls.
    pub total_us: u64,
    /// Percent of the time of all services.
    pub time_share: f64,
    /// Microseconds of the average call.
    pub mean_us: u64,
    /// Microseconds of the quickest.
    pub min_us: u64,
    /// Microseconds of the slowest.
    pub max_us: u64,
    /// Calls by minute, hour or day, from the first of the period to the last that has begun.
    pub calls_trend: Vec<u64>,
    /// Microseconds of the average one of these, 0 where there was none.
    pub mean_us_trend: Vec<u64>,
}

impl Summary {
    /// Reads what services took in `period`. `now`: seconds since 1970.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn read(kept: &dyn Statistics, period: Period, choice: &Choice, now: u64) -> Result<Self, Error> {
        let period = whole_minutes(period);
        let length = period.stop - period.start;
        let totals = kept.read(period, length, None).await?;
        let all = totals.iter().map(|it| it.tally).reduce(Tally::with);
        let (calls, total_us) = all.map_or((0, 0), |all| (all.calls, all.total_us));
        let mut chosen: Vec<ServiceTally> = totals
            .into_iter()
            .filter(|it| choice.service.as_ref().is_none_or(|service| *service == it.service))
            .collect();
        // of those that are equal the first by name, as they were read
        chosen.sort_by_key(|it| {
            std::cmp::Reverse(match choice.order {
                Order::Mean => mean(&it.tally),
                Order::Usage => it.tally.calls,
            })
        });
        chosen.truncate(choice.top);

        let step_secs = step(length);
        let names: Vec<String> = chosen.iter().map(|it| it.service.clone()).collect();
        let mut parts: BTreeMap<String, Vec<ServiceTally>> = BTreeMap::new();
        for part in kept.read(period, step_secs, Some(names)).await? {
            parts.entry(part.service.clone()).or_default().push(part);
        }
        let past = period.stop.min(now.max(period.start)) - period.start;
        let figures = |ServiceTally { service, tally, .. }: ServiceTally| {
            let mut calls_trend = vec![0; past.div_ceil(step_secs) as usize];
            let mut mean_us_trend = calls_trend.clone();
            for part in parts.get(&service).into_iter().flatten() {
                let index = ((part.began_at - period.start) / step_secs) as usize;
                // the clock of another server may be ahead
                if let (Some(calls), Some(mean_us)) = (calls_trend.get_mut(index), mean_us_trend.get_mut(index)) {
                    (*calls, *mean_us) = (part.tally.calls, mean(&part.tally));
                }
            }
            Figures {
                rate: tally.calls as f64 / past.max(1) as f64,
                calls: tally.calls,
                calls_share: percent(tally.calls, calls),
                total_us: tally.total_us,
                time_share: percent(tally.total_us, total_us),
                mean_us: mean(&tally),
                min_us: tally.min_us,
                max_us: tally.max_us,
                calls_trend,
                mean_us_trend,
                service,
            }
        };
        Ok(Self {
            start: at_ms(period.start * 1_000),
            calls,
            total_us,
            mean_us: all.map_or(0, |all| mean(&all)),
            step_secs,
            services: chosen.into_iter().map(figures).collect(),
        })
    }
}

/// The same with its first and its last minute as a whole.
fn whole_minutes(Period { start, stop }: Period) -> Period {
    let start = start - start % MINUTE;
    Period {
        start,
        stop: stop.next_multiple_of(MINUTE).max(start + MINUTE),
    }
}

/// Seconds that one value of a trend stands for: a minute, where that would be too many values an hour, or a day.
fn step(length: u64) -> u64 {
    let fits = |step: &u64| length.div_ceil(*step) <= VALUES;
    [MINUTE, HOUR].into_iter().find(fits).unwrap_or(DAY)
}

fn mean(tally: &Tally) -> u64 {
    tally.total_us / tally.calls.max(1)
}

/// With two decimals.
fn percent(part: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        _ => (part as f64 / all as f64 * 10_000.0).round() / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::{NOON, Server};

    const HOUR_OF_NOON: Period = Period {
        start: NOON + 30,
        stop: NOON + HOUR - 30,
    };

    fn choice(top: usize, order: Order, service: Option<&str>) -> Choice {
        Choice {
            top,
            order,
            service: service.map(str::to_owned),
        }
    }

    async fn names(top: usize, order: Order, service: Option<&str>) -> Vec<String> {
        let summary = Summary::read(&Server, HOUR_OF_NOON, &choice(top, order, service), NOON + HOUR).await;
        summary.unwrap().services.into_iter().map(|it| it.service).collect()
    }

    #[tokio::test]
    async fn the_first_ones_come_with_their_shares_and_trends() {
        let wanted = choice(1, Order::Usage, None);
        let summary = Summary::read(&Server, HOUR_OF_NOON, &wanted, NOON + 200).await.unwrap();
        assert_eq!((summary.calls, summary.total_us, summary.mean_us), (12, 32_000, 2_666));
        let first = Figures {
            service: "shop.a".to_owned(),
            calls: 10,
            rate: 0.05,
            calls_share: 83.33,
            total_us: 20_000,
            time_share: 62.5,
            mean_us: 2_000,
            min_us: 500,
            max_us: 9_000,
            // minutes that are over, and the one that goes on
            calls_trend: vec![8, 0, 2, 0],
            mean_us_trend: vec![1_250, 0, 5_000, 0],
        };
        assert_eq!((summary.step_secs, summary.services), (MINUTE, vec![first]));
        assert_eq!(summary.start, "2026-03-01T12:00:00.000Z");
    }

    #[tokio::test]
    async fn services_are_chosen_by_either_number_or_by_name() {
        assert_eq!(names(9, Order::Usage, None).await, ["shop.a", "shop.b"]);
        assert_eq!(names(9, Order::Mean, None).await, ["shop.b", "shop.a"]);
        assert_eq!(names(1, Order::Mean, None).await, ["shop.b"]);
        assert_eq!(names(9, Order::Mean, Some("shop.a")).await, ["shop.a"]);
        assert_eq!(names(9, Order::Mean, Some("nobody")).await, [""; 0]);
    }

    #[tokio::test]
    async fn where_nothing_was_called_there_is_nothing_to_divide_by() {
        let later = Period {
            start: NOON + DAY,
            stop: NOON + DAY,
        };
        let summary = Summary::read(&Server, later, &choice(9, Order::Mean, None), NOON)
            .await
            .unwrap();
        assert_eq!((summary.calls, summary.mean_us, summary.services), (0, 0, Vec::new()));
    }

    #[test]
    fn long_periods_have_longer_steps() {
        for (length, expected) in [
            (MINUTE, MINUTE),
            (DAY, MINUTE),
            (DAY + 1, HOUR),
            (31 * DAY, HOUR),
            (366 * DAY, DAY),
            (36_525 * DAY, DAY),
        ] {
            assert_eq!(step(length), expected, "{length}");
        }
    }
}
