//! `/zato/api/invoke/{service_name}`: any service, without a channel of its own (http.md 9).

use bytes::Bytes;

use busbar_runtime::call::{ChannelFields, RequestFields};
use busbar_runtime::inbound::builtin;
use busbar_runtime::{Fault, Head, HeadBuilder};

use crate::query;

/// What is to be called, and with what.
pub(crate) struct Target<'a> {
    /// Name of the service.
    pub(crate) name: &'a str,
    /// The head that it sees: the request's, without the parameter that named the service.
    pub(crate) head: Bytes,
    /// Its payload.
    pub(crate) body: Bytes,
}

/// The service that the path names.
pub(crate) fn named<'a>(head: &Head<'a>) -> Result<&'a str, Fault> {
    let mut params = head.params();
    let named = params.find(|(name, _)| *name == builtin::INVOKER_PARAM);
    named
        .map(|(_, service)| service)
        .ok_or_else(|| Fault::new(400, "Bad request"))
}

/// The service that a SOAP request names in its header, in quotes or not.
pub(crate) fn soap_action<'a>(head: &Head<'a>) -> Result<&'a str, Fault> {
    let mut headers = head.headers();
    let header = headers.find(|(name, _)| *name == "soapaction");
    let action = header
        .and_then(|(_, value)| std::str::from_utf8(value).ok())
        .unwrap_or_default();
    match action.trim().trim_matches('"') {
        "" => Err(Fault::new(400, "The header `SOAPAction` must name a service")),
        service => Ok(service),
    }
}

/// Reads the target off a request. Internal services are not for callers from outside, save for the ping.
pub(crate) fn target<'a>(head: &Head<'a>, body: &Bytes) -> Result<Target<'a>, Fault> {
    let name = named(head)?;
    if (name.starts_with("zato") || name.starts_with("pub.zato")) && name != builtin::PING {
        return Err(Fault::new(
            400,
            format!("Service `{name}` cannot be called from outside"),
        ));
    }
    let body = if head.method == "GET" && body.is_empty() && !head.query.is_empty() {
        let object = query::to_object(head.query);
        serde_json::to_vec(&object).expect("an object of texts is JSON").into()
    } else {
        body.clone()
    };
    let channel = HeadBuilder::channel(&ChannelFields {
        channel_type: head.channel_type,
        data_format: head.data_format,
        merge_params: head.merge_params,
        path_over_query: head.path_over_query,
        body_over_params: head.body_over_params,
        soap: head.soap,
        job_type: None,
        is_held_to_roles: head.is_held_to_roles,
        channel: head.channel,
        security_name: head.security_name,
        security_type: head.security_type,
        username: head.username,
        claims: head.claims,
    });
    let fields = RequestFields {
        method: head.method,
        path: head.path,
        query: head.query,
        remote: head.remote,
    };
    let params = head.params().filter(|(name, _)| *name != builtin::INVOKER_PARAM);
    Ok(Target {
        name,
        head: HeadBuilder::request(&channel, fields).finish(params, head.headers()),
        body,
    })
}
