//! How callers identify themselves.

use std::collections::{BTreeSet, HashMap};

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

/// The ways in of all definitions and groups.
pub struct Schemes<'s> {
    definitions: HashMap<&'s str, Scheme>,
    groups: HashMap<&'s str, BTreeSet<Scheme>>,
    all: BTreeSet<Scheme>,
}

impl<'s> Schemes<'s> {
    /// Those of `snapshot`.
    pub fn read(snapshot: &'s Snapshot) -> Self {
        let records = snapshot.iter();
        let definitions: HashMap<_, _> = records
            .filter_map(|record| Some((record.name.as_str(), Scheme::of(record)?)))
            .collect();
        let groups = snapshot.of::<SecurityGroup>().filter_map(|(record, group)| {
            let members = group.ok()?.members.into_iter();
            let schemes = members.filter_map(|member| definitions.get(member.as_str()).cloned());
            Some((record.name.as_str(), schemes.collect()))
        });
        let groups = groups.collect();
        let all = definitions.values().cloned().collect();
        Self {
            definitions,
            groups,
            all,
        }
    }

    /// Ways into a channel that names a definition, or groups, or takes any definition; `None`: it is open.
    pub fn of(&self, definition: Option<&str>, groups: &[String], takes_any: bool) -> Option<Vec<Scheme>> {
        if definition.is_none() && groups.is_empty() && !takes_any {
            return None;
        }
        if takes_any {
            return Some(self.all.iter().cloned().collect());
        }
        let mut schemes: BTreeSet<&Scheme> = BTreeSet::new();
        schemes.extend(definition.and_then(|name| self.definitions.get(name)));
        schemes.extend(
            groups
                .iter()
                .filter_map(|name| self.groups.get(name.as_str()))
                .flatten(),
        );
        Some(schemes.into_iter().cloned().collect())
    }
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
