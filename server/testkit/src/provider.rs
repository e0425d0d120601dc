//! An identity provider: signs tokens, shows its keys, says whether tokens are good, and fails as told.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Map, Value, json};

use crate::backend::{Answer, Backend, Received};

/// A key that is used in tests and nowhere else.
const RSA: &str = include_str!("provider_rsa.pem");

/// A key that signs tokens.
pub struct SigningKey {
    id: Option<String>,
    algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key for `ES256`, `ES384` or `EdDSA`, or the one RSA key for the others.
    pub fn new(id: &str, algorithm: &'static str) -> Self {
        let random = SystemRandom::new();
        let ecdsa = |kind| {
            let key = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key is made");
            Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).expect("a new key is read"))
        };
        let pair = match algorithm {
            "ES256" => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            "EdDSA" => {
                let key = Ed25519KeyPair::generate_pkcs8(&random).expect("a key is made");
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("a new key is read"))
            }
            _ => {
                let text: String = RSA.lines().filter(|line| !line.starts_with('-')).collect();
                let der = STANDARD.decode(text).expect("the key is base64");
                Pair::Rsa(RsaKeyPair::from_pkcs8(&der).expect("the key is one"))
            }
        };
        Self {
            id: (!id.is_empty()).then(|| id.to_owned()),
            algorithm,
            pair,
        }
    }

    /// The public key, as sets have it.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)})
            }
            Pair::Ecdsa(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())}),
        };
        if let Some(id) = &self.id {
            jwk["kid"] = json!(id);
        }
        jwk
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(json!({"alg": self.algorithm, "typ": "JWT", "kid": self.id}), claims)
    }

    /// A token with a header of one's own, signed by the key's algorithm.
    pub fn sign_with(&self, header: Value, claims: &Value) -> String {
        let signed = signed_part(&header, claims);
        let message = signed.as_bytes();
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match self.algorithm {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    other => panic!("`{other}` is not an algorithm of RSA keys"),
                };
                let mut bytes = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut bytes)
                    .expect("the key signs");
                bytes
            }
            Pair::Ecdsa(pair) => pair.sign(&random, message).expect("the key signs").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token with a MAC whose secret is some bytes, such as a public key.
pub fn mac_token(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = signed_part(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// A signature of OAuth 1.0, by HMAC-SHA1.
pub fn oauth_signature(secret: &str, base_string: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, base_string.as_bytes()))
}

/// A token without a signature.
pub fn unsigned_token(claims: &Value) -> String {
    format!("{}.", signed_part(&json!({"alg": "none"}), claims))
}

fn signed_part(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// A provider on a free port: `/keys` and `/introspect`.
pub struct Provider {
    backend: Backend,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    keys: Vec<Value>,
    /// What it says of tokens.
    tokens: Map<String, Value>,
    instead: Option<Answer>,
}

impl Provider {
    /// One that shows these keys.
    pub fn new(keys: &[&SigningKey]) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let provider = Self {
            backend: Backend::new(move |request| shared.lock().unwrap_or_else(PoisonError::into_inner).answer(request)),
            state,
        };
        provider.show(keys);
        provider
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// From now on it shows these keys.
    pub fn show(&self, keys: &[&SigningKey]) {
        self.change(|state| state.keys = keys.iter().map(|key| key.jwk()).collect());
    }

    /// From now on it says this of a token; of those that it does not know it says that they are not active.
    pub fn say(&self, token: &str, answer: Value) {
        self.change(|state| {
            state.tokens.insert(token.to_owned(), answer);
        });
    }

    /// From now on it answers everything so; `None`: as it should.
    pub fn fail(&self, answer: Option<Answer>) {
        self.change(|state| state.instead = answer);
    }

    /// Address of its keys.
    pub fn keys_url(&self) -> String {
        format!("{}/keys", self.backend.url())
    }

    /// Address that is asked about tokens, by `me` with `s3:cret`.
    pub fn introspection_url(&self) -> String {
        format!("{}/introspect", self.backend.url())
    }

    /// What it was asked.
    pub fn received(&self) -> Vec<Received> {
        self.backend.received()
    }
}

impl State {
    fn answer(&self, request: &Received) -> Answer {
        if let Some(answer) = &self.instead {
            return answer.clone();
        }
        match (request.method.as_str(), request.path()) {
            ("GET", "/keys") => Answer::json(&json!({"keys": self.keys})),
            ("POST", "/introspect") => {
                let credentials = format!("Basic {}", STANDARD.encode("me:s3%3Acret"));
                if request.header("authorization") != Some(&credentials) {
                    return Answer::respond(401, &[], b"");
                }
                let form = request.text();
                let token = form
                    .split('&')
                    .find_map(|field| field.strip_prefix("token="))
                    .unwrap_or_default();
                Answer::json(self.tokens.get(token).unwrap_or(&json!({"active": false})))
            }
            _ => Answer::respond(404, &[], b""),
        }
    }
}
