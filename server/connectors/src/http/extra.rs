//! What few channels have: a cache, an audit log, compression, JSON-RPC, callers in web pages, an end. A channel without any of it pays one comparison.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Response;
use http::header::{self, HeaderName, HeaderValue};

use busbar_model::Cid;
use busbar_model::object::Record;
use busbar_runtime::Head;
use busbar_runtime::queue::Queue;
use busbar_sio::mask::Mask;

use crate::http::audit::{AuditLog, AuditRules, Auditor};
use crate::http::cache::{ChannelCache, ResponseCache};
use crate::http::coding;
use crate::http::config::{CacheType, ChannelHttp, ContentEncoding};
use crate::http::cors::CorsRules;
use crate::http::respond::Content;
use crate::http::retirement;

/// What channels share.
pub(crate) struct Shared {
    pub(crate) cache: Arc<ResponseCache>,
    pub(crate) audit: AuditLog,
    /// Keeps requests until their service has returned.
    pub(crate) queue: Arc<OnceLock<Arc<dyn Queue>>>,
}

/// What one channel has.
pub(crate) struct Extra {
    pub(crate) cors: Option<CorsRules>,
    pub(crate) cache: Option<ChannelCache>,
    pub(crate) audit: Option<Auditor>,
    /// The services that a JSON-RPC channel may call.
    pub(crate) json_rpc: Option<Vec<String>>,
    /// Where requests are kept that are answered before their service runs.
    pub(crate) queue: Option<Arc<OnceLock<Arc<dyn Queue>>>>,
    gzip: bool,
    /// What answers say of the end of the channel.
    retirement: Vec<(HeaderName, HeaderValue)>,
}

impl Extra {
    /// `None`: nothing of it all.
    pub(crate) fn build(record: &Record, channel: &ChannelHttp, shared: &Shared) -> Option<Box<Self>> {
        let kept = |is_on: bool, count: u32, bytes: u32| is_on.then_some((count as usize, bytes as usize));
        let rules = AuditRules {
            received: kept(
                channel.is_audit_log_received_active,
                channel.max_len_messages_received,
                channel.max_bytes_per_message_received,
            ),
            sent: kept(
                channel.is_audit_log_sent_active,
                channel.max_len_messages_sent,
                channel.max_bytes_per_message_sent,
            ),
            mask: Mask::new(&channel.audit_mask),
        };
        let is_audited = rules.received.is_some() || rules.sent.is_some();
        let expiry = (channel.cache_expiry > 0).then(|| Duration::from_secs(channel.cache_expiry.into()));
        let extra = Self {
            cors: channel.cors.as_ref().map(CorsRules::new),
            cache: (channel.cache_type == CacheType::Builtin)
                .then(|| ChannelCache::new(Arc::clone(&shared.cache), &record.name, record.version, expiry)),
            json_rpc: channel.is_json_rpc().then(|| channel.service_whitelist.clone()),
            queue: channel.is_async.then(|| Arc::clone(&shared.queue)),
            audit: is_audited.then(|| shared.audit.auditor(&record.name, rules)),
            gzip: channel.content_encoding == ContentEncoding::Gzip,
            retirement: retirement::headers(channel),
        };
        let has_any = extra.cors.is_some()
            || extra.cache.is_some()
            || extra.audit.is_some()
            || extra.json_rpc.is_some()
            || extra.queue.is_some()
            || extra.gzip
            || !extra.retirement.is_empty();
        has_any.then(|| Box::new(extra))
    }

    /// What is done to every answer of the channel, last.
    pub(crate) async fn finish(&self, cid: Cid, head: &Head<'_>, response: Response<Content>) -> Response<Content> {
        if let Some(audit) = &self.audit {
            audit.sent(cid, head, &response);
        }
        let (mut parts, mut content) = response.into_parts();
        let header = |name: &str| head.headers().find(|(other, _)| *other == name).map(|(_, value)| value);
        // pieces are sent as they come
        if let Content::Whole(body) = &mut content
            && self.gzip
        {
            parts
                .headers
                .append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            if header("accept-encoding").is_some_and(coding::accepts_gzip) {
                *body = coding::gzipped(std::mem::take(body), &mut parts.headers).await;
            }
        }
        for (name, value) in &self.retirement {
            parts.headers.entry(name).or_insert_with(|| value.clone());
        }
        if let Some(cors) = &self.cors {
            cors.allow(header("origin"), &mut parts.headers);
        }
        Response::from_parts(parts, content)
    }
}
