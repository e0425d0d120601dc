//! The limit to measure against: hyper alone, JSON parsed and serialised, no Python.
//!
//! `POST /bare` answers what the bare service of the other servers answers. `POST /crm` and `POST /payments` are the back-ends of the
//! tutorial, fast enough not to be what is measured.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves until it is ended.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 picks a free one, which the first line names.
    #[arg(long, default_value = "127.0.0.1:0")]
    address: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(&options.address).await?;
    writeln!(std::io::stdout(), "baseline listens on {}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            // an error here says that the client has left
            drop(connection.await);
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let Ok(body) = request.into_body().collect().await else {
        return Ok(reply(StatusCode::BAD_REQUEST, &Value::Null));
    };
    let Ok(payload) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return Ok(reply(StatusCode::BAD_REQUEST, &json!({"error": "not JSON"})));
    };
    Ok(match path.as_str() {
        "/bare" => reply(
            StatusCode::OK,
            &json!({"cust_id": payload["cust_id"], "cust_type": payload["cust_type"], "is_active": true}),
        ),
        "/crm" => reply(StatusCode::OK, &json!({"firstName": "Sean", "lastName": "O'Brien"})),
        "/payments" => reply(
            StatusCode::OK,
            &json!({"DATE": "2013-05-14T10:42:14.401555", "AMOUNT": "357"}),
        ),
        _ => reply(StatusCode::NOT_FOUND, &json!({"error": "no such path"})),
    })
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
