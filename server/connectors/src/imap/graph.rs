//! Mailboxes of Microsoft 365, over its Graph API: a token by the client's own credentials, and a request for each step.

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::{Error, Kind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use crate::http::outgoing::{ApiClient, ApiConfig, HttpRequest, HttpResponse};
use crate::imap::config::EmailImap;
use crate::imap::mailbox::{Found, Uids};

/// Folders that have names of their own in the API, whatever users see.
const WELL_KNOWN: [&str; 7] = [
    "inbox",
    "drafts",
    "sentitems",
    "deleteditems",
    "archive",
    "junkemail",
    "outbox",
];
/// Messages that one answer lists.
const PAGE: usize = 100;
/// Answers that one search reads. Further messages are found when these are seen, moved or deleted.
const MAX_PAGES: usize = 100;
/// Largest answer, in bytes: a message as large as they may be there.
const MAX_ANSWER: u64 = 160 * 1024 * 1024;

/// A mailbox.
pub(super) struct Graph {
    name: String,
    user: String,
    filter: String,
    debug_level: u32,
    client: ApiClient,
    base: Url,
}

#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(rename = "receivedDateTime", default)]
    received: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalText,
}

#[derive(Deserialize)]
struct RefusalText {
    code: String,
}

impl Graph {
    pub(super) fn build(name: &str, config: &EmailImap) -> Result<Self, Error> {
        let owner = format!("email.imap `{name}`");
        let failed = || format!("cannot set {owner} up");
        let base =
            Url::parse(&config.graph_url()).map_err(|error| Error::new(Kind::Config, failed()).with_source(error))?;
        let tokens: SecurityBearerToken = serde_json::from_value(json!({
            "username": config.client_id,
            "password": config.password,
            "auth_server_url": config.auth_server_url(),
            "scopes": format!("{}://{}/.default", base.scheme(), base.authority()),
            "tls_verify": config.tls_verify,
            "tls_ca_path": config.tls_ca_path,
        }))
        .map_err(|error| Error::new(Kind::Config, failed()).with_source(error))?;
        let client = ApiClient::build(ApiConfig {
            owner: owner.clone(),
            host: base.origin().ascii_serialization(),
            tokens,
            timeout: config.timeout,
            pool_size: config.pool_size,
            max_response_size: MAX_ANSWER,
            tls_verify: config.tls_verify,
            tls_ca_path: config.tls_ca_path.clone(),
        })
        .map_err(|error| Error::new(error.kind(), failed()).with_source(error))?;
        Ok(Self {
            name: name.to_owned(),
            user: config.username.clone(),
            filter: config.filter_criteria.clone(),
            debug_level: config.debug_level,
            client,
            base,
        })
    }

    pub(super) async fn search(&self, folder: &str) -> Result<Found, Error> {
        let what = format!("searching folder `{folder}`");
        let id = self.folder(folder).await?;
        let mut url = self.url(&["mailFolders", &id, "messages"]);
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("$select", "id,receivedDateTime")
                .append_pair("$top", &PAGE.to_string());
            if !self.filter.is_empty() {
                query.append_pair("$filter", &self.filter);
            }
        }
        let mut found: Vec<Listed> = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: Page<Listed> = self.read(&what, url).await?;
            found.extend(page.value);
            let Some(next) = page.next else { break };
            url = self.next(&what, &next)?;
        }
        // a filter and an order do not go together for every filter
        found.sort_by(|one, other| one.received.cmp(&other.received));
        if self.debug_level > 0 {
            let count = found.len();
            tracing::info!(conn.kind = "email.imap", conn.name = %self.name, folder, count, "`{}` found messages", self.name);
        }
        Ok(Found {
            validity: None,
            uids: found.into_iter().map(|it| it.id).collect(),
        })
    }

    pub(super) async fn fetch(&self, message: &Uids) -> Result<Option<Vec<u8>>, Error> {
        let Some(id) = message.uids.first() else {
            return Ok(None);
        };
        let what = format!("reading message {id}");
        let response = self
            .send(&what, HttpRequest::new("GET"), self.url(&["messages", id, "$value"]))
            .await?;
        match response.status {
            404 => Ok(None),
            _ => Ok(Some(self.expect(&what, response)?.body.into())),
        }
    }

    pub(super) async fn mark_seen(&self, messages: &Uids) -> Result<(), Error> {
        for id in &messages.uids {
            self.change(
                &format!("marking message {id}"),
                "PATCH",
                &["messages", id],
                &json!({"isRead": true}),
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn delete(&self, messages: &Uids) -> Result<(), Error> {
        for id in &messages.uids {
            let what = format!("deleting message {id}");
            let response = self
                .send(&what, HttpRequest::new("DELETE"), self.url(&["messages", id]))
                .await?;
            // as good as deleted
            if response.status != 404 {
                self.expect(&what, response)?;
            }
        }
        Ok(())
    }

    pub(super) async fn move_to(&self, messages: &Uids, folder: &str) -> Result<(), Error> {
        let target = json!({"destinationId": self.folder(folder).await?});
        for id in &messages.uids {
            self.change(
                &format!("moving message {id}"),
                "POST",
                &["messages", id, "move"],
                &target,
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        let mut url = self.url(&["mailFolders", "inbox"]);
        url.query_pairs_mut().append_pair("$select", "id");
        let what = "asking whether it is there";
        let response = self.send(what, HttpRequest::new("GET"), url).await?;
        self.expect(what, response).map(drop)
    }

    /// What the API calls a folder: names that users see are looked up, level by level.
    async fn folder(&self, name: &str) -> Result<String, Error> {
        let plain = name.to_ascii_lowercase().replace(' ', "");
        if WELL_KNOWN.contains(&plain.as_str()) {
            return Ok(plain);
        }
        let what = format!("looking for folder `{name}`");
        let mut found: Option<String> = None;
        for level in name.split('/') {
            let mut url = match &found {
                None => self.url(&["mailFolders"]),
                Some(parent) => self.url(&["mailFolders", parent, "childFolders"]),
            };
            url.query_pairs_mut()
                .append_pair("$filter", &format!("displayName eq '{}'", level.replace('\'', "''")))
                .append_pair("$select", "id");
            let page: Page<Listed> = self.read(&what, url).await?;
            let Some(folder) = page.value.into_iter().next() else {
                let message = format!("there is no folder `{name}` in email.imap `{}`", self.name);
                return Err(Error::new(Kind::Protocol, message));
            };
            found = Some(folder.id);
        }
        Ok(found.unwrap_or_default())
    }

    /// An address below the user's.
    fn url(&self, path: &[&str]) -> Url {
        let encoded = |part: &str| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
        let mut url = self.base.clone();
        let mut text = format!("{}/users/{}", url.path().trim_end_matches('/'), encoded(&self.user));
        for part in path {
            text.push('/');
            // a word of the API, which has it as it is
            text.push_str(&if *part == "$value" {
                (*part).to_owned()
            } else {
                encoded(part)
            });
        }
        url.set_path(&text);
        url
    }

    /// Where a list goes on. Nobody but the API itself gets the token.
    fn next(&self, what: &str, link: &str) -> Result<Url, Error> {
        Url::parse(link)
            .ok()
            .filter(|url| url.origin() == self.base.origin())
            .ok_or_else(|| self.wrong(what, "its list goes on somewhere else"))
    }

    async fn read<T: DeserializeOwned>(&self, what: &str, url: Url) -> Result<T, Error> {
        let response = self.send(what, HttpRequest::new("GET"), url).await?;
        let response = self.expect(what, response)?;
        serde_json::from_slice(&response.body)
            .map_err(|error| self.wrong(what, "it is not what it should be").with_source(error))
    }

    async fn change(&self, what: &str, method: &str, path: &[&str], body: &serde_json::Value) -> Result<(), Error> {
        let request = HttpRequest {
            body: body.to_string().into(),
            content_type: Some("application/json".to_owned()),
            ..HttpRequest::new(method)
        };
        let response = self.send(what, request, self.url(path)).await?;
        self.expect(what, response).map(drop)
    }

    async fn send(&self, what: &str, mut request: HttpRequest, url: Url) -> Result<HttpResponse, Error> {
        // what messages are called stays the same when they are moved
        request.headers = vec![("Prefer".to_owned(), "IdType=\"ImmutableId\"".to_owned())];
        self.client.send(url, request).await.map_err(|error| {
            let message = format!("email.imap `{}` failed while {what}", self.name);
            Error::new(error.kind(), message).with_source(error)
        })
    }

    fn expect(&self, what: &str, response: HttpResponse) -> Result<HttpResponse, Error> {
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        let kind = match response.status {
            429 | 500.. => Kind::Unavailable,
            _ => Kind::Protocol,
        };
        // its code, not its text, which may repeat what was sent
        let code =
            serde_json::from_slice::<Refusal>(&response.body).map_or(String::new(), |it| format!(" {}", it.error.code));
        let message = format!("email.imap `{}` refused {what}: {}{code}", self.name, response.status);
        Err(Error::new(kind, message))
    }

    fn wrong(&self, what: &str, why: &str) -> Error {
        let message = format!("email.imap `{}` gave an answer while {what}: {why}", self.name);
        Error::new(Kind::Protocol, message)
    }
}
