//! The last messages of a channel, for whoever has to find out what went wrong (http.md 11). In bounded memory, secrets masked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http::Response;

use busbar_model::Cid;
use busbar_model::audit::AuditEntry;
use busbar_runtime::Head;
use busbar_sio::mask::Mask;

use crate::http::respond::Content;

/// What a channel keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditRules {
    /// How many of each kind, and how many bytes of each body; `None`: none of that kind.
    pub(crate) received: Option<(usize, usize)>,
    pub(crate) sent: Option<(usize, usize)>,
    pub(crate) mask: Mask,
}

/// The messages of all channels.
#[derive(Default)]
pub(crate) struct AuditLog(Mutex<HashMap<String, Arc<ChannelAudit>>>);

/// The messages of one channel.
#[derive(Default)]
pub(crate) struct ChannelAudit(Mutex<VecDeque<AuditEntry>>);

/// What requests need to be noted.
pub(crate) struct Auditor {
    rules: AuditRules,
    log: Arc<ChannelAudit>,
}

impl AuditLog {
    /// What a channel keeps from now on. Messages that were kept before stay, as far as the rules let them.
    pub(crate) fn auditor(&self, channel: &str, rules: AuditRules) -> Auditor {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Auditor {
            rules,
            log: Arc::clone(channels.entry(channel.to_owned()).or_default()),
        }
    }

    /// Forgets channels that are no longer there.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|channel, _| is_there(channel));
    }

    /// What a channel has kept, the oldest first; `None`: it keeps nothing.
    pub(crate) fn entries(&self, channel: &str) -> Option<Vec<AuditEntry>> {
        let channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let log = Arc::clone(channels.get(channel)?);
        drop(channels);
        let entries = log.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(entries.iter().cloned().collect())
    }
}

impl Auditor {
    /// Notes a request.
    pub(crate) fn received(&self, cid: Cid, head: &Head<'_>, body: &[u8]) {
        let Some((count, bytes)) = self.rules.received else {
            return;
        };
        let headers = head
            .headers()
            .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()));
        let content_type = head
            .headers()
            .find(|(name, _)| *name == "content-type")
            .map(|(_, value)| value);
        let entry = AuditEntry {
            direction: "received".to_owned(),
            headers: self.headers(headers),
            size_bytes: body.len(),
            body: self.rules.mask.kept(content_type.unwrap_or_default(), body, bytes),
            ..self.entry(cid, head)
        };
        self.keep(entry, count);
    }

    /// Notes an answer.
    pub(crate) fn sent(&self, cid: Cid, head: &Head<'_>, response: &Response<Content>) {
        let Some((count, bytes)) = self.rules.sent else { return };
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let content_type = response
            .headers()
            .get(http::header::CONTENT_TYPE)
            .map(http::HeaderValue::as_bytes);
        let entry = AuditEntry {
            direction: "sent".to_owned(),
            status: response.status().as_u16(),
            headers: self.headers(headers),
            size_bytes: response.body().len(),
            body: match response.body() {
                Content::Whole(body) => self.rules.mask.kept(content_type.unwrap_or_default(), body, bytes),
                Content::Stream(_) => "(sent piece by piece)".to_owned(),
            },
            ..self.entry(cid, head)
        };
        self.keep(entry, count);
    }

    fn entry(&self, cid: Cid, head: &Head<'_>) -> AuditEntry {
        let path = if head.query.is_empty() {
            head.path.to_owned()
        } else {
            format!("{}?{}", head.path, self.rules.mask.form(head.query))
        };
        AuditEntry {
            cid: cid.as_str().to_owned(),
            at_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis() as u64,
            remote: head.remote.to_owned(),
            method: head.method.to_owned(),
            path,
            ..AuditEntry::default()
        }
    }

    fn headers<'h>(&self, headers: impl Iterator<Item = (&'h str, String)>) -> Vec<(String, String)> {
        headers
            .map(|(name, value)| (name.to_owned(), self.rules.mask.header(name, value)))
            .collect()
    }

    fn keep(&self, entry: AuditEntry, count: usize) {
        let mut entries = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        let direction = entry.direction.clone();
        entries.push_back(entry);
        let mut of_kind = entries.iter().filter(|entry| entry.direction == direction).count();
        while of_kind > count
            && let Some(oldest) = entries.iter().position(|entry| entry.direction == direction)
        {
            entries.remove(oldest);
            of_kind -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use busbar_runtime::HeadBuilder;
    use busbar_runtime::call::{ChannelFields, RequestFields};
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_last_messages_of_each_kind_are_kept() {
        let log = AuditLog::default();
        let rules = AuditRules {
            received: Some((2, 8)),
            sent: Some((1, 100)),
            mask: Mask::new(&[]),
        };
        let auditor = log.auditor("a", rules);
        let fields = RequestFields {
            method: "GET",
            path: "/a",
            query: "token=x&b=1",
            remote: "127.0.0.1:1",
        };
        let packed = HeadBuilder::request(&HeadBuilder::channel(&ChannelFields::default()), fields)
            .finish([].into_iter(), [("authorization", &b"Basic x"[..])].into_iter());
        let head = Head::unpack(&packed).unwrap();
        for number in 0..4u8 {
            auditor.received(
                Cid::new(),
                &head,
                &[b'0' + number, 0xc5, 0xbc, b'a', b'b', b'c', b'd', b'e', b'f'],
            );
            auditor.sent(
                Cid::new(),
                &head,
                &Response::new(Content::Whole(Bytes::from_static(b"{\"password\":\"x\",\"a\":1}"))),
            );
        }
        let shown: Vec<_> = log
            .entries("a")
            .unwrap()
            .into_iter()
            .map(|entry| format!("{} {} {} {:?}", entry.direction, entry.path, entry.body, entry.headers))
            .collect();
        assert_eq!(
            shown,
            [
                "received /a?token=******&b=1 2żabcde [(\"authorization\", \"******\")]",
                "received /a?token=******&b=1 3żabcde [(\"authorization\", \"******\")]",
                "sent /a?token=******&b=1 {\"password\":\"******\",\"a\":1} []",
            ]
        );
        log.retain(|_| false);
        assert!(log.entries("a").is_none());
    }
}
