use busbar_model::Kind;

use super::{Odb, on_every_database};
use crate::time::now;
use crate::{StoredFailure, StoredSource};

on_every_database!(
    generations_are_never_reused,
    sources_read_back_byte_for_byte_and_keep_their_history,
    an_older_generation_does_not_overwrite_a_newer_one,
    history_and_failures_are_bounded,
    a_large_source_fits,
);

fn source(module: &str, generation: u64) -> StoredSource {
    StoredSource {
        module: module.to_owned(),
        path: format!("pickup-dir/{module}.py"),
        text: format!("# {generation}\n").into_bytes(),
        hash: format!("h{generation}"),
        generation,
        deployed_at: now(),
        deployed_by: generation.is_multiple_of(2).then(|| format!("ann of {generation}")),
    }
}

async fn generations_are_never_reused(odb: &Odb) {
    let store = odb.open().await;
    assert_eq!(store.next_generation().await.unwrap(), 1);
    assert_eq!(store.next_generation().await.unwrap(), 2);
    store.close().await;
    assert_eq!(odb.open().await.next_generation().await.unwrap(), 3);
}

async fn sources_read_back_byte_for_byte_and_keep_their_history(odb: &Odb) {
    let store = odb.open().await;
    let mut latin = source("b", 1);
    latin.text = b"# -*- coding: latin-1 -*-\n# \xe9\0\xff".to_vec();
    store.put_sources(1, &[latin.clone(), source("a", 1)]).await.unwrap();
    assert_eq!(store.current_sources().await.unwrap()[1], latin);
    let newer = source("b", 2);
    store.put_sources(2, std::slice::from_ref(&newer)).await.unwrap();
    let current = store.current_sources().await.unwrap();
    assert_eq!(
        current
            .iter()
            .map(|it| (it.module.as_str(), it.generation))
            .collect::<Vec<_>>(),
        [("a", 1), ("b", 2)]
    );
    assert_eq!(store.source_history("b").await.unwrap(), [newer, latin]);
    store.remove_source("b").await.unwrap();
    store.remove_source("nobody").await.unwrap();
    assert_eq!(store.current_sources().await.unwrap().len(), 1);
    assert_eq!(store.source_history("b").await.unwrap().len(), 2);
}

async fn an_older_generation_does_not_overwrite_a_newer_one(odb: &Odb) {
    let store = odb.open().await;
    store.put_sources(5, &[source("b", 5)]).await.unwrap();
    let error = store
        .put_sources(4, &[source("a", 4), source("b", 4)])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    let current = store.current_sources().await.unwrap();
    assert_eq!(current.iter().map(|it| it.generation).collect::<Vec<_>>(), [5]);
}

async fn history_and_failures_are_bounded(odb: &Odb) {
    let store = odb.open().await;
    for generation in 1..=130 {
        store.put_sources(generation, &[source("a", generation)]).await.unwrap();
        let failure = StoredFailure {
            generation,
            module: "a".into(),
            message: "n\0o".into(),
            traceback: String::new(),
            failed_at: now(),
        };
        store.put_failure(&failure).await.unwrap();
    }
    let history = store.source_history("a").await.unwrap();
    assert_eq!(
        (history.len(), history[0].generation, history[99].generation),
        (100, 130, 31)
    );
    let failures = store.failures(1_000).await.unwrap();
    assert_eq!(
        (failures.len(), failures[0].generation, failures[99].generation),
        (100, 130, 31)
    );
    assert_eq!(store.failures(3).await.unwrap().len(), 3);
}

async fn a_large_source_fits(odb: &Odb) {
    let store = odb.open().await;
    let mut large = source("a", 1);
    large.text = (0..5_000_000_u32).map(|number| number as u8).collect();
    store.put_sources(1, std::slice::from_ref(&large)).await.unwrap();
    assert!(store.current_sources().await.unwrap() == [large]);
}
