//! The channels that are configured, as the OpenAPI document tells of them.

use std::sync::Arc;

use busbar_connectors::http::{ChannelHttp, ContentTypes, HttpConfig};
use busbar_dispatch::OpenApi;
use busbar_dispatch::openapi::{Channel, Schemes};
use busbar_dispatch::security::SecurityGroup;
use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::{DataFormat, Error, SoapVersion};
use busbar_runtime::{Configure, Switch};

/// Keeps the document's channels those that are configured.
pub struct Description {
    openapi: Arc<OpenApi>,
    title: String,
    content_types: ContentTypes,
}

impl Description {
    /// Of the server of this name.
    pub fn new(openapi: Arc<OpenApi>, server: &str, config: &HttpConfig) -> Self {
        Self {
            openapi,
            title: server.to_owned(),
            content_types: config.content_types.clone(),
        }
    }
}

/// The channels that are switched on. One that cannot be used has been refused by whoever opens it.
fn channels(snapshot: &Snapshot, content_types: &ContentTypes) -> Vec<Channel> {
    let schemes = Schemes::read(snapshot);
    let channels = snapshot.of::<ChannelHttp>().filter(|(record, _)| record.is_active);
    let channels =
        channels.filter_map(|(record, channel)| Some(described(content_types, &schemes, record, &channel.ok()?)));
    channels.collect()
}

fn described(content_types: &ContentTypes, schemes: &Schemes<'_>, record: &Record, channel: &ChannelHttp) -> Channel {
    let delegated = channel.sec_use_rbac;
    Channel {
        name: record.name.clone(),
        service: channel.service.clone(),
        path: channel.url_path.clone(),
        method: channel.method.clone(),
        format: channel.data_format,
        soap: channel.soap(),
        content_type: content_type(content_types, channel).to_owned(),
        merges_params: channel.merge_url_params_req,
        is_async: channel.is_async,
        is_deprecated: channel.deprecation.is_some(),
        is_limited: channel.is_rate_limit_active,
        json_rpc: channel.is_json_rpc().then(|| channel.service_whitelist.clone()),
        security: schemes.of(channel.security.as_deref(), &channel.security_groups, delegated),
    }
}

fn content_type<'t>(types: &'t ContentTypes, channel: &ChannelHttp) -> &'t str {
    match (channel.soap(), channel.data_format) {
        (Some(SoapVersion::V11), _) => &types.soap11,
        (Some(SoapVersion::V12), _) => &types.soap12,
        (None, DataFormat::Json | DataFormat::Form | DataFormat::Post) => &types.json,
        (None, DataFormat::Xml) => &types.plain_xml,
        (None, DataFormat::Csv) => "text/csv",
        (None, DataFormat::None | DataFormat::Dict) => "text/plain",
    }
}

impl Configure for Description {
    /// Few look at the document, so the channels are read when somebody does.
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let records = [
            snapshot.shared_of_kind(ChannelHttp::KIND),
            snapshot.shared_definitions(),
            snapshot.shared_of_kind(SecurityGroup::KIND),
        ];
        let snapshot = Snapshot {
            revision: snapshot.revision,
            records: records.concat(),
        };
        let (openapi, title) = (Arc::clone(&self.openapi), self.title.clone());
        let content_types = self.content_types.clone();
        let read = move || channels(&snapshot, &content_types);
        Ok(Switch::new(move || openapi.describe(title, read)))
    }
}
