//! How callers identify themselves.

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::object::{Object, Record, Snapshot};
use serde_json::{Value, json};

use crate::security::{
    DEFAULT_API_KEY_HEADER, SecurityApiKey, SecurityBasicAuth, SecurityGroup, SecurityJwt, SecurityTechAccount,
    SecurityTlsChannel,
};

/// A way in which callers identify themselves. Definitions of one kind look alike to them, so the document does not name any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// User name and password.
    Basic,
    /// A key in this header.
    ApiKey(String),
    /// A token that `/zato/jwt/log-in` gave.
    Bearer,
    /// A token that somebody else gave.
    AccessToken,
    /// User name and password in headers of their own.
    TechAccount,
    /// A certificate.
    Certificate,
    /// Something that OpenAPI has no word for: OAuth 1.0, and what is in the body, as WS-Security.
    Other,
}

/// Ways into a channel that names a definition, or groups, or takes any definition; `None`: it is open.
pub fn schemes(
    snapshot: &Snapshot,
    definition: Option<&str>,
    groups: &[String],
    takes_any: bool,
) -> Option<Vec<Scheme>> {
    if definition.is_none() && groups.is_empty() && !takes_any {
        return None;
    }
    let members: Vec<String> = snapshot
        .of::<SecurityGroup>()
        .filter(|(record, _)| groups.contains(&record.name))
        .filter_map(|(_, group)| Some(group.ok()?.members))
        .flatten()
        .collect();
    let mut schemes: Vec<_> = snapshot
        .records
        .iter()
        .filter(|record| takes_any || definition == Some(&record.name) || members.contains(&record.name))
        .filter_map(Scheme::of)
        .collect();
    schemes.sort();
    schemes.dedup();
    Some(schemes)
}

impl Scheme {
    fn of(record: &Record) -> Option<Self> {
        match record.kind.as_str() {
            SecurityBasicAuth::KIND => Some(Self::Basic),
            SecurityApiKey::KIND => {
                let header = record.body.get("header").and_then(Value::as_str);
                Some(Self::ApiKey(header.unwrap_or(DEFAULT_API_KEY_HEADER).to_owned()))
            }
            SecurityJwt::KIND => Some(Self::Bearer),
            SecurityBearerToken::KIND => Some(Self::AccessToken),
            SecurityTechAccount::KIND => Some(Self::TechAccount),
            SecurityTlsChannel::KIND => Some(Self::Certificate),
            kind => kind.starts_with("security.").then_some(Self::Other),
        }
    }

    /// What it is called in the document, and how it is said there.
    fn definitions(&self) -> Vec<(String, Value)> {
        let header = |name: &str| json!({"type": "apiKey", "in": "header", "name": name});
        match self {
            Self::Basic => vec![("basic".to_owned(), json!({"type": "http", "scheme": "basic"}))],
            // a header's name may have letters that a component's may not
            Self::ApiKey(name) => vec![(format!("apikey-{}", super::document::identifier(name)), header(name))],
            Self::Bearer => {
                let bearer =
                    json!({"type": "http", "scheme": "bearer", "description": "A token that /zato/jwt/log-in gave."});
                vec![("bearer".to_owned(), bearer)]
            }
            Self::AccessToken => {
                let token = json!({"type": "http", "scheme": "bearer", "description": "An OAuth 2 access token."});
                vec![("access-token".to_owned(), token)]
            }
            Self::TechAccount => ["X-Zato-User", "X-Zato-Password"]
                .map(|name| (name.to_owned(), header(name)))
                .into(),
            Self::Certificate => vec![("certificate".to_owned(), json!({"type": "mutualTLS"}))],
            Self::Other => Vec::new(),
        }
    }

    /// Adds it to the document's schemes and says how an operation asks for it. `None`: it cannot be said.
    pub(super) fn require(&self, components: &mut serde_json::Map<String, Value>) -> Option<Value> {
        let definitions = self.definitions();
        if definitions.is_empty() {
            return None;
        }
        let mut requirement = serde_json::Map::new();
        for (name, definition) in definitions {
            requirement.insert(name.clone(), json!([]));
            components.insert(name, definition);
        }
        Some(Value::Object(requirement))
    }
}
