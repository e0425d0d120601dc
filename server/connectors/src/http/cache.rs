//! Answers that are kept for a while (http.md 11).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashlink::LinkedHashMap;
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

use busbar_runtime::Head;

use crate::http::respond::Content;

/// What one entry takes besides its body: an estimate of the headers and the tables.
const OVERHEAD: usize = 512;
/// One answer may take this part of the whole room.
const LARGEST: usize = 8;

/// What tells requests of all channels apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// The answers that are kept, of all channels, in bounded memory: what was asked for longest ago makes room.
pub(crate) struct ResponseCache {
    max_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What was asked for longest ago comes first.
    entries: LinkedHashMap<Key, Entry>,
    bytes: usize,
}

struct Entry {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// `None`: until room is needed.
    until: Option<Instant>,
}

/// One channel's view of the cache.
#[derive(Clone)]
pub(crate) struct ChannelCache {
    cache: Arc<ResponseCache>,
    /// Name and version of the channel: a channel that was changed starts anew.
    scope: Arc<str>,
    /// `None`: until room is needed.
    expiry: Option<Duration>,
}

impl ResponseCache {
    pub(crate) fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            max_bytes,
            kept: Mutex::default(),
        })
    }

    fn get(&self, key: Key, now: Instant) -> Option<Response<Bytes>> {
        // the table is whole after every statement
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        let entry = kept.entries.to_back(&key)?;
        if entry.until.is_some_and(|until| until <= now) {
            kept.remove(key);
            return None;
        }
        let mut response = Response::new(entry.body.clone());
        *response.status_mut() = entry.status;
        *response.headers_mut() = entry.headers.clone();
        Some(response)
    }

    fn put<T>(&self, key: Key, response: &Response<T>, body: &Bytes, until: Option<Instant>) {
        let size = body.len() + OVERHEAD;
        if size > self.max_bytes / LARGEST {
            return;
        }
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        kept.remove(key);
        while kept.bytes + size > self.max_bytes {
            let Some((_, oldest)) = kept.entries.pop_front() else {
                break;
            };
            kept.bytes -= oldest.size();
        }
        let entry = Entry {
            status: response.status(),
            headers: response.headers().clone(),
            body: body.clone(),
            until,
        };
        kept.entries.insert(key, entry);
        kept.bytes += size;
    }
}

impl Entry {
    fn size(&self) -> usize {
        self.body.len() + OVERHEAD
    }
}

impl Kept {
    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.size();
        }
    }
}

impl ChannelCache {
    pub(crate) fn new(cache: Arc<ResponseCache>, channel: &str, version: u64, expiry: Option<Duration>) -> Self {
        Self {
            cache,
            scope: format!("{channel}\0{version}").into(),
            expiry,
        }
    }

    /// What a request is told apart by: method, path, query in any order, body, and whose credentials it carries.
    pub(crate) fn key(&self, head: &Head<'_>, body: &[u8]) -> Key {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(self.scope.as_bytes());
        add(head.method.as_bytes());
        add(head.path.as_bytes());
        let mut query: Vec<&str> = head.query.split('&').collect();
        query.sort_unstable();
        for pair in query {
            add(pair.as_bytes());
        }
        add(head.security_name.as_bytes());
        add(head.username.as_bytes());
        for (name, value) in head.headers() {
            if matches!(name, "authorization" | "soapaction" | "accept") {
                add(name.as_bytes());
                add(value);
            }
        }
        add(body);
        Key(hash.finalize().into())
    }

    /// What a request is told apart by when its service says so itself. Whose credentials it carries counts all the same: what one caller
    /// may see is not for another one.
    pub(crate) fn own_key(&self, head: &Head<'_>, hash: &[u8]) -> Key {
        let mut sum = Sha256::new();
        for part in [
            self.scope.as_bytes(),
            b"own",
            head.security_name.as_bytes(),
            head.username.as_bytes(),
            hash,
        ] {
            sum.update((part.len() as u64).to_le_bytes());
            sum.update(part);
        }
        Key(sum.finalize().into())
    }

    /// What was answered to such a request, if it is still kept.
    pub(crate) fn get(&self, key: Key) -> Option<Response<Bytes>> {
        self.cache.get(key, Instant::now())
    }

    /// Keeps an answer; errors and what sets cookies are not for others, and what comes piece by piece is not there yet.
    pub(crate) fn put(&self, key: Key, response: &Response<Content>) {
        if let Content::Whole(body) = response.body()
            && response.status().is_success()
            && !response.headers().contains_key(header::SET_COOKIE)
        {
            let until = self.expiry.map(|expiry| Instant::now() + expiry);
            self.cache.put(key, response, body, until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &ResponseCache, key: Key, body: &'static str, until: Option<Instant>) {
        cache.put(key, &Response::new(()), &Bytes::from_static(body.as_bytes()), until);
    }

    fn key(number: u8) -> Key {
        Key([number; 32])
    }

    #[test]
    fn what_was_asked_for_longest_ago_makes_room() {
        let cache = ResponseCache::new(LARGEST * (OVERHEAD + 1));
        let now = Instant::now();
        for number in 0..LARGEST as u8 {
            put(&cache, key(number), "x", None);
        }
        assert!(cache.get(key(0), now).is_some());
        put(&cache, key(100), "y", None);
        assert!(cache.get(key(0), now).is_some() && cache.get(key(1), now).is_none());
        assert_eq!(cache.get(key(100), now).unwrap().body(), "y");
        // larger than one may be
        put(&cache, key(101), "xx", None);
        assert!(cache.get(key(101), now).is_none());
        // the same again takes no more room
        for _ in 0..100 {
            put(&cache, key(100), "z", None);
        }
        let kept = cache.kept.lock().unwrap();
        assert_eq!((kept.entries.len(), kept.bytes), (LARGEST, cache.max_bytes));
    }

    #[test]
    fn answers_expire() {
        let cache = ResponseCache::new(1 << 20);
        let now = Instant::now();
        put(&cache, key(1), "x", Some(now + Duration::from_secs(1)));
        assert!(cache.get(key(1), now).is_some());
        assert!(cache.get(key(1), now + Duration::from_secs(1)).is_none());
        assert_eq!(cache.kept.lock().unwrap().bytes, 0);
    }
}
