//! What leads from one state of the objects to another.

use busbar_model::object::{Change, ChangeSet, Record, Snapshot};

/// The change set that turns `old` into `new`: removals first, so that a name which moves to another kind is free when it arrives,
/// then what is new or different, each in the order of its snapshot. Versions, ids and revisions do not count as a difference.
pub fn diff(old: &Snapshot, new: &Snapshot) -> ChangeSet {
    let removed = old.iter().filter(|it| new.get(&it.kind, &it.name).is_none());
    let removed = removed.map(|it| Change::Delete {
        kind: it.kind.clone(),
        name: it.name.clone(),
    });
    let is_different = |it: &&Record| old.get(&it.kind, &it.name).is_none_or(|before| !same(before, it));
    let put = new.iter().filter(is_different).cloned().map(Change::Put);
    ChangeSet {
        changes: removed.chain(put).collect(),
    }
}

/// The version that `record` has once it is put over `old`; `None` if that changes nothing. The store counts by this rule, and whoever
/// needs to know the next snapshot before it is stored counts by it as well.
pub fn put_version(old: Option<&Record>, record: &Record) -> Option<u64> {
    match old {
        None => Some(1),
        Some(old) if same(old, record) => None,
        Some(old) => Some(old.version + 1),
    }
}

fn same(a: &Record, b: &Record) -> bool {
    a.is_active == b.is_active && a.body == b.body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(kind: &str, name: &str, size: u32) -> Record {
        let body = json!({"size": size}).as_object().unwrap().clone().into();
        Record {
            kind: kind.into(),
            name: name.into(),
            is_active: true,
            body,
            version: u64::from(size),
            id: 0,
        }
    }

    fn snapshot(records: &[Record]) -> Snapshot {
        Snapshot::new(1, records.to_vec())
    }

    #[test]
    fn nothing_changed_is_an_empty_set() {
        let one = snapshot(&[record("a", "x", 1)]);
        let mut same = record("a", "x", 1);
        (same.version, same.id) = (7, 3);
        let other = Snapshot::new(9, vec![same]);
        assert_eq!(diff(&one, &other), ChangeSet::default());
    }

    #[test]
    fn removals_come_first_and_only_what_differs_is_put() {
        let old = snapshot(&[record("a", "x", 1), record("b", "gone", 1), record("b", "same", 1)]);
        let mut off = record("b", "same", 1);
        off.is_active = false;
        let new = snapshot(&[record("a", "new", 1), record("a", "x", 2), off.clone()]);
        assert_eq!(
            diff(&old, &new).changes,
            [
                Change::Delete {
                    kind: "b".into(),
                    name: "gone".into()
                },
                Change::Put(record("a", "new", 1)),
                Change::Put(record("a", "x", 2)),
                Change::Put(off),
            ]
        );
    }
}
