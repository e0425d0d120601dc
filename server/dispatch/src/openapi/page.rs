//! The page on which calls can be tried: everything is in it, and it may talk to this server only.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_runtime::{Outcome, Reply};
use bytes::Bytes;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page's text.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>OpenAPI</title>\n<style>{STYLE}</style>\n\
         <main></main>\n<script>{SCRIPT}</script>\n</html>\n"
    );
    Bytes::from(page)
});

/// What browsers may do with it: run this script and no other, and talk to this server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

pub(super) fn answer() -> Outcome {
    let headers = [
        ("Content-Security-Policy", POLICY.as_str()),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ];
    Outcome::Reply(Reply {
        status: 200,
        content_type: "text/html; charset=utf-8".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: PAGE.clone(),
        ..Reply::default()
    })
}
