//! Tokens of all kinds against one definition, without a network and with a clock that tests move.

use std::collections::VecDeque;
use std::time::Duration;

use busbar_runtime::handler::BoxFuture;
use busbar_runtime::peers::{Peer, PeerAnswer, Question};
use busbar_testkit::SigningKey;
use busbar_testkit::provider::{mac_token, unsigned_token};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// After so long keys are looked up again.
const REFRESHED: Duration = Duration::from_secs(3600);

/// Answers as it was told, in order, and the last answer for ever.
#[derive(Default)]
struct Fake {
    answers: Mutex<VecDeque<Result<(u16, Value), ()>>>,
    asked: Mutex<Vec<Question>>,
    /// How long each takes.
    delay: Duration,
}

impl Fake {
    fn new(answers: impl IntoIterator<Item = Result<(u16, Value), ()>>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            ..Self::default()
        })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

struct FakePeers(Arc<Fake>);

impl Peers for FakePeers {
    fn open(&self, _: &str, _: &PeerAddress) -> Result<Arc<dyn Peer>, Error> {
        Ok(Arc::new(FakePeers(Arc::clone(&self.0))))
    }
}

impl Peer for FakePeers {
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<PeerAnswer, Error>> {
        self.0.asked.lock().unwrap().push(question);
        let fake = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::time::sleep(fake.delay).await;
            let mut answers = fake.answers.lock().unwrap();
            let answer = if answers.len() > 1 {
                answers.pop_front()
            } else {
                answers.front().cloned()
            };
            match answer.unwrap() {
                Ok((status, body)) => Ok(PeerAnswer {
                    status,
                    body: body.to_string().into(),
                }),
                Err(()) => Err(Error::new(Kind::Connection, "nobody is there")),
            }
        })
    }
}

fn keys(keys: &[&SigningKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

fn shown(list: &[&SigningKey]) -> Result<(u16, Value), ()> {
    Ok((200, keys(list)))
}

fn bearer(config: Value, peer: &Arc<Fake>) -> Arc<Bearer> {
    let peers: Arc<dyn Peers> = Arc::new(FakePeers(Arc::clone(peer)));
    let config = serde_json::from_value(config).unwrap();
    Bearers::new(peers).get("tokens", config).unwrap()
}

/// One whose keys are in the definition.
fn with_keys(list: &[&SigningKey], more: Value) -> Arc<Bearer> {
    let mut config = json!({"jwks": keys(list).to_string()});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    bearer(config, &Fake::new([]))
}

fn by_url(peer: &Arc<Fake>) -> Arc<Bearer> {
    bearer(json!({"jwks_url": "https://login/keys"}), peer)
}

async fn send(bearer: &Arc<Bearer>, token: &str) -> Result<Identity, Fault> {
    let header = format!("Bearer {token}");
    let admission = match bearer.check(Some(header.as_bytes()), Cid::new()) {
        Verdict::In(admission) => admission,
        Verdict::Out(fault) => return Err(fault),
        Verdict::Wait(waiting) => waiting.await?,
        Verdict::Body(_) => panic!("tokens are not in bodies"),
    };
    Ok((*admission.expect("a token names its caller")).clone())
}

/// The status, and the challenge behind the realm.
fn shape(result: Result<Identity, Fault>) -> (u16, String) {
    match result {
        Ok(_) => (200, String::new()),
        Err(fault) => {
            let challenge = fault.headers.iter().find(|(name, _)| name == "WWW-Authenticate");
            let text = challenge.map(|(_, value)| value.strip_prefix(REALM).unwrap().to_owned());
            (fault.status, text.unwrap_or_default())
        }
    }
}

fn invalid(what: &str) -> (u16, String) {
    (401, format!(", error=\"invalid_token\", error_description=\"{what}\""))
}

/// Seconds from now.
fn after(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs() as i64 + seconds
}

fn claims(more: Value) -> Value {
    let mut claims = json!({"sub": "ann", "exp": after(60)});
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    claims
}

#[tokio::test]
async fn every_algorithm_is_checked() {
    for algorithm in busbar_model::bearer_token::ALGORITHMS {
        let key = SigningKey::new("1", algorithm);
        let definition = with_keys(&[&key], json!({"algorithms": algorithm}));
        let token = key.sign(&claims(json!({"role": "clerk"})));
        let identity = send(&definition, &token).await.unwrap();
        assert_eq!(
            (
                identity.name.as_str(),
                identity.kind.as_str(),
                identity.username.as_str()
            ),
            ("tokens", "oauth", "ann"),
            "{algorithm}"
        );
        let said: Value = serde_json::from_str(&identity.claims).unwrap();
        assert_eq!(said["role"], "clerk");
        // another claim under the same signature
        let parts: Vec<&str> = token.split('.').collect();
        let other = key.sign(&claims(json!({"role": "boss"})));
        let forged = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
        assert_eq!(
            shape(send(&definition, &forged).await),
            invalid("The token's signature is not right")
        );
    }
}

#[tokio::test]
async fn tokens_do_not_choose_how_they_are_checked() {
    let key = SigningKey::new("1", "RS256");
    let definition = with_keys(&[&key], json!({}));
    let said = claims(json!({}));
    let unreadable = invalid("The token cannot be read");
    assert_eq!(shape(send(&definition, &unsigned_token(&said)).await), unreadable);
    for secret in [
        key.jwk().to_string(),
        key.jwk()["n"].as_str().unwrap().to_owned(),
        String::new(),
    ] {
        let token = mac_token(&json!({"alg": "HS256", "kid": "1"}), &said, secret.as_bytes());
        assert_eq!(shape(send(&definition, &token).await), unreadable);
    }
    // extensions that are not known
    let token = key.sign_with(
        json!({"alg": "RS256", "kid": "1", "crit": ["b64"], "b64": false}),
        &said,
    );
    assert_eq!(shape(send(&definition, &token).await), unreadable);
    // a right signature under a wrong name, and an algorithm that was not allowed
    let unsigned = invalid("The token's signature is not right");
    let token = key.sign_with(json!({"alg": "PS256", "kid": "1"}), &said);
    assert_eq!(shape(send(&definition, &token).await), unsigned);
    let strict = with_keys(&[&key], json!({"algorithms": "ES256 PS256"}));
    assert_eq!(shape(send(&strict, &key.sign(&said)).await), unsigned);
    // a key that is for something else
    let mut jwk = key.jwk();
    jwk["alg"] = json!("RS512");
    let config = json!({"jwks": json!({"keys": [jwk]}).to_string()});
    assert_eq!(
        shape(send(&bearer(config, &Fake::new([])), &key.sign(&said)).await),
        unsigned
    );
    // keys of another curve, without a name
    let (one, other) = (SigningKey::new("", "ES256"), SigningKey::new("", "ES384"));
    let definition = with_keys(&[&one], json!({}));
    assert_eq!(shape(send(&definition, &one.sign(&said)).await).0, 200);
    assert_eq!(shape(send(&definition, &other.sign(&said)).await), unsigned);
    for header in [
        None,
        Some(&b"Basic YTpi"[..]),
        Some(b"Bearer"),
        Some(b"Bearer "),
        Some(b"DPoP x"),
    ] {
        let Verdict::Out(fault) = definition.check(header, Cid::new()) else {
            panic!("{header:?}")
        };
        assert_eq!(shape(Err(fault)), (401, String::new()));
    }
}

#[tokio::test]
async fn claims_are_checked() {
    let key = SigningKey::new("1", "EdDSA");
    let definition = with_keys(
        &[&key],
        json!({"issuer": "https://login/", "audience": "a\nb", "leeway": 10, "required_scopes": "read write",
            "required_claims": "org.team=x\nhttps://x.com/level=3", "username_claim": "email"}),
    );
    let right = json!({"iss": "https://login/", "aud": ["z", "b"], "scope": "write other read", "org": {"team": ["x", "y"]},
        "https://x.com/level": 3, "email": "ann@x"});
    let check = async |changed: Value| {
        let mut said = claims(right.clone());
        said.as_object_mut()
            .unwrap()
            .extend(changed.as_object().unwrap().clone());
        send(&definition, &key.sign(&said)).await
    };
    assert_eq!(check(json!({})).await.unwrap().username, "ann@x");
    let insufficient = || (403, ", error=\"insufficient_scope\", scope=\"read write\"".to_owned());
    for (changed, expected) in [
        (
            json!({"exp": after(-5), "nbf": after(5), "aud": "a"}),
            (200, String::new()),
        ),
        (json!({"exp": after(-11)}), invalid("The token has expired")),
        (json!({"exp": null}), invalid("The token has no end")),
        (json!({"exp": "tomorrow"}), invalid("The token's times are no times")),
        (json!({"nbf": after(20)}), invalid("The token is not good yet")),
        (
            json!({"iss": "https://login"}),
            invalid("The token is from another issuer"),
        ),
        (json!({"iss": null}), invalid("The token is from another issuer")),
        (json!({"aud": "c"}), invalid("The token is for another audience")),
        (json!({"aud": null}), invalid("The token is for another audience")),
        (json!({"scope": null, "scp": ["read", "write"]}), (200, String::new())),
        (json!({"scope": "read"}), insufficient()),
        (json!({"scope": "readwrite"}), insufficient()),
        (json!({"org": {"team": "z"}}), insufficient()),
        (json!({"org": "x"}), insufficient()),
        (json!({"https://x.com/level": 4}), insufficient()),
    ] {
        assert_eq!(shape(check(changed.clone()).await), expected, "{changed}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_looked_up_once_and_again_when_they_change() {
    let (one, two) = (SigningKey::new("1", "ES256"), SigningKey::new("2", "ES256"));
    let peer = Fake::new([shown(&[&one]), shown(&[&two])]);
    let definition = by_url(&peer);
    // many at once
    let token = one.sign(&claims(json!({})));
    let (a, b, c) = tokio::join!(
        send(&definition, &token),
        send(&definition, &token),
        send(&definition, &token)
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(peer.asked(), 1);
    // a new key is not looked for at once, and a wrong one never often
    let rotated = two.sign(&claims(json!({})));
    assert_eq!(
        shape(send(&definition, &rotated).await),
        invalid("The token's signature is not right")
    );
    assert_eq!(peer.asked(), 1);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(send(&definition, &rotated).await.is_ok());
    assert_eq!(peer.asked(), 2);
    // the old one is gone
    assert_eq!(shape(send(&definition, &token).await).0, 401);
    for _ in 0..20 {
        let unknown = SigningKey::new("3", "ES256").sign(&claims(json!({})));
        assert_eq!(shape(send(&definition, &unknown).await).0, 401);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(peer.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_is_not_the_callers_fault() {
    let key = SigningKey::new("1", "ES256");
    let token = key.sign(&claims(json!({})));
    let peer = Fake::new([
        Err(()),
        Ok((500, json!({}))),
        Ok((200, json!({"keys": []}))),
        shown(&[&key]),
        Err(()),
    ]);
    let definition = by_url(&peer);
    for asked in 1..=3 {
        let fault = send(&definition, &token).await.unwrap_err();
        assert_eq!(fault.status, 503);
        assert_eq!(fault.headers, [("Retry-After".to_owned(), "5".to_owned())]);
        // not asked again at once
        assert_eq!(send(&definition, &token).await.unwrap_err().status, 503);
        assert_eq!(peer.asked(), asked);
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    assert!(send(&definition, &token).await.is_ok());
    // what is known goes on being good, and a key that is not known may be a new one
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(send(&definition, &token).await.is_ok());
    let other = SigningKey::new("2", "ES256").sign(&claims(json!({})));
    assert_eq!(send(&definition, &other).await.unwrap_err().status, 503);
    tokio::time::advance(Duration::from_secs(23 * 3600)).await;
    assert_eq!(
        send(&definition, &token).await.unwrap_err().status,
        503,
        "the keys are a day old"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_holds_up_one_caller() {
    let key = SigningKey::new("1", "ES256");
    let token = key.sign(&claims(json!({"exp": after(10_000)})));
    let answers = [shown(&[&key])].into_iter().collect();
    let peer = Arc::new(Fake {
        answers: Mutex::new(answers),
        delay: Duration::from_secs(4),
        ..Fake::default()
    });
    let definition = by_url(&peer);
    send(&definition, &token).await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    // the first one looks, the others go by what is known
    let header = format!("Bearer {token}");
    let check = || definition.check(Some(header.as_bytes()), Cid::new());
    let Verdict::Wait(first) = check() else {
        panic!("the keys are old")
    };
    let first = tokio::spawn(first);
    tokio::task::yield_now().await;
    assert!(matches!(check(), Verdict::In(_)));
    assert!(first.await.unwrap().is_ok());
    assert_eq!(peer.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn issuers_are_asked_and_answers_kept() {
    let good = json!({"active": true, "sub": "ann", "scope": "read", "exp": after(20), "client_id": "app"});
    let peer = Fake::new([
        Ok((200, good.clone())),
        Ok((200, json!({"active": false}))),
        Ok((200, json!({"active": false}))),
        Ok((200, json!({"active": true, "exp": after(-100)}))),
        Ok((200, json!({}))),
        Ok((401, json!({"active": true}))),
        Err(()),
    ]);
    let config = json!({"introspection_url": "https://login/introspect", "username": "me", "password": "a b:c"});
    let definition = bearer(config, &peer);
    let identity = send(&definition, "opaque+/=").await.unwrap();
    assert_eq!(
        (
            identity.username.as_str(),
            serde_json::from_str::<Value>(&identity.claims).unwrap()
        ),
        ("ann", good)
    );
    send(&definition, "opaque+/=").await.unwrap();
    {
        let asked = peer.asked.lock().unwrap();
        let [question] = &asked[..] else { panic!("asked twice") };
        assert_eq!(question.form[0], ("token".to_owned(), "opaque+/=".to_owned()));
        assert_eq!(question.basic_auth, Some(("me".to_owned(), "a%20b%3Ac".to_owned())));
    }
    // no longer than the token lives, whose end is a clock's and not this test's
    tokio::time::advance(Duration::from_secs(21)).await;
    for _ in 0..3 {
        assert_eq!(
            shape(send(&definition, "opaque+/=").await),
            invalid("The token is not active")
        );
    }
    assert_eq!(peer.asked(), 2);
    // nor is that for ever
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(
        shape(send(&definition, "opaque+/=").await),
        invalid("The token is not active")
    );
    assert_eq!(peer.asked(), 3);
    assert_eq!(shape(send(&definition, "old").await), invalid("The token has expired"));
    for _ in 0..3 {
        assert_eq!(send(&definition, "unknown").await.unwrap_err().status, 503);
    }
}

#[tokio::test]
async fn what_was_verified_is_not_verified_again() {
    let key = SigningKey::new("1", "RS256");
    let definition = with_keys(&[&key], json!({"leeway": 0}));
    let remembered = |token: &str| match &definition.source {
        Source::Keys(keys) => keys.remembered(token).is_some(),
        Source::Introspection(_) => panic!("nobody is asked"),
    };
    let good = key.sign(&claims(json!({})));
    assert!(!remembered(&good));
    let first = send(&definition, &good).await.unwrap();
    assert!(remembered(&good));
    assert_eq!(send(&definition, &good).await.unwrap().claims, first.claims);
    // neither what is refused nor what is like a good one
    let (old, changed) = (key.sign(&claims(json!({"exp": after(-1)}))), format!("{good}A"));
    for token in [&old, &changed] {
        assert_eq!(shape(send(&definition, token).await).0, 401);
        assert!(!remembered(token));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_verified_goes_with_the_keys() {
    let (one, two) = (SigningKey::new("1", "ES256"), SigningKey::new("2", "ES256"));
    let peer = Fake::new([shown(&[&one]), shown(&[&two])]);
    let definition = by_url(&peer);
    let token = one.sign(&claims(json!({"exp": after(100_000)})));
    for _ in 0..2 {
        send(&definition, &token).await.unwrap();
    }
    assert_eq!(peer.asked(), 1);
    // keys that are old are looked up also for tokens that are remembered
    tokio::time::advance(REFRESHED).await;
    assert_eq!(
        shape(send(&definition, &token).await),
        invalid("The token's signature is not right")
    );
    assert_eq!(peer.asked(), 2);
}

#[test]
fn memory_is_bounded_and_answers_end() {
    let remembered = remembered::Remembered::new(2);
    let hour = Duration::from_secs(3600);
    for (token, value) in [("a", 1), ("b", 2)] {
        remembered.put(token, value, hour, None);
    }
    assert_eq!(remembered.get("a"), Some(1));
    remembered.put("c", 3, hour, Some(SystemTime::now() + hour));
    assert_eq!(
        ["a", "b", "c"].map(|token| remembered.get(token)),
        [Some(1), None, Some(3)]
    );
    // what has ended already
    remembered.put("d", 4, hour, Some(SystemTime::now()));
    remembered.put("e", 5, Duration::ZERO, None);
    assert_eq!(["d", "e"].map(|token| remembered.get(token)), [None, None]);
}

#[test]
fn a_change_of_another_definition_loses_nothing() {
    let bearers = Bearers::new(Arc::new(FakePeers(Fake::new([]))));
    let get = |name: &str, url: &str| {
        bearers
            .get(name, serde_json::from_value(json!({"jwks_url": url})).unwrap())
            .unwrap()
    };
    let first = get("a", "https://login/1");
    assert!(Arc::ptr_eq(&first, &get("a", "https://login/1")));
    assert!(!Arc::ptr_eq(&first, &get("b", "https://login/1")));
    assert!(!Arc::ptr_eq(&first, &get("a", "https://login/2")));
}

#[test]
fn keys_at_hand_are_checked_at_once() {
    let build = |config: Value| {
        Bearers::default()
            .get("tokens", serde_json::from_value(config).unwrap())
            .map(|_| ())
    };
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}, 7]}"#,
    ] {
        let error = build(json!({"jwks": format!(" {text}")})).unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{text}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(build(json!({"jwks_path": file.path()})).is_err());
    std::fs::write(file.path(), keys(&[&SigningKey::new("1", "ES256")]).to_string()).unwrap();
    build(json!({"jwks_path": file.path()})).unwrap();
    assert!(
        build(json!({"jwks_path": "/nonexistent/keys"}))
            .unwrap_err()
            .to_string()
            .contains("/nonexistent/keys")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is sent is answered, and never let in.
    #[test]
    fn any_header_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), is_bearer: bool) {
        let definition = shared();
        let header = if is_bearer { [b"Bearer ", &bytes[..]].concat() } else { bytes };
        prop_assert!(matches!(definition.0.check(Some(&header), Cid::new()), Verdict::Out(_)));
    }

    /// A good token of which anything is changed that counts is none.
    #[test]
    fn changed_tokens_are_refused(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut: bool) {
        let (definition, token) = shared();
        let mut header = format!("Bearer {token}").into_bytes();
        // behind the scheme; the bits of a last character that do not count are not in question
        let place = 7 + place.index(token.len() - 1);
        if cut {
            header.remove(place);
        } else {
            prop_assume!(header[place] != byte);
            header[place] = byte;
        }
        let verdict = definition.check(Some(&header), Cid::new());
        prop_assert!(matches!(verdict, Verdict::Out(_)), "{}", String::from_utf8_lossy(&header));
    }
}

fn shared() -> &'static (Arc<Bearer>, String) {
    static SHARED: std::sync::OnceLock<(Arc<Bearer>, String)> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| {
        let key = SigningKey::new("1", "EdDSA");
        (
            with_keys(&[&key], json!({})),
            key.sign(&claims(json!({"exp": after(100_000)}))),
        )
    })
}
