//! `/zato/ping`: the server is there. Answered by the hub, so it says nothing about workers.

use busbar_model::Cid;
use busbar_runtime::{Outcome, Reply};

/// The answer: 3.2's, and 2.0's key beside it, because clients of both look for theirs (http.md 9).
pub(crate) fn answer(cid: Cid) -> Outcome {
    let body = format!(
        r#"{{"pong":"zato","zato_env":{{"result":"ZATO_OK","cid":"{cid}","details":""}},"zato_ping_response":{{"pong":"zato"}}}}"#
    );
    Outcome::Reply(Reply {
        status: 200,
        body: body.into(),
        ..Reply::default()
    })
}
