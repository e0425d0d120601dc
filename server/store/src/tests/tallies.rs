use super::{Odb, on_every_database};
use crate::{DAY, HOUR, MINUTE, Period, Retention, ServiceTally, Tally};

on_every_database!(
    what_servers_add_is_counted_together,
    old_minutes_become_hours_and_old_hours_days,
    a_period_is_forgotten,
);

/// The first of March 2026, 12:00.
const NOON: u64 = 1_772_366_400;

const ALL: Period = Period {
    start: 0,
    stop: u64::MAX >> 1,
};

fn tally(calls: u64, total_us: u64, min_us: u64, max_us: u64) -> Tally {
    Tally {
        calls,
        total_us,
        min_us,
        max_us,
    }
}

fn row(service: &str, began_at: u64, tally: Tally) -> ServiceTally {
    ServiceTally {
        service: service.to_owned(),
        began_at,
        tally,
    }
}

async fn what_servers_add_is_counted_together(odb: &Odb) {
    let (one, other) = (odb.open().await, odb.open().await);
    let quick = tally(3, 3_000, 500, 2_000);
    let slow = tally(1, u64::MAX >> 2, u64::MAX >> 2, u64::MAX >> 2);
    one.add_tallies("one", &[row("a", NOON, quick), row("b'\"%", NOON + MINUTE, slow)])
        .await
        .unwrap();
    other
        .add_tallies("other", &[row("a", NOON, tally(1, 9_000, 9_000, 9_000))])
        .await
        .unwrap();
    // more than one statement takes
    let many: Vec<ServiceTally> = (2..402).map(|n| row("a", NOON + n * MINUTE, quick)).collect();
    one.add_tallies("one", &many).await.unwrap();
    one.add_tallies("one", &[]).await.unwrap();

    let noon = Period {
        start: NOON,
        stop: NOON + 2 * MINUTE,
    };
    let both = tally(4, 12_000, 500, 9_000);
    assert_eq!(
        other.tallies(noon, MINUTE, None).await.unwrap(),
        [row("a", NOON, both), row("b'\"%", NOON + MINUTE, slow)]
    );
    let named = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
    let only = other.tallies(noon, HOUR, Some(&named(&["b'\"%", "nobody"]))).await;
    assert_eq!(only.unwrap(), [row("b'\"%", NOON, slow)]);
    assert_eq!(other.tallies(noon, HOUR, Some(&[])).await.unwrap(), []);
    // of so many names that they are not part of the statement
    let mut names = vec!["a".to_owned()];
    names.extend((0..200).map(|number| format!("other {number}")));
    let day = Period {
        start: NOON,
        stop: NOON + DAY,
    };
    let hours = one.tallies(day, HOUR, Some(&names)).await.unwrap();
    let calls: Vec<(u64, u64)> = hours.iter().map(|it| (it.began_at - NOON, it.tally.calls)).collect();
    assert_eq!(
        calls,
        [
            (0, 4 + 58 * 3),
            (HOUR, 180),
            (2 * HOUR, 180),
            (3 * HOUR, 180),
            (4 * HOUR, 180),
            (5 * HOUR, 180),
            (6 * HOUR, 126)
        ]
    );
}

async fn old_minutes_become_hours_and_old_hours_days(odb: &Odb) {
    let store = odb.open().await;
    let one = tally(1, 100, 100, 100);
    let two = tally(2, 500, 200, 300);
    let minutes = [
        row("a", NOON, one),
        row("a", NOON + 59 * MINUTE, two),
        row("b", NOON + 59 * MINUTE, two),
        row("a", NOON + 60 * MINUTE, two),
    ];
    store.add_tallies("one", &minutes).await.unwrap();
    store.add_tallies("two", &minutes[..1]).await.unwrap();
    let retention = Retention {
        minutes: HOUR,
        hours: DAY,
        days: 30 * DAY,
    };
    let shown = async || store.tallies(ALL, 1, None).await.unwrap();
    let rows = async || {
        let sql = "SELECT COUNT(*) AS count FROM service_tally";
        store.db.fetch_all(sql, &[]).await.unwrap()[0].count("count").unwrap()
    };
    // an hour that is not over is left alone
    store.condense_tallies(NOON + 2 * HOUR - 1, retention).await.unwrap();
    assert_eq!((shown().await.len(), rows().await), (4, 5));
    store.condense_tallies(NOON + 2 * HOUR, retention).await.unwrap();
    let first = one.with(one).with(two);
    let hours = [row("a", NOON, first), row("a", NOON + HOUR, two), row("b", NOON, two)];
    assert_eq!((shown().await, rows().await), (hours.to_vec(), 4));
    // what a server could not store for long comes late
    store.add_tallies("one", &minutes[..1]).await.unwrap();
    let late = NOON + HOUR + 2 * DAY;
    store.condense_tallies(late, retention).await.unwrap();
    store.condense_tallies(late, retention).await.unwrap();
    let midnight = NOON - 12 * HOUR;
    let days = [row("a", midnight, first.with(one).with(two)), row("b", midnight, two)];
    assert_eq!((shown().await, rows().await), (days.to_vec(), 3));
    store.condense_tallies(NOON + 40 * DAY, retention).await.unwrap();
    assert_eq!(rows().await, 0);
}

async fn a_period_is_forgotten(odb: &Odb) {
    let store = odb.open().await;
    let one = tally(1, 100, 100, 100);
    let minutes = [0, 1, 2].map(|number| row("a", NOON + number * MINUTE, one));
    store.add_tallies("one", &minutes).await.unwrap();
    let second = Period {
        start: NOON + MINUTE,
        stop: NOON + 2 * MINUTE,
    };
    store.delete_tallies(second).await.unwrap();
    let left = store.tallies(ALL, 1, None).await.unwrap();
    assert_eq!(left, [minutes[0].clone(), minutes[2].clone()]);
}
