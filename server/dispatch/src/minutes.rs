//! What services took by minute, kept in the ODB beyond restarts.
//!
//! Calls are counted where they always were, in [`ServiceStatistics`](crate::ServiceStatistics). Once a minute what has been counted since
//! goes into the ODB, a row for each service that was called. What the ODB does not take waits in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::Error;
use busbar_runtime::task::{self, TaskKind};
use busbar_store::{DAY, HOUR, MINUTE, Period, Retention, ServiceTally, Store, Tally, at_ms, now_secs};
use serde::{Deserialize, Serialize};

use crate::table::ServiceTable;

/// `[statistics]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatisticsConfig {
    /// Whether anything is kept.
    pub enabled: bool,
    /// Hours after which minutes become hours.
    pub minutes_kept_hours: u32,
    /// Days after which hours become days.
    pub hours_kept_days: u32,
    /// Days after which days are deleted.
    pub days_kept_days: u32,
}

impl Default for StatisticsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            minutes_kept_hours: 168,
            hours_kept_days: 92,
            days_kept_days: 1_100,
        }
    }
}

impl StatisticsConfig {
    fn retention(&self) -> Retention {
        Retention {
            minutes: u64::from(self.minutes_kept_hours) * HOUR,
            hours: u64::from(self.hours_kept_days) * DAY,
            days: u64::from(self.days_kept_days) * DAY,
        }
    }
}

/// How many tallies wait for the ODB at most: those of 100 services for more than a day.
const MAX_WAITING: usize = 200_000;

/// How long after a minute its calls are stored, so that it is over by any clock.
const GRACE: Duration = Duration::from_millis(100);

/// Minutes of a server.
pub struct Minutes {
    table: Arc<ServiceTable>,
    store: Arc<Store>,
    server: String,
    config: StatisticsConfig,
    max_waiting: usize,
    waiting: Mutex<Waiting>,
    /// Held by whoever brings tallies from memory into the ODB, and by whoever reads both.
    moving: tokio::sync::Mutex<Moving>,
}

/// Tallies that are not in the ODB yet.
struct Waiting {
    /// The minute that calls are counted for: seconds since 1970.
    minute: u64,
    tallies: BTreeMap<(u64, String), Tally>,
}

#[derive(Default)]
struct Moving {
    /// The ODB has not taken the last ones.
    is_failing: bool,
    /// The hour in which old tallies were last condensed.
    condensed: u64,
}

impl Minutes {
    /// Minutes of the services in `table`, kept in `store` under the name of the server.
    pub fn new(table: Arc<ServiceTable>, store: Arc<Store>, server: &str, config: StatisticsConfig) -> Arc<Self> {
        Arc::new(Self {
            table,
            store,
            server: server.to_owned(),
            config,
            max_waiting: MAX_WAITING,
            waiting: Mutex::new(Waiting {
                minute: minute_of(now_secs()),
                tallies: BTreeMap::new(),
            }),
            moving: tokio::sync::Mutex::default(),
        })
    }

    /// Stores every minute when it is over, for as long as the process runs.
    pub fn spawn(self: &Arc<Self>) {
        if self.config.enabled {
            task::spawn("statistics", TaskKind::Forever, Arc::clone(self).run());
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(until_next_minute(SystemTime::now())).await;
            self.collect(now_secs());
            // said where it happened
            drop(self.store_until(minute_of(now_secs())).await);
            let is_due = self.moving.lock().await.condensed != now_secs() / HOUR;
            if is_due && let Err(error) = self.condense().await {
                tracing::warn!(
                    error = error.chain(),
                    "old statistics stay as they are until the next minute"
                );
            }
        }
    }

    /// Stores what has been counted until now.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written; what was counted waits.
    pub async fn store(&self) -> Result<(), Error> {
        self.collect(now_secs());
        self.store_until(u64::MAX).await
    }

    /// Makes hours of old minutes and days of old hours, and deletes what is too old.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn condense(&self) -> Result<(), Error> {
        if !self.config.enabled {
            return Ok(());
        }
        let now = now_secs();
        self.store.condense_tallies(now, self.config.retention()).await?;
        self.moving.lock().await.condensed = now / HOUR;
        Ok(())
    }

    /// See [`Store::tallies`]; what has not been stored yet is counted too.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn read(
        &self,
        period: Period,
        step: u64,
        services: Option<&[String]>,
    ) -> Result<Vec<ServiceTally>, Error> {
        self.collect(now_secs());
        let _nothing_moves = self.moving.lock().await;
        let stored = self.store.tallies(period, step, services).await?;
        let mut tallies = BTreeMap::new();
        for ServiceTally {
            service,
            began_at,
            tally,
        } in stored
        {
            add(&mut tallies, (service, began_at), tally);
        }
        for ((minute, service), tally) in &self.waiting().tallies {
            if period.contains(*minute) && services.is_none_or(|names| names.contains(service)) {
                add(&mut tallies, (service.clone(), period.part_of(*minute, step)), *tally);
            }
        }
        let tally = |((service, began_at), tally)| ServiceTally {
            service,
            began_at,
            tally,
        };
        Ok(tallies.into_iter().map(tally).collect())
    }

    /// Forgets a period, also on other servers of the ODB.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn delete(&self, period: Period) -> Result<(), Error> {
        self.collect(now_secs());
        let _nothing_moves = self.moving.lock().await;
        self.store.delete_tallies(period).await?;
        self.waiting()
            .tallies
            .retain(|(minute, _), _| !period.contains(*minute));
        Ok(())
    }

    /// Takes over what has been counted. `now`: seconds since 1970.
    fn collect(&self, now: u64) {
        if !self.config.enabled {
            return;
        }
        let mut waiting = self.waiting();
        // calls count for the minute that was going on when the ones before were taken over
        let minute = std::mem::replace(&mut waiting.minute, minute_of(now));
        for (service, tally) in self.table.take_tallies() {
            add(&mut waiting.tallies, (minute, service), tally);
        }
        self.limit(&mut waiting);
    }

    /// Stores what waits of minutes before `end`, all or nothing.
    async fn store_until(&self, end: u64) -> Result<(), Error> {
        let mut moving = self.moving.lock().await;
        let ready = {
            let mut waiting = self.waiting();
            let later = waiting.tallies.split_off(&(end, String::new()));
            std::mem::replace(&mut waiting.tallies, later)
        };
        let tally = |((minute, service), tally): (&(u64, String), &Tally)| ServiceTally {
            service: service.clone(),
            began_at: *minute,
            tally: *tally,
        };
        let tallies: Vec<ServiceTally> = ready.iter().map(tally).collect();
        let stored = self.store.add_tallies(&self.server, &tallies).await;
        if let Err(error) = &stored {
            let mut waiting = self.waiting();
            for (key, tally) in ready {
                add(&mut waiting.tallies, key, tally);
            }
            self.limit(&mut waiting);
            if !moving.is_failing {
                tracing::warn!(
                    error = error.chain(),
                    "statistics wait in memory until the ODB takes them"
                );
            }
        } else if moving.is_failing {
            tracing::info!("the ODB takes statistics again");
        }
        moving.is_failing = stored.is_err();
        stored
    }

    /// Throws the oldest away when there are too many.
    fn limit(&self, waiting: &mut Waiting) {
        let mut lost: Option<(u64, u64, u64)> = None;
        while waiting.tallies.len() > self.max_waiting
            && let Some(((minute, _), tally)) = waiting.tallies.pop_first()
        {
            let (first, _, calls) = lost.unwrap_or((minute, minute, 0));
            lost = Some((first, minute, calls + tally.calls));
        }
        if let Some((first, last, calls)) = lost {
            tracing::warn!(
                calls,
                "statistics of {calls} call(s) between {} and {} are lost: the ODB has not taken any for too long",
                at_ms(first * 1_000),
                at_ms((last + MINUTE) * 1_000)
            );
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // a tally that is only half there would be one number too small
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add<K: Ord>(tallies: &mut BTreeMap<K, Tally>, key: K, tally: Tally) {
    match tallies.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(tally);
        }
        Entry::Occupied(mut entry) => {
            let sum = entry.get().with(tally);
            entry.insert(sum);
        }
    }
}

fn minute_of(second: u64) -> u64 {
    second - second % MINUTE
}

fn until_next_minute(now: SystemTime) -> Duration {
    let past = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let minute = Duration::from_secs(minute_of(past.as_secs()) + MINUTE);
    minute.saturating_sub(past) + GRACE
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_772_366_400;

    const ALL: Period = Period {
        start: 0,
        stop: u64::MAX >> 1,
    };

    struct Bench {
        table: Arc<ServiceTable>,
        store: Arc<Store>,
        minutes: Arc<Minutes>,
    }

    impl Bench {
        async fn new(max_waiting: usize) -> Self {
            let (table, store) = (ServiceTable::new(), Store::in_memory().await.unwrap());
            let minutes = Minutes::new(table.clone(), store.clone(), "server1", StatisticsConfig::default());
            let mut minutes = Arc::into_inner(minutes).unwrap();
            minutes.max_waiting = max_waiting;
            minutes.waiting.get_mut().unwrap().minute = NOON;
            Self {
                table,
                store,
                minutes: minutes.into(),
            }
        }

        fn call(&self, service: &str, micros: u64) {
            self.table.statistics(service).record(Duration::from_micros(micros));
        }

        /// Service, minutes since noon, calls and microseconds.
        async fn stored(&self) -> Vec<(String, u64, u64, u64)> {
            shown(self.store.tallies(ALL, MINUTE, None).await.unwrap())
        }

        async fn read(&self) -> Vec<(String, u64, u64, u64)> {
            shown(self.minutes.read(ALL, MINUTE, None).await.unwrap())
        }
    }

    fn shown(tallies: Vec<ServiceTally>) -> Vec<(String, u64, u64, u64)> {
        let row = |it: ServiceTally| {
            (
                it.service,
                (it.began_at - NOON) / MINUTE,
                it.tally.calls,
                it.tally.total_us,
            )
        };
        tallies.into_iter().map(row).collect()
    }

    fn row(service: &str, minute: u64, calls: u64, micros: u64) -> (String, u64, u64, u64) {
        (service.to_owned(), minute, calls, micros)
    }

    #[tokio::test]
    async fn calls_are_stored_under_the_minute_in_which_they_were() {
        let bench = Bench::new(10).await;
        bench.call("a", 10);
        bench.call("b", 20);
        bench.minutes.collect(NOON + 30);
        bench.call("a", 30);
        bench.minutes.collect(NOON + MINUTE);
        bench.call("a", 40);
        bench.minutes.collect(NOON + MINUTE + 1);
        bench.minutes.store_until(NOON + MINUTE).await.unwrap();
        let first = [row("a", 0, 2, 40), row("b", 0, 1, 20)];
        assert_eq!(bench.stored().await, first);
        // whoever reads sees what waits too, and nothing twice
        let all = [row("a", 0, 2, 40), row("a", 1, 1, 40), row("b", 0, 1, 20)];
        assert_eq!(bench.read().await, all);
        bench.minutes.store().await.unwrap();
        assert_eq!((bench.stored().await, bench.read().await), (all.to_vec(), all.to_vec()));
        let nothing = bench.minutes.read(ALL, MINUTE, Some(&["c".to_owned()])).await;
        assert_eq!(nothing.unwrap(), []);
    }

    #[tokio::test]
    async fn a_period_is_forgotten_in_memory_too() {
        let bench = Bench::new(10).await;
        for minute in 0..3 {
            bench.call("a", 10);
            bench.minutes.collect(NOON + (minute + 1) * MINUTE);
            if minute == 0 {
                bench.minutes.store_until(u64::MAX).await.unwrap();
            }
        }
        let period = Period {
            start: NOON,
            stop: NOON + 2 * MINUTE,
        };
        bench.minutes.delete(period).await.unwrap();
        assert_eq!(bench.read().await, [row("a", 2, 1, 10)]);
    }

    #[tokio::test]
    async fn what_the_odb_does_not_take_waits_and_the_oldest_goes_first() {
        let bench = Bench::new(3).await;
        bench.store.close().await;
        for minute in 0..3 {
            bench.call("a", 10 + minute);
            bench.call("b", 20 + minute);
            bench.minutes.collect(NOON + (minute + 1) * MINUTE);
            bench.minutes.store_until(u64::MAX).await.unwrap_err();
        }
        let waiting: Vec<(u64, String)> = bench.minutes.waiting().tallies.keys().cloned().collect();
        let key = |minute: u64, service: &str| (NOON + minute * MINUTE, service.to_owned());
        assert_eq!(waiting, [key(1, "b"), key(2, "a"), key(2, "b")]);
        bench.minutes.read(ALL, MINUTE, None).await.unwrap_err();
    }

    #[tokio::test]
    async fn services_that_went_are_counted_and_then_forgotten() {
        let bench = Bench::new(10).await;
        let kept = bench.table.statistics("kept");
        bench.call("gone", 10);
        assert_eq!(bench.table.take_tallies().len(), 1);
        kept.record(Duration::from_micros(20));
        let again = bench.table.statistics("gone");
        assert_eq!(again.usage().count, 0);
        assert!(Arc::ptr_eq(&kept, &bench.table.statistics("kept")));
    }

    #[test]
    fn a_minute_is_over_by_any_clock() {
        let at = |millis: u64| until_next_minute(UNIX_EPOCH + Duration::from_millis(NOON * 1_000 + millis));
        assert_eq!(at(0), Duration::from_millis(60_100));
        assert_eq!(at(59_999), Duration::from_millis(101));
    }
}
