//! The steps of the schema, forward and back, embedded in the executable.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One step: its number, what it is about, and its SQL both ways.
struct Step {
    number: i64,
    about: &'static str,
    forward: &'static str,
    back: &'static str,
}

macro_rules! step {
    ($number:literal, $name:literal) => {
        Step {
            number: $number,
            about: $name,
            forward: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            back: include_str!(concat!("../../../migrations/sqlite/", $name, ".down.sql")),
        }
    };
}

/// Every step, in order. A step that was released is never edited: what it did is stored with a checksum.
const STEPS: &[Step] = &[step!(1, "0001_objects_and_sources")];

/// Runs the steps that a file does not have yet, each in a transaction of its own.
pub fn migrator() -> Migrator {
    let step = |step: &Step, migration_type, sql: &'static str| {
        Migration::new(
            step.number,
            step.about.into(),
            migration_type,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(
        STEPS
            .iter()
            .flat_map(|it| {
                [
                    step(it, MigrationType::ReversibleUp, it.forward),
                    step(it, MigrationType::ReversibleDown, it.back),
                ]
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_a_step_and_its_number_leads_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        let steps: BTreeSet<String> = STEPS
            .iter()
            .flat_map(|it| [format!("{}.sql", it.about), format!("{}.down.sql", it.about)])
            .collect();
        assert_eq!(files, steps);
        for (index, step) in STEPS.iter().enumerate() {
            assert_eq!(step.number, index as i64 + 1);
            assert!(step.about.starts_with(&format!("{:04}_", step.number)));
        }
    }
}
