//! What leads from one snapshot to a later one, for whoever has the earlier one: of many objects few change at a time.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::object::{Record, Snapshot, shared};

/// What is different in a snapshot, compared with an earlier one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// [`Snapshot::revision`] of the earlier one.
    pub from: u64,
    /// That of the later one.
    pub to: u64,
    /// Objects that are new or not what they were, sorted by kind and name.
    #[serde(with = "shared")]
    pub put: Vec<Arc<Record>>,
    /// Kind and name of those that are gone, sorted too.
    pub gone: Vec<(String, String)>,
}

impl Difference {
    /// What turns `earlier` into `later`.
    pub fn between(earlier: &Snapshot, later: &Snapshot) -> Self {
        let mut difference = Self {
            from: earlier.revision,
            to: later.revision,
            ..Self::default()
        };
        let (mut old, mut new) = (earlier.records.as_slice(), later.records.as_slice());
        loop {
            // most of them: what they are called need not be compared
            while let ([one, others @ ..], [other, more @ ..]) = (old, new)
                && Arc::ptr_eq(one, other)
            {
                (old, new) = (others, more);
            }
            let order = match (old.first(), new.first()) {
                (None, None) => return difference,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.key().cmp(&other.key()),
            };
            if order.is_lt() {
                difference.gone.push((old[0].kind.clone(), old[0].name.clone()));
            } else if order.is_gt() || !Arc::ptr_eq(&old[0], &new[0]) && old[0] != new[0] {
                difference.put.push(Arc::clone(&new[0]));
            }
            old = &old[usize::from(order.is_le())..];
            new = &new[usize::from(order.is_ge())..];
        }
    }

    /// The later snapshot, if `earlier` is the one that this starts from.
    pub fn applied_to(&self, earlier: &Snapshot) -> Option<Snapshot> {
        if earlier.revision != self.from {
            return None;
        }
        let mut put = self.put.iter().peekable();
        let mut gone = self.gone.iter().peekable();
        let mut records = Vec::with_capacity(earlier.records.len() + self.put.len());
        for record in &earlier.records {
            while let Some(new) = put.next_if(|it| it.key() < record.key()) {
                records.push(Arc::clone(new));
            }
            if let Some(new) = put.next_if(|it| it.key() == record.key()) {
                records.push(Arc::clone(new));
            } else if gone
                .next_if(|(kind, name)| (kind.as_str(), name.as_str()) == record.key())
                .is_none()
            {
                records.push(Arc::clone(record));
            }
        }
        records.extend(put.cloned());
        Some(Snapshot {
            revision: self.to,
            records,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Body;

    /// Objects by kind, name and whether they are active.
    fn snapshot(revision: u64, objects: &[(&str, &str, bool)]) -> Snapshot {
        let record = |(kind, name, is_active): &(&str, &str, bool)| Record {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            is_active: *is_active,
            body: Body::default(),
            version: 1,
            id: 0,
        };
        Snapshot::new(revision, objects.iter().map(record).collect())
    }

    /// Every snapshot that has some of four objects, active or not.
    fn all(revision: u64) -> Vec<Snapshot> {
        let states = |number: usize| {
            let keys = [("a", "1"), ("a", "3"), ("b", "2"), ("b", "4")].into_iter().enumerate();
            let objects = keys.filter_map(|(index, (kind, name))| match number / 3_usize.pow(index as u32) % 3 {
                0 => None,
                state => Some((kind, name, state == 1)),
            });
            objects.collect::<Vec<_>>()
        };
        (0..81).map(|number| snapshot(revision, &states(number))).collect()
    }

    #[test]
    fn a_difference_leads_where_it_says() {
        for old in all(1) {
            for new in all(2) {
                let difference = Difference::between(&old, &new);
                let text = serde_json::to_string(&difference).unwrap();
                let sent: Difference = serde_json::from_str(&text).unwrap();
                assert_eq!(sent.applied_to(&new), None, "{text}");
                assert_eq!(sent.applied_to(&old), Some(new.clone()), "{text}");
            }
        }
    }

    #[test]
    fn what_is_as_it_was_is_no_part_of_it() {
        let old = snapshot(1, &[("a", "1", true), ("a", "2", true), ("b", "3", true)]);
        let new = snapshot(2, &[("a", "1", true), ("a", "2", false), ("b", "4", true)]);
        let difference = Difference::between(&old, &new);
        let put: Vec<_> = difference.put.iter().map(|it| it.key()).collect();
        assert_eq!(put, [("a", "2"), ("b", "4")]);
        assert_eq!(difference.gone, [("b".to_owned(), "3".to_owned())]);
    }
}
