//! What a token must say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_runtime::inbound::Identity;
use serde_json::{Map, Value};

use super::Refusal;

/// What services see as the type of these definitions: the name that it has had since 3.2.
const TYPE: &str = "oauth";

pub(super) type Claims = Map<String, Value>;

/// What a definition asks of tokens.
pub(super) struct Rules {
    name: String,
    issuer: String,
    audience: Vec<String>,
    leeway: u32,
    scopes: Vec<String>,
    claims: Vec<(String, String)>,
    username: String,
    /// Whether tokens must say when they end. Whoever is asked about one says whether it has ended.
    must_end: bool,
}

impl Rules {
    pub(super) fn of(name: &str, config: &SecurityBearerToken) -> Self {
        let owned = |text: &str| text.to_owned();
        Self {
            name: name.to_owned(),
            issuer: config.issuer.clone(),
            audience: config
                .audience
                .lines()
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(owned)
                .collect(),
            leeway: config.leeway,
            scopes: config.required_scopes.split_whitespace().map(owned).collect(),
            claims: config
                .claims()
                .map(|(name, value)| (owned(name), owned(value)))
                .collect(),
            username: config.username_claim.clone(),
            must_end: config.introspection_url.is_empty(),
        }
    }

    /// Scopes that tokens must have, as challenges show them.
    pub(super) fn scopes(&self) -> String {
        self.scopes.join(" ")
    }

    /// By how much clocks may differ.
    pub(super) fn leeway(&self) -> Duration {
        Duration::from_secs(self.leeway.into())
    }

    /// Whoever brings a token that says this.
    pub(super) fn identity(&self, claims: &Claims, now: SystemTime) -> Result<Identity, Refusal> {
        self.check_time(claims, now)?;
        let invalid = |what| Err(Refusal::Invalid(what));
        if !self.issuer.is_empty() && claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return invalid("The token is from another issuer");
        }
        if !self.audience.is_empty()
            && !self
                .audience
                .iter()
                .any(|own| claims.get("aud").is_some_and(|aud| has(aud, own)))
        {
            return invalid("The token is for another audience");
        }
        let has_scope = |wanted: &String| {
            ["scope", "scp"]
                .iter()
                .any(|name| claims.get(*name).is_some_and(|scopes| has_scope(scopes, wanted)))
        };
        if !self.scopes.iter().all(has_scope)
            || !self
                .claims
                .iter()
                .all(|(name, value)| find(claims, name).is_some_and(|it| has(it, value)))
        {
            return Err(Refusal::Insufficient);
        }
        let username = match find(claims, &self.username) {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Ok(Identity {
            name: self.name.clone(),
            kind: TYPE.to_owned(),
            username,
            claims: Value::Object(claims.clone()).to_string(),
        })
    }

    fn check_time(&self, claims: &Claims, now: SystemTime) -> Result<(), Refusal> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let leeway = f64::from(self.leeway);
        let time = |name| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(time) => time
                .as_f64()
                .map(Some)
                .ok_or(Refusal::Invalid("The token's times are no times")),
        };
        match time("exp")? {
            Some(end) if end + leeway <= now => return Err(Refusal::Invalid("The token has expired")),
            None if self.must_end => return Err(Refusal::Invalid("The token has no end")),
            _ => {}
        }
        if time("nbf")?.is_some_and(|start| start - leeway > now) {
            return Err(Refusal::Invalid("The token is not good yet"));
        }
        Ok(())
    }
}

/// A claim by its name, which may have dots in it, or else by a path into objects.
fn find<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    })
}

/// Whether a claim is this text, or a list that has it.
fn has(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Array(values) => values.iter().any(|value| !value.is_array() && has(value, wanted)),
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(value) => wanted.parse() == Ok(*value),
        Value::Object(_) | Value::Null => false,
    }
}

/// Whether a scope is among those of a text with blanks between, or of a list.
fn has_scope(scopes: &Value, wanted: &str) -> bool {
    match scopes {
        Value::String(text) => text.split_whitespace().any(|scope| scope == wanted),
        list => has(list, wanted),
    }
}
