//! What the calls of services took, by minute; by hour and by day when that is long ago.
//!
//! Rows are only added, so servers that share an ODB do not wait for each other; whoever reads adds up what is about the same time.

use busbar_model::Error;
use busbar_model::object::Object;
use busbar_model::service::ServiceSettings;

use crate::db::{Arg, Db, Row};
use crate::open::Store;

/// Seconds of a minute.
pub const MINUTE: u64 = 60;
/// Seconds of an hour.
pub const HOUR: u64 = 3_600;
/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// How many rows are stored by one statement.
const ROWS: usize = 100;

/// How many services a statement names at most; of more it reads all.
const NAMES: usize = 100;

/// What calls of a service took together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How many there were; never 0.
    pub calls: u64,
    /// Microseconds of all of them.
    pub total_us: u64,
    /// Microseconds of the quickest.
    pub min_us: u64,
    /// Microseconds of the slowest.
    pub max_us: u64,
}

impl Tally {
    /// These calls and those.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            total_us: self.total_us + other.total_us,
            min_us: self.min_us.min(other.min_us),
            max_us: self.max_us.max(other.max_us),
        }
    }
}

/// The calls of one service in one part of the time that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTally {
    /// Name of the service.
    pub service: String,
    /// When the part began: seconds since 1970.
    pub began_at: u64,
    /// Its calls.
    pub tally: Tally,
}

/// A part of time, in seconds since 1970: from `start` on, and before `stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first second.
    pub start: u64,
    /// The first one that is not in it.
    pub stop: u64,
}

impl Period {
    /// Whether a moment is in it.
    pub fn contains(&self, second: u64) -> bool {
        (self.start..self.stop).contains(&second)
    }

    /// When the part of it began that a moment is in, if it is divided into parts of `step` seconds.
    pub fn part_of(&self, second: u64, step: u64) -> u64 {
        second - (second - self.start) % step
    }
}

/// How long tallies are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Seconds after which minutes become hours.
    pub minutes: u64,
    /// Seconds after which hours become days.
    pub hours: u64,
    /// Seconds after which days are deleted.
    pub days: u64,
}

impl Store {
    /// Adds minutes that a server has counted, all or none. If the database is lost at the end nobody knows which.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn add_tallies(&self, server: &str, minutes: &[ServiceTally]) -> Result<(), Error> {
        if minutes.is_empty() {
            return Ok(());
        }
        let mut names: Vec<String> = minutes.iter().map(|it| it.service.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let ids = self.identify(ServiceSettings::KIND, &names).await?;
        let id_of = |service: &String| ids[names.binary_search(service).expect("it is among the names")];
        let mut transaction = self.db.begin().await.map_err(|error| self.error(error))?;
        for minutes in minutes.chunks(ROWS) {
            let mut args = Vec::with_capacity(minutes.len() * 8);
            for ServiceTally {
                service,
                began_at,
                tally,
            } in minutes
            {
                args.extend([
                    Arg::from(MINUTE),
                    Arg::from(*began_at),
                    server.into(),
                    Arg::from(id_of(service)),
                    Arg::from(tally.calls),
                    Arg::from(tally.total_us),
                    Arg::from(tally.min_us),
                    Arg::from(tally.max_us),
                ]);
            }
            let sql = format!(
                "INSERT INTO service_tally (span, began_at, server, service_id, calls, total_us, min_us, max_us) VALUES {}",
                vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; minutes.len()].join(", ")
            );
            self.execute(&mut transaction, &sql, &args).await?;
        }
        self.commit(transaction).await
    }

    /// What services took in a period, of all servers: for each part of `step` seconds in which one was called one tally, by name and time.
    /// `services`: only these. An hour or a day that minutes have become counts where it began.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn tallies(
        &self,
        period: Period,
        step: u64,
        services: Option<&[String]>,
    ) -> Result<Vec<ServiceTally>, Error> {
        let mut args = vec![
            Arg::from(period.start),
            Arg::from(step),
            Arg::from(period.start),
            Arg::from(period.stop),
        ];
        let chosen = match services.filter(|names| names.len() <= NAMES) {
            Some([]) => return Ok(Vec::new()),
            Some(names) => {
                args.push(ServiceSettings::KIND.into());
                args.extend(names.iter().map(Arg::from));
                let names = vec!["?"; names.len()].join(", ");
                format!("AND service_id IN (SELECT id FROM identity WHERE kind = ? AND name IN ({names}))")
            }
            None => String::new(),
        };
        // sums are of a larger type than what is summed
        let integer = match &self.db {
            Db::Sqlite(_) | Db::Postgres(_) => "BIGINT",
            Db::MySql(_) => "SIGNED",
        };
        let sql = format!(
            "SELECT identity.name AS name, part, calls, total_us, min_us, max_us \
             FROM (SELECT service_id, part, CAST(SUM(calls) AS {integer}) AS calls, CAST(SUM(total_us) AS {integer}) AS total_us, \
                          MIN(min_us) AS min_us, MAX(max_us) AS max_us \
                   FROM (SELECT service_id, began_at - (began_at - ?) % ? AS part, calls, total_us, min_us, max_us \
                         FROM service_tally \
                         WHERE span IN ({MINUTE}, {HOUR}, {DAY}) AND began_at >= ? AND began_at < ? {chosen}) AS parts \
                   GROUP BY service_id, part) AS sums \
             JOIN identity ON identity.id = sums.service_id ORDER BY name, part"
        );
        let rows = self.db.fetch_all(&sql, &args).await;
        let read = |row: &Row| {
            Ok(ServiceTally {
                service: row.get("name")?,
                began_at: row.count("part")?,
                tally: Tally {
                    calls: row.count("calls")?,
                    total_us: row.count("total_us")?,
                    min_us: row.count("min_us")?,
                    max_us: row.count("max_us")?,
                },
            })
        };
        let read: Result<Vec<ServiceTally>, sqlx::Error> = rows.and_then(|rows| rows.iter().map(read).collect());
        let mut tallies = read.map_err(|error| self.error(error))?;
        if let Some(names) = services {
            tallies.retain(|it| names.contains(&it.service));
        }
        Ok(tallies)
    }

    /// Forgets what services took in a period, on all servers.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn delete_tallies(&self, period: Period) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        let sql = format!(
            "DELETE FROM service_tally WHERE span IN ({MINUTE}, {HOUR}, {DAY}) AND began_at >= ? AND began_at < ?"
        );
        let args = [Arg::from(period.start), Arg::from(period.stop)];
        self.execute(&mut transaction, &sql, &args).await?;
        self.commit(transaction).await
    }

    /// Makes hours of old minutes and days of old hours, and deletes old days, of all servers. `now`: seconds since 1970.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn condense_tallies(&self, now: u64, retention: Retention) -> Result<(), Error> {
        // nobody else does meanwhile: a row would become part of two
        let mut transaction = self.write().await?;
        for (span, longer, kept) in [(MINUTE, HOUR, retention.minutes), (HOUR, DAY, retention.hours)] {
            let old = now.saturating_sub(kept);
            // whole ones only
            let end = old - old % longer;
            let sql = format!(
                "INSERT INTO service_tally (span, began_at, server, service_id, calls, total_us, min_us, max_us) \
                 SELECT {longer}, part, server, service_id, SUM(calls), SUM(total_us), MIN(min_us), MAX(max_us) \
                 FROM (SELECT began_at - began_at % {longer} AS part, server, service_id, calls, total_us, min_us, max_us \
                       FROM service_tally WHERE span = {span} AND began_at < ?) AS parts \
                 GROUP BY part, server, service_id"
            );
            self.execute(&mut transaction, &sql, &[Arg::from(end)]).await?;
            let sql = format!("DELETE FROM service_tally WHERE span = {span} AND began_at < ?");
            self.execute(&mut transaction, &sql, &[Arg::from(end)]).await?;
        }
        let sql = format!("DELETE FROM service_tally WHERE span = {DAY} AND began_at < ?");
        let old = now.saturating_sub(retention.days);
        self.execute(&mut transaction, &sql, &[Arg::from(old)]).await?;
        self.commit(transaction).await
    }
}
