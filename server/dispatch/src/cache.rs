//! The built-in cache, `self.cache` (service-api.md 9.2): one for each node, so that all workers agree and their deaths change nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use busbar_model::{Error, Kind};
use busbar_runtime::HubRequest;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// How much a cache may hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Items at most. Beyond, the oldest are dropped.
    pub max_items: usize,
    /// Bytes of one item at most.
    pub max_item_bytes: usize,
    /// Bytes of all items at most. Beyond, the oldest are dropped.
    pub max_bytes: usize,
    /// Reading an item that expires gives it its time anew.
    pub extend_expiry_on_get: bool,
    /// Setting an item that expires gives it its time anew.
    pub extend_expiry_on_set: bool,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_items: 10_000,
            max_item_bytes: 1 << 20,
            max_bytes: 256 << 20,
            extend_expiry_on_get: true,
            extend_expiry_on_set: true,
        }
    }
}

/// Which items, and what to do with them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ask {
    how: How,
    what: Vec<String>,
    limit: usize,
    expiry: f64,
    /// Looks without counting that as reading.
    peek: bool,
    /// Times and counts are wanted.
    details: bool,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    /// These very keys.
    #[default]
    Keys,
    All,
    Prefix,
    Suffix,
    Contains,
    NotContains,
    ContainsAll,
    ContainsAny,
}

impl Ask {
    fn matches(&self, key: &str) -> bool {
        // keys that are not text are found by themselves only
        let Some(text) = key.strip_prefix(TEXT) else {
            return matches!(self.how, How::All);
        };
        let mut patterns = self.what.iter().map(String::as_str);
        match self.how {
            How::All => true,
            How::Keys => patterns.any(|pattern| pattern == key),
            How::Prefix => patterns.any(|pattern| text.starts_with(pattern)),
            How::Suffix => patterns.any(|pattern| text.ends_with(pattern)),
            How::Contains | How::ContainsAny => patterns.any(|pattern| text.contains(pattern)),
            How::NotContains => !patterns.any(|pattern| text.contains(pattern)),
            How::ContainsAll => patterns.all(|pattern| text.contains(pattern)),
        }
    }
}

/// What keys begin with that are text; others are numbers.
const TEXT: char = 's';

/// The cache of a node.
pub struct Cache {
    config: CacheConfig,
    items: Mutex<Items>,
}

#[derive(Default)]
struct Items {
    by_key: HashMap<String, Item>,
    /// Keys, the oldest first.
    order: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
}

struct Item {
    value: Bytes,
    place: u64,
    times: Times,
}

/// What is known of an item, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Times {
    expiry: f64,
    expires_at: f64,
    hits: u64,
    last_read: f64,
    prev_read: f64,
    last_write: f64,
    prev_write: f64,
}

/// What an answer says of an item.
#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    times: Times,
    position: usize,
}

impl Cache {
    /// What workers ask for it by.
    pub const KIND: &'static str = "cache";
    /// The only cache there is.
    pub const DEFAULT: &'static str = "default";

    /// An empty cache.
    pub fn new(config: CacheConfig) -> Self {
        Self {
            config,
            items: Mutex::default(),
        }
    }

    /// Does what a worker asks for. The answer is a count of items and, for each, lengths and bytes of its key, details and value.
    pub fn request(&self, request: &HubRequest) -> Result<Bytes, Error> {
        self.request_at(request, now())
    }

    fn request_at(&self, request: &HubRequest, now: f64) -> Result<Bytes, Error> {
        let wrong = || Error::new(Kind::Protocol, "a request for the cache cannot be read");
        if request.name != Self::DEFAULT {
            return Err(Error::new(
                Kind::NotFound,
                format!("there is no cache `{}`", request.name),
            ));
        }
        let ask = request.parts.first().ok_or_else(wrong)?;
        let ask: Ask = serde_json::from_slice(ask).map_err(|error| wrong().with_source(error))?;
        // whole after every statement that can fail
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = items.find(&ask, now);
        let mut answer = Answer::default();
        match request.operation.as_str() {
            "get" => {
                for key in &keys {
                    if !ask.peek {
                        items.read(key, now, self.config.extend_expiry_on_get);
                    }
                    items.tell(key, ask.details, &mut answer);
                }
            }
            "expire" => {
                for key in &keys {
                    items.expire(key, ask.expiry, now);
                    items.tell(key, ask.details, &mut answer);
                }
            }
            "delete" => {
                for key in &keys {
                    items.tell(key, ask.details, &mut answer);
                    items.remove(key);
                }
            }
            "set" => {
                let value = request.parts.get(1).ok_or_else(wrong)?;
                if value.len() > self.config.max_item_bytes {
                    let message = format!(
                        "cannot cache an item of {} bytes: {} are the most",
                        value.len(),
                        self.config.max_item_bytes
                    );
                    return Err(Error::new(Kind::TooLarge, message).with_hint("raise [cache] max_item_bytes"));
                }
                for key in &keys {
                    items.tell(key, ask.details, &mut answer);
                }
                let targets = if matches!(ask.how, How::Keys) { ask.what } else { keys };
                for key in targets {
                    items.write(key, value.clone(), ask.expiry, now, self.config.extend_expiry_on_set);
                }
                items.shrink(&self.config);
            }
            _ => return Err(wrong()),
        }
        Ok(answer.finish())
    }
}

impl Items {
    /// Keys of the items that are meant, the oldest first. What has expired is dropped on the way.
    fn find(&mut self, ask: &Ask, now: f64) -> Vec<String> {
        let is_late = |item: &Item| item.times.expires_at > 0.0 && item.times.expires_at <= now;
        if matches!(ask.how, How::Keys) {
            let mut found = Vec::new();
            for key in &ask.what {
                match self.by_key.get(key) {
                    Some(item) if is_late(item) => self.remove(key),
                    Some(_) => found.push(key.clone()),
                    None => {}
                }
            }
            return found;
        }
        let late: Vec<String> = self
            .by_key
            .iter()
            .filter(|(_, item)| is_late(item))
            .map(|(key, _)| key.clone())
            .collect();
        for key in late {
            self.remove(&key);
        }
        let limit = if ask.limit == 0 { usize::MAX } else { ask.limit };
        let found = self.order.values().filter(|key| ask.matches(key));
        found.take(limit).cloned().collect()
    }

    fn read(&mut self, key: &str, now: f64, extend: bool) {
        if let Some(item) = self.by_key.get_mut(key) {
            let times = &mut item.times;
            times.hits += 1;
            times.prev_read = times.last_read;
            times.last_read = now;
            if extend && times.expiry > 0.0 {
                times.expires_at = now + times.expiry;
            }
        }
    }

    fn expire(&mut self, key: &str, expiry: f64, now: f64) {
        if let Some(item) = self.by_key.get_mut(key) {
            item.times.expiry = expiry;
            item.times.expires_at = if expiry > 0.0 { now + expiry } else { 0.0 };
        }
    }

    fn write(&mut self, key: String, value: Bytes, expiry: f64, now: f64, extend: bool) {
        self.bytes += value.len();
        match self.by_key.get_mut(&key) {
            Some(item) => {
                self.bytes -= item.value.len();
                item.value = value;
                item.times.prev_write = item.times.last_write;
                item.times.last_write = now;
            }
            None => {
                self.next += 1;
                self.bytes += key.len();
                self.order.insert(self.next, key.clone());
                let times = Times {
                    last_write: now,
                    ..Times::default()
                };
                let place = self.next;
                self.by_key.insert(key.clone(), Item { value, place, times });
            }
        }
        let Some(item) = self.by_key.get_mut(&key) else { return };
        let expiry = if expiry > 0.0 {
            expiry
        } else if extend {
            item.times.expiry
        } else {
            return;
        };
        if expiry > 0.0 {
            item.times.expiry = expiry;
            item.times.expires_at = now + expiry;
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(item) = self.by_key.remove(key) {
            self.order.remove(&item.place);
            self.bytes -= item.value.len() + key.len();
        }
    }

    /// Drops the oldest until what is left may stay.
    fn shrink(&mut self, config: &CacheConfig) {
        while self.by_key.len() > config.max_items || self.bytes > config.max_bytes {
            let Some((_, key)) = self.order.first_key_value() else {
                return;
            };
            let key = key.clone();
            self.remove(&key);
        }
    }

    fn tell(&self, key: &str, details: bool, answer: &mut Answer) {
        let Some(item) = self.by_key.get(key) else { return };
        let details = details.then(|| Details {
            times: item.times,
            position: self.order.range(..item.place).count(),
        });
        answer.add(key, details.as_ref(), &item.value);
    }
}

/// Items on their way to a worker.
#[derive(Default)]
struct Answer {
    count: u32,
    packed: BytesMut,
}

impl Answer {
    fn add(&mut self, key: &str, details: Option<&Details>, value: &[u8]) {
        let details = details.map_or_else(Vec::new, |details| {
            serde_json::to_vec(details).expect("plain data serialises to memory")
        });
        self.count += 1;
        for part in [key.as_bytes(), &details, value] {
            self.packed.put_u32_le(part.len() as u32);
            self.packed.put_slice(part);
        }
    }

    fn finish(self) -> Bytes {
        let mut whole = BytesMut::with_capacity(self.packed.len() + 4);
        whole.put_u32_le(self.count);
        whole.put_slice(&self.packed);
        whole.freeze()
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(cache: &Cache, operation: &str, ask: &Value, value: &str, now: f64) -> Vec<(String, String)> {
        let request = HubRequest {
            kind: Cache::KIND.to_owned(),
            name: Cache::DEFAULT.to_owned(),
            operation: operation.to_owned(),
            parts: vec![ask.to_string().into(), Bytes::copy_from_slice(value.as_bytes())],
        };
        let answer = cache.request_at(&request, now).unwrap();
        let mut rest = &answer[4..];
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            rest = after;
            Some(String::from_utf8(part.to_vec()).unwrap())
        };
        let mut items = Vec::new();
        while let (Some(key), Some(_), Some(value)) = (part(), part(), part()) {
            items.push((key, value));
        }
        items
    }

    fn keys(items: Vec<(String, String)>) -> Vec<String> {
        items.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn items_are_found_by_key_and_by_what_is_in_it() {
        let cache = Cache::new(CacheConfig::default());
        for key in ["sabc", "sabd", "sxbc", "i7"] {
            assert!(ask(&cache, "set", &json!({"what": [key]}), key, 1.0).is_empty());
        }
        let find = |how: &str, what: &[&str]| keys(ask(&cache, "get", &json!({"how": how, "what": what}), "", 2.0));
        assert_eq!(find("keys", &["sabc", "sno", "i7"]), ["sabc", "i7"]);
        assert_eq!(find("prefix", &["ab"]), ["sabc", "sabd"]);
        assert_eq!(find("suffix", &["bc"]), ["sabc", "sxbc"]);
        assert_eq!(find("contains", &["x"]), ["sxbc"]);
        assert_eq!(find("not-contains", &["x"]), ["sabc", "sabd"]);
        assert_eq!(find("contains-all", &["a", "c"]), ["sabc"]);
        assert_eq!(find("contains-any", &["d", "x"]), ["sabd", "sxbc"]);
        assert_eq!(find("all", &[]), ["sabc", "sabd", "sxbc", "i7"]);
        let limited = json!({"how": "prefix", "what": ["ab"], "limit": 1});
        assert_eq!(keys(ask(&cache, "get", &limited, "", 2.0)), ["sabc"]);
        // the values that were there before
        let set = ask(&cache, "set", &json!({"how": "prefix", "what": ["a"]}), "new", 3.0);
        assert_eq!(set[0], ("sabc".to_owned(), "sabc".to_owned()));
        let deleted = ask(&cache, "delete", &json!({"how": "contains", "what": ["b"]}), "", 3.0);
        assert_eq!(deleted[0], ("sabc".to_owned(), "new".to_owned()));
        assert_eq!(find("all", &[]), ["i7"]);
    }

    #[test]
    fn items_expire_unless_they_are_used() {
        let cache = Cache::new(CacheConfig::default());
        let is_there = |now| !ask(&cache, "get", &json!({"what": ["sa"]}), "", now).is_empty();
        ask(&cache, "set", &json!({"what": ["sa"], "expiry": 10.0}), "1", 0.5);
        assert!(is_there(9.0) && is_there(18.0) && !is_there(28.5));
        ask(&cache, "set", &json!({"what": ["sa"], "expiry": 10.0}), "1", 30.0);
        ask(&cache, "set", &json!({"what": ["sa"]}), "2", 39.0);
        assert!(is_there(48.0));
        ask(&cache, "expire", &json!({"what": ["sa"], "expiry": 0.0}), "", 48.0);
        assert!(is_there(1e9));
    }

    #[test]
    fn the_oldest_make_room() {
        let config = CacheConfig {
            max_items: 2,
            max_item_bytes: 8,
            max_bytes: 14,
            ..CacheConfig::default()
        };
        let cache = Cache::new(config);
        for key in ["sa", "sb", "sc"] {
            ask(&cache, "set", &json!({"what": [key]}), "1", 1.0);
        }
        assert_eq!(keys(ask(&cache, "get", &json!({"how": "all"}), "", 1.0)), ["sb", "sc"]);
        ask(&cache, "set", &json!({"what": ["sc"]}), "12345678", 1.0);
        assert_eq!(keys(ask(&cache, "get", &json!({"how": "all"}), "", 1.0)), ["sb", "sc"]);
        ask(&cache, "set", &json!({"what": ["sd"]}), "12345", 1.0);
        assert_eq!(keys(ask(&cache, "get", &json!({"how": "all"}), "", 1.0)), ["sd"]);
        let request = HubRequest {
            kind: Cache::KIND.to_owned(),
            name: Cache::DEFAULT.to_owned(),
            operation: "set".to_owned(),
            parts: vec![
                json!({"what": ["se"]}).to_string().into(),
                Bytes::from_static(b"123456789"),
            ],
        };
        assert_eq!(cache.request(&request).unwrap_err().kind(), Kind::TooLarge);
    }
}
