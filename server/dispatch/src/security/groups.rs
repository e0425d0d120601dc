//! Security groups: the credentials of any member do (http.md 6).

use std::collections::HashMap;
use std::sync::Arc;

use busbar_model::object::{Object, Placement};
use busbar_runtime::Fault;
use busbar_runtime::inbound::Visitor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::security::basic::{is_basic, with_basic};
use crate::security::definitions::{Check, Definition, Known, Looked};

/// A group of security definitions, for channels that many callers share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    /// Names of security definitions of the types `basic_auth` and `apikey`.
    #[serde(default)]
    #[schemars(extend("x-refers" = "security"))]
    pub members: Vec<String>,
}

impl Object for SecurityGroup {
    const KIND: &'static str = "security_group";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security_groups", "groups"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        for name in ["id", "cluster_id", "type", "group_type"] {
            item.remove(name);
        }
        if item.get("members").is_some_and(Value::is_null) {
            item.remove("members");
        }
    }
}

/// The members of a channel's groups, found without trying one after the other.
#[derive(Default)]
pub(crate) struct Members {
    /// By user name.
    basic: HashMap<Vec<u8>, Vec<Arc<Definition>>>,
    /// Headers, and the definitions by the digest of their keys.
    keys: Vec<(String, ByDigest)>,
}

type ByDigest = HashMap<[u8; 32], Arc<Definition>>;

impl Members {
    /// Adds a definition. False: its type cannot be a member's.
    pub(crate) fn add(&mut self, definition: &Arc<Definition>) -> bool {
        match &definition.check {
            Check::Basic { username, .. } => {
                let same = self.basic.entry(username.clone().into_bytes()).or_default();
                same.push(Arc::clone(definition));
            }
            Check::ApiKey { header, key } => {
                let index = self.keys.iter().position(|(other, _)| other == header);
                let index = index.unwrap_or_else(|| {
                    self.keys.push((header.clone(), HashMap::new()));
                    self.keys.len() - 1
                });
                if definition.is_usable {
                    let digest = Sha256::digest(key).into();
                    self.keys[index].1.insert(digest, Arc::clone(definition));
                }
            }
            _ => return false,
        }
        true
    }

    /// The member whose credentials a request has, or what is to be looked at first.
    pub(crate) fn find(&self, visitor: &Visitor<'_>) -> Found<'_> {
        let basic = (visitor.header)("authorization").filter(|value| is_basic(value));
        let mut keys = self
            .keys
            .iter()
            .filter_map(|(header, definitions)| Some(((visitor.header)(header)?, definitions)))
            .peekable();
        if basic.is_some() && keys.peek().is_some() {
            return Found::Nobody(Fault::new(400, "Send Basic authentication or an API key, not both"));
        }
        let Some(value) = basic else {
            let found = keys.find_map(|(key, definitions)| {
                let digest: [u8; 32] = Sha256::digest(key).into();
                definitions.get(&digest)
            });
            return found.map_or_else(|| Found::Nobody(not_allowed()), Found::Member);
        };
        let same = with_basic(value, |username, _| self.basic.get(username)).flatten();
        let mut unknown = Vec::new();
        for definition in same.into_iter().flatten() {
            match definition.basic(value) {
                Known::Right => return Found::Member(definition),
                Known::Wrong => {}
                Known::Unknown(looked) => unknown.push((Arc::clone(definition), looked)),
            }
        }
        if unknown.is_empty() {
            Found::Nobody(not_allowed())
        } else {
            Found::Look(unknown)
        }
    }

    /// Whether the password of any member is stored as a hash.
    pub(crate) fn any_is_hashed(&self) -> bool {
        self.basic.values().flatten().any(|definition| definition.is_hashed())
    }
}

/// Who of a group calls.
pub(crate) enum Found<'m> {
    Member(&'m Arc<Definition>),
    Nobody(Fault),
    /// One of these, if the password is right.
    Look(Vec<(Arc<Definition>, Looked)>),
}

/// The answer to those who are no members.
pub(crate) fn not_allowed() -> Fault {
    Fault::new(403, "You are not allowed to access this resource")
}
