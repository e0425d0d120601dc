//! The object type of accounts that log in with NTLM.

use std::fmt;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An account with which outgoing connections log in at back-ends that speak NTLM.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityNtlm {
    /// Domain and user name.
    #[schemars(length(min = 1), example = &r"CORP\crm")]
    pub username: String,
    /// Password.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
}

// without the password
impl fmt::Debug for SecurityNtlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityNtlm")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Object for SecurityNtlm {
    const KIND: &'static str = "security.ntlm";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("ntlm");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        fields::ignore(item, &["password_type"]);
    }

    fn check(&self) -> Result<(), FieldError> {
        let name = self.username.rsplit('\\').next().unwrap_or_default();
        if name.is_empty() {
            return Err(FieldError::new("username", r"must be a name such as `CORP\crm`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_read() {
        let read = |username: &str| {
            let mut item =
                json!({"type": "ntlm", "username": username, "password": "hunter2", "id": 3, "password_type": null});
            let item = item.as_object_mut().unwrap();
            SecurityNtlm::from_enmasse("def_sec", item);
            (ObjectType::of::<SecurityNtlm>().normalise)(item)
        };
        assert_eq!(read(r"CORP\crm").unwrap()["username"], r"CORP\crm");
        for wrong in ["", r"CORP\"] {
            assert_eq!(read(wrong).unwrap_err().field, "username");
        }
        let account: SecurityNtlm = serde_json::from_value(json!({"username": "a", "password": "hunter2"})).unwrap();
        assert!(!format!("{account:?}").contains("hunter2"));
    }
}
