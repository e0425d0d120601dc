//! The channels that are configured, as the OpenAPI document tells of them.

use std::sync::Arc;

use busbar_connectors::http::{ChannelHttp, ContentTypes, HttpConfig};
use busbar_dispatch::OpenApi;
use busbar_dispatch::openapi::{Channel, Schemes};
use busbar_model::object::{Record, Snapshot};
use busbar_model::{DataFormat, Error, Kind, SoapVersion};
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

    fn channel(&self, schemes: &Schemes<'_>, record: &Record, channel: &ChannelHttp) -> Channel {
        let delegated = channel.sec_use_rbac;
        Channel {
            name: record.name.clone(),
            service: channel.service.clone(),
            path: channel.url_path.clone(),
            method: channel.method.clone(),
            format: channel.data_format,
            soap: channel.soap(),
            content_type: self.content_type(channel).to_owned(),
            merges_params: channel.merge_url_params_req,
            is_async: channel.is_async,
            is_deprecated: channel.deprecation.is_some(),
            is_limited: channel.is_rate_limit_active,
            json_rpc: channel.is_json_rpc().then(|| channel.service_whitelist.clone()),
            security: schemes.of(channel.security.as_deref(), &channel.security_groups, delegated),
        }
    }

    fn content_type(&self, channel: &ChannelHttp) -> &str {
        let types = &self.content_types;
        match (channel.soap(), channel.data_format) {
            (Some(SoapVersion::V11), _) => &types.soap11,
            (Some(SoapVersion::V12), _) => &types.soap12,
            (None, DataFormat::Json | DataFormat::Form | DataFormat::Post) => &types.json,
            (None, DataFormat::Xml) => &types.plain_xml,
            (None, DataFormat::Csv) => "text/csv",
            (None, DataFormat::None | DataFormat::Dict) => "text/plain",
        }
    }
}

impl Configure for Description {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let schemes = Schemes::read(snapshot);
        let mut channels = Vec::new();
        for (record, channel) in snapshot.of::<ChannelHttp>() {
            let channel = channel.map_err(|error| {
                Error::new(Kind::Config, format!("cannot use channel.http `{}`", record.name)).with_source(error)
            })?;
            if record.is_active {
                channels.push(self.channel(&schemes, record, &channel));
            }
        }
        let (openapi, title) = (Arc::clone(&self.openapi), self.title.clone());
        Ok(Switch::new(move || openapi.describe(title, channels)))
    }
}
