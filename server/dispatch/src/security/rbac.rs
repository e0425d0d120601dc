//! Roles: which security definition may do what with which service (http.md 6).
//!
//! A caller's definition has roles (`rbac_client_role`), roles have permissions for services (`rbac_role_permission`), and what a request
//! needs follows from its method. A role also has the permissions of its parents.

use std::collections::{HashMap, HashSet};

use busbar_model::object::{FieldError, Object, Placement, Reference, Snapshot};
use busbar_model::{Error, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::security::config::drop_nulls;
use crate::security::table::unreadable;

/// The role that is there without being made, above all others.
const ROOT: &str = "Root";

/// What can be permitted without being made, and the methods that need it.
const PERMISSIONS: [(&str, &[&str]); 4] = [
    ("Create", &["POST"]),
    ("Read", &["GET", "HEAD"]),
    ("Update", &["PUT", "PATCH"]),
    ("Delete", &["DELETE"]),
];

/// A role that callers can have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RbacRole {
    /// The role whose permissions it has beside its own.
    #[serde(default)]
    pub parent: Option<String>,
}

/// A permission. `Create`, `Read`, `Update` and `Delete` are there already and the only ones that a method asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RbacPermission {}

/// Permits a role to do something with a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RbacRolePermission {
    /// The role.
    #[schemars(length(min = 1), example = &"Clerk")]
    pub role: String,
    /// The service.
    #[schemars(length(min = 1), example = &"orders.receive")]
    pub service: String,
    /// `Create` (POST), `Read` (GET, HEAD), `Update` (PUT, PATCH) or `Delete` (DELETE).
    #[schemars(length(min = 1), example = &"Create")]
    pub permission: String,
}

/// Gives a role to whoever has a security definition's credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RbacClientRole {
    /// Name of the security definition.
    #[schemars(length(min = 1), example = &"shop")]
    pub client_def: String,
    /// The role.
    #[schemars(length(min = 1), example = &"Clerk")]
    pub role: String,
}

impl Object for RbacRole {
    const KIND: &'static str = "rbac_role";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["rbac_role"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        today(item, &[("parent", "parent_name")]);
        drop_nulls(item, &["parent"]);
    }
}

impl Object for RbacPermission {
    const KIND: &'static str = "rbac_permission";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["rbac_permission"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        today(item, &[]);
    }
}

impl Object for RbacRolePermission {
    const KIND: &'static str = "rbac_role_permission";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["rbac_role_permission"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        let names = [
            ("role", "role_name"),
            ("service", "service_name"),
            ("permission", "perm_name"),
        ];
        today(item, &names);
    }

    fn references(&self) -> Vec<Reference> {
        vec![Reference::Service(self.service.clone())]
    }
}

impl Object for RbacClientRole {
    const KIND: &'static str = "rbac_client_role";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["rbac_client_role"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        today(item, &[("client_def", "client_name"), ("role", "role_name")]);
        // older files say of which type the definition is before its name
        if let Some(Value::String(definition)) = item.get_mut("client_def")
            && let Some((_, name)) = definition.rsplit_once(":::")
        {
            *definition = name.to_owned();
        }
    }

    fn references(&self) -> Vec<Reference> {
        vec![Reference::Security(self.client_def.clone())]
    }

    fn check(&self) -> Result<(), FieldError> {
        Ok(())
    }
}

/// Gives fields the names of today, and takes out ids of another database.
fn today(item: &mut Map<String, Value>, names: &[(&str, &str)]) {
    for (name, old) in names {
        if let Some(value) = item.remove(*old)
            && !item.contains_key(*name)
        {
            item.insert((*name).to_owned(), value);
        }
    }
    for name in ["id", "cluster_id", "parent_id", "role_id", "service_id", "perm_id"] {
        item.remove(name);
    }
}

/// What a role lets its callers do with one service, one bit for each of [`PERMISSIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Verbs(u8);

impl Verbs {
    /// Whether a method is among them.
    pub(crate) fn allow(self, method: &str) -> bool {
        let bit = PERMISSIONS.iter().position(|(_, methods)| methods.contains(&method));
        bit.is_some_and(|bit| self.0 & 1 << bit != 0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// All roles at one moment.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    parents: HashMap<String, String>,
    /// Of roles, by service.
    permissions: HashMap<String, Vec<(String, Verbs)>>,
    /// Of definitions.
    roles: HashMap<String, Vec<String>>,
}

impl Roles {
    pub(crate) fn build(snapshot: &Snapshot) -> Result<Self, Error> {
        let mut roles = Self::default();
        let mut known = HashSet::from([ROOT.to_owned()]);
        known.extend(snapshot.of::<RbacRole>().map(|(record, _)| record.name.clone()));
        let missing = |kind: &str, name: &str, what: &str, wanted: &str| {
            let message = format!("{kind} `{name}` names the {what} `{wanted}`, which does not exist");
            Error::new(Kind::NotFound, message).with_hint(format!("create the {what} first, or in the same import"))
        };
        for (record, role) in snapshot.of::<RbacRole>() {
            let role = role.map_err(|error| unreadable(record, error))?;
            if let Some(parent) = role.parent.filter(|_| record.is_active) {
                if !known.contains(&parent) {
                    return Err(missing(RbacRole::KIND, &record.name, "role", &parent));
                }
                roles.parents.insert(record.name.clone(), parent);
            }
        }
        let own: HashSet<_> = snapshot
            .of::<RbacPermission>()
            .map(|(record, _)| &*record.name)
            .collect();
        for (record, given) in snapshot.of::<RbacRolePermission>() {
            let given = given.map_err(|error| unreadable(record, error))?;
            if !known.contains(&given.role) {
                return Err(missing(RbacRolePermission::KIND, &record.name, "role", &given.role));
            }
            let bit = PERMISSIONS
                .iter()
                .position(|(name, _)| name.eq_ignore_ascii_case(&given.permission));
            match bit {
                Some(bit) if record.is_active => {
                    let permissions = roles.permissions.entry(given.service).or_default();
                    permissions.push((given.role, Verbs(1 << bit)));
                }
                // one that no method asks for
                None if !own.contains(&*given.permission) => {
                    let kind = RbacRolePermission::KIND;
                    return Err(missing(kind, &record.name, "permission", &given.permission));
                }
                _ => {}
            }
        }
        for (record, given) in snapshot.of::<RbacClientRole>() {
            let given = given.map_err(|error| unreadable(record, error))?;
            if !known.contains(&given.role) {
                return Err(missing(RbacClientRole::KIND, &record.name, "role", &given.role));
            }
            if record.is_active {
                roles.roles.entry(given.client_def).or_default().push(given.role);
            }
        }
        Ok(roles)
    }

    /// What a definition's roles let its callers do with a service.
    pub(crate) fn verbs(&self, definition: &str, service: &str) -> Verbs {
        let (Some(roles), Some(permissions)) = (self.roles.get(definition), self.permissions.get(service)) else {
            return Verbs::default();
        };
        let mut seen = HashSet::new();
        for role in roles {
            let mut next = Some(role);
            // parents may be a circle
            while let Some(role) = next.filter(|role| seen.insert(role.as_str())) {
                next = self.parents.get(role);
            }
        }
        let allowed = permissions.iter().filter(|(role, _)| seen.contains(role.as_str()));
        Verbs(allowed.fold(0, |all, (_, verbs)| all | verbs.0))
    }
}
