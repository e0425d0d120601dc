//! WS-Security: which bodies get a token.

use super::*;

fn soap(host: &str, more: Value) -> Arc<HttpConnection> {
    let mut token = json!({"username": "ann", "password": "s3cret"});
    token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let connection = json!({"security": "sec", "transport": "soap"});
    connection_with(host, connection, vec![security("security.wss", token)])
}

const ENVELOPE: &str = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body/></s:Envelope>";

#[tokio::test]
async fn envelopes_get_a_token() {
    let server = Server::answering(|request| ok(&String::from_utf8(request.body.clone()).unwrap()));
    let sent = async |more: Value| {
        let response = soap(&server.url(), more).send(post(ENVELOPE)).await.unwrap();
        String::from_utf8(response.body.to_vec()).unwrap()
    };
    let text = sent(json!({"password_type": "clear_text"})).await;
    assert!(
        text.contains("#PasswordText\">s3cret<") && text.ends_with("</s:Header><s:Body/></s:Envelope>"),
        "{text}"
    );
    let text = sent(json!({"password_type": "digest"})).await;
    assert!(
        text.contains("#PasswordDigest\">") && !text.contains("s3cret"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_envelope_is_not_sent() {
    let server = Server::answering(|_| ok(""));
    let connection = soap(&server.url(), json!({}));
    let error = connection.send(post("<a/>")).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::InvalidRequest(_)), "{error:?}");
    assert_eq!(server.lines(), 0);
    // nothing is said in it
    assert_eq!(connection.send(get()).await.unwrap().status, 200);
}

#[test]
fn only_soap_connections_may_have_one() {
    let records = vec![
        security("security.wss", json!({"username": "ann"})),
        record::<OutgoingHttp>("CRM", &json!({"host": "http://a", "security": "sec"})),
    ];
    let error = connections(records).get("CRM").unwrap_err();
    assert!(error.chain().contains("envelopes"), "{}", error.chain());
}
