//! `/zato/ping`: the server is there. Answered by the hub, so it says nothing about workers.

use busbar_model::{Cid, SoapVersion};
use busbar_runtime::{Outcome, Reply};
use busbar_sio::soap;

/// The answer: 3.2's, and 2.0's key beside it, because clients of both look for theirs (http.md 9).
///
/// Over SOAP, in answer to `envelope`, it is an envelope, as other management services write theirs (management.md 3.3).
pub(crate) fn answer(cid: Cid, envelope: Option<&[u8]>) -> Outcome {
    let body = if let Some(envelope) = envelope {
        let namespace = soap::management_namespace(envelope, true);
        let content = format!(
            "<zato_ping_response xmlns=\"{namespace}\"><zato_env><cid>{cid}</cid><result>ZATO_OK</result></zato_env>\
             <item><pong>zato</pong></item></zato_ping_response>"
        );
        soap::undeclared_envelope(SoapVersion::V11, namespace, &content)
    } else {
        format!(
            r#"{{"pong":"zato","zato_env":{{"result":"ZATO_OK","cid":"{cid}","details":""}},"zato_ping_response":{{"pong":"zato"}}}}"#
        )
    };
    Outcome::Reply(Reply {
        status: 200,
        body: body.into(),
        ..Reply::default()
    })
}
