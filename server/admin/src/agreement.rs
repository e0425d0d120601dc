//! Plans that somebody has to agree to before anything is deleted: each has an id that is made of all that it would do.

use std::fmt::Write as _;
use std::sync::OnceLock;

use ring::hmac;
use ring::rand::SystemRandom;
use serde_json::Value;

use crate::problem::{Code, Problem};

/// Bytes of a plan's id: enough that no two plans of a server have the same.
const ID_BYTES: usize = 8;

/// What a plan would do, step by step, on its way to an id.
pub struct PlanDigest(hmac::Context);

impl PlanDigest {
    /// Of a plan without steps.
    pub fn new() -> Self {
        Self(hmac::Context::with_key(key()))
    }

    /// Adds a step; values of secrets count too.
    pub fn add(&mut self, step: &Value) {
        self.0.update(step.to_string().as_bytes());
        self.0.update(b"\n");
    }

    /// The id: good until the server is restarted.
    pub fn id(self) -> String {
        let digest = self.0.sign();
        digest.as_ref()[..ID_BYTES].iter().fold(String::new(), |mut id, byte| {
            write!(id, "{byte:02x}").expect("a text takes everything");
            id
        })
    }
}

/// Plans hold secrets, and their ids are printed: without this key, which never leaves the process, nobody can try passwords on an id.
fn key() -> &'static hmac::Key {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    KEY.get_or_init(|| {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system gives random bytes")
    })
}

/// Whether a plan may be made: it is the one that was `confirmed`, or it deletes nothing and no plan was named.
///
/// # Errors
///
/// E29: it is another one. E30: nobody has agreed to it.
pub fn agreed(id: &str, deletes: usize, confirmed: Option<&str>) -> Result<(), Problem> {
    match confirmed {
        Some(confirmed) if confirmed != id => Err(Problem::new(
            Code::E29,
            format!(
                "plan `{confirmed}` no longer fits: what it was made from has changed since it was shown; it is plan `{id}` now"
            ),
        )),
        None if deletes > 0 => Err(Problem::new(
            Code::E30,
            format!(
                "would delete {deletes} objects, which nobody has agreed to; look at the plan and confirm it by its id"
            ),
        )),
        _ => Ok(()),
    }
}
