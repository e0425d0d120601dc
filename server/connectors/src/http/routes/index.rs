//! Which paths with placeholders may match a request's, without trying one after another.
//!
//! Beside its placeholders a path has texts, and all of them stand in whatever it matches. That which the fewest paths have is its *key*.
//! One pass over a request's path tells which keys are in it, however many there are, and only the paths of these are tried.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use busbar_model::{Error, Kind};

use crate::http::pattern::literals;

/// Paths by their keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Finds keys; `None`: there are no paths.
    keys: Option<AhoCorasick>,
    /// The paths of each key, as their numbers, ascending.
    of_key: Vec<Vec<usize>>,
}

impl Index {
    /// An index of paths with placeholders, each with its number, in ascending order of these.
    ///
    /// # Errors
    ///
    /// The keys are longer than can be searched for, all together: gigabytes.
    pub(super) fn new(paths: &[(usize, &str)]) -> Result<Self, Error> {
        if paths.is_empty() {
            return Ok(Self::default());
        }
        let mut shared: HashMap<&str, usize> = HashMap::new();
        for text in paths.iter().flat_map(|(_, path)| literals(path)) {
            *shared.entry(text).or_default() += 1;
        }
        let (mut keys, mut of_key, mut numbers) = (Vec::new(), Vec::<Vec<usize>>::new(), HashMap::new());
        for (number, path) in paths {
            // the first text has the slash that every path begins with
            let texts = literals(path).filter(|text| !text.is_empty());
            let key = texts
                .min_by_key(|text| (shared[text], Reverse(text.len())))
                .unwrap_or("/");
            let position = *numbers.entry(key).or_insert_with(|| {
                keys.push(key);
                of_key.push(Vec::new());
                of_key.len() - 1
            });
            of_key[position].push(*number);
        }
        let keys = AhoCorasick::new(&keys).map_err(|error| {
            Error::new(Kind::Config, "the paths of all channels are too long together").with_source(error)
        })?;
        Ok(Self {
            keys: Some(keys),
            of_key,
        })
    }

    /// Gives the numbers of the paths that may match this one to `take`, each once, those of one key at a time.
    pub(super) fn near<'i>(&'i self, path: &str, mut take: impl FnMut(&'i [usize])) {
        let Some(keys) = &self.keys else { return };
        FOUND.with_borrow_mut(|found| {
            found.begin(self.of_key.len());
            for key in keys.find_overlapping_iter(path) {
                let key = key.pattern().as_usize();
                if found.is_new(key) {
                    take(&self.of_key[key]);
                }
            }
        });
    }
}

thread_local! {
    static FOUND: RefCell<Found> = RefCell::default();
}

/// The keys that a search has found: a path may have one of them thousands of times. Each thread keeps its own from search to search, so
/// that none needs memory.
#[derive(Default)]
struct Found {
    search: u64,
    /// The last search that found each key.
    found_by: Vec<u64>,
}

impl Found {
    fn begin(&mut self, keys: usize) {
        self.search += 1;
        if self.found_by.len() < keys {
            self.found_by.resize(keys, 0);
        }
    }

    fn is_new(&mut self, key: usize) -> bool {
        std::mem::replace(&mut self.found_by[key], self.search) != self.search
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::http::pattern::Pattern;

    fn near(paths: &[&str], path: &str) -> Vec<usize> {
        let numbered: Vec<_> = paths.iter().copied().enumerate().collect();
        let mut found = Vec::new();
        Index::new(&numbered).unwrap().near(path, |near| found.extend(near));
        found.sort_unstable();
        found
    }

    /// Paths whose texts stand in each other, at all places.
    pub(crate) fn some_path() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[ab/]{1,3}",
            Just("/x1".to_owned()),
            Just("/x12/".to_owned()),
            Just("{}".to_owned())
        ];
        vec(piece, 1..6).prop_map(|pieces| {
            let mut path = "/".to_owned();
            for (number, piece) in pieces.iter().enumerate() {
                path.push_str(&piece.replace("{}", &format!("{{p{number}}}")));
            }
            path
        })
    }

    proptest! {
        #[test]
        fn whatever_matches_is_near_and_once(
            paths in vec((some_path(), any::<bool>()), 0..20),
            asked in vec("[ab]|/|/x1|/x12/|/x123", 0..8),
        ) {
            let texts: Vec<&str> = paths.iter().map(|(path, _)| path.as_str()).collect();
            let asked = format!("/{}", asked.concat());
            let near = near(&texts, &asked);
            prop_assert!(near.is_sorted_by(|one, other| one < other), "{near:?}");
            for (number, (path, match_slash)) in paths.iter().enumerate() {
                let pattern = Pattern::parse(path, *match_slash).unwrap();
                if pattern.captures(&asked, &mut |_| {}) {
                    prop_assert!(near.contains(&number), "{path} matches {asked}, and is not among {near:?}");
                }
            }
        }
    }

    #[test]
    fn few_of_many_paths_are_near() {
        let many = |path: &dyn Fn(usize) -> String| (0..10_000).map(path).collect::<Vec<_>>();
        for (paths, asked) in [
            (many(&|n| format!("/{{tenant}}/x{n}")), "/shop/x1777"),
            (many(&|n| format!("/{{tenant}}/x{n}/{{id}}")), "/shop/x1777/x"),
            (many(&|n| format!("/x{n}/{{id}}")), "/x1777/9"),
            (many(&|n| format!("/{{tenant}}.x{n}")), "/shop.x1777"),
            (many(&|n| format!("/x{n}-{{id}}")), "/x1777-9"),
            (
                many(&|n| format!("/api/v1/{{a}}/x{n}/{{b}}/all")),
                "/api/v1/shop/x1777/y/all",
            ),
        ] {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let near = near(&paths, asked);
            // `/x1`, `/x17` and `/x177` stand in it too
            assert!(near.contains(&1777) && near.len() <= 4, "{asked}: {near:?}");
        }
    }
}
