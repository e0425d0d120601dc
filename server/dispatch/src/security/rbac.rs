//! Roles: which security definition may do what with which service (http.md 6).
//!
//! A caller's definition has roles (`rbac_client_role`), roles have permissions for services (`rbac_role_permission`), and what a request
//! needs follows from its method; what a management service needs, from its name ([`Permission::of_service`]). A role also has the
//! permissions of its parents.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement, Snapshot};
use busbar_model::{Error, Kind, wildcard};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::security::table::unreadable;

/// The role that is there without being made, above all others.
const ROOT: &str = "Root";

/// How the names of management services begin.
const MANAGEMENT: &str = "zato.";

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
    #[schemars(extend("x-refers" = "rbac_role", "x-given" = ["Root"]))]
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
    #[schemars(length(min = 1), example = &"Clerk", extend("x-refers" = "rbac_role", "x-given" = ["Root"]))]
    pub role: String,
    /// The service, or a pattern of names in which `*` stands for any text: `zato.*.get-list`.
    #[schemars(length(min = 1), example = &"orders.receive", extend("x-refers" = "service"))]
    pub service: String,
    /// `Create` (POST), `Read` (GET, HEAD), `Update` (PUT, PATCH) or `Delete` (DELETE).
    #[schemars(length(min = 1), example = &"Create")]
    #[schemars(extend("x-refers" = "rbac_permission", "x-given" = ["Create", "Read", "Update", "Delete"]))]
    pub permission: String,
}

/// Gives a role to whoever has a security definition's credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RbacClientRole {
    /// Name of the security definition.
    #[schemars(length(min = 1), example = &"shop", extend("x-refers" = "security"))]
    pub client_def: String,
    /// The role.
    #[schemars(length(min = 1), example = &"Clerk", extend("x-refers" = "rbac_role", "x-given" = ["Root"]))]
    pub role: String,
}

impl Object for RbacRole {
    const KIND: &'static str = "rbac_role";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["rbac_role"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        today(item, &[("parent", "parent_name")]);
        fields::ignore_nulls(item);
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

    fn check(&self) -> Result<(), FieldError> {
        if self.client_def.is_empty() {
            return Err(FieldError::new("client_def", "must not be empty"));
        }
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

fn is_pattern(service: &str) -> bool {
    service.contains('*')
}

/// What it takes to call a management service (management.md 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// For `create`, and everything else that begins like this.
    Create,
    /// For what only shows something: `get-list`, `get-by-id`, `has-wsdl`, `is-deployed`, `ping`.
    Read,
    /// For `edit`, `change-password`, `execute`, and all others.
    Update,
    /// For `delete`, and everything else that begins like this.
    Delete,
}

impl Permission {
    /// What a service takes, by the last part of its name.
    pub fn of_service(service: &str) -> Self {
        let operation = service.rsplit('.').next().unwrap_or_default();
        match operation.split('-').next().unwrap_or_default() {
            "create" => Self::Create,
            "get" | "has" | "is" | "ping" | "ping2" => Self::Read,
            "delete" => Self::Delete,
            _ => Self::Update,
        }
    }

    fn bit(self) -> Verbs {
        Verbs(match self {
            Self::Create => 1,
            Self::Read => 2,
            Self::Update => 4,
            Self::Delete => 8,
        })
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

    /// Whether a permission is among them.
    pub(crate) fn hold(self, permission: Permission) -> bool {
        self.0 & permission.bit().0 != 0
    }
}

/// All roles at one moment.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    parents: HashMap<String, String>,
    /// Of roles, by service.
    permissions: HashMap<String, Vec<(String, Verbs)>>,
    /// Of roles, by pattern of services.
    patterns: Vec<(String, String, Verbs)>,
    /// Of definitions.
    roles: HashMap<Arc<str>, Vec<String>>,
    /// The definitions that have each role, or one below it.
    holders: HashMap<String, Vec<Arc<str>>>,
    /// The definitions whose roles allow anything of the management, sorted.
    managers: BTreeSet<Arc<str>>,
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
                Some(bit) if record.is_active && is_pattern(&given.service) => {
                    roles.patterns.push((given.service, given.role, Verbs(1 << bit)));
                }
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
                roles.roles.entry(given.client_def.into()).or_default().push(given.role);
            }
        }
        roles.turn_round();
        Ok(roles)
    }

    /// Notes who has each role: looking through all definitions, and their roles, for each channel would take hours where there are many.
    fn turn_round(&mut self) {
        let mut holders: HashMap<String, Vec<Arc<str>>> = HashMap::new();
        for definition in self.roles.keys() {
            for role in self.held(definition).into_iter().flatten() {
                match holders.get_mut(role) {
                    Some(holders) => holders.push(Arc::clone(definition)),
                    None => drop(holders.insert(role.to_owned(), vec![Arc::clone(definition)])),
                }
            }
        }
        let named = self
            .permissions
            .iter()
            .filter(|(service, _)| may_be_management(service));
        let named = named.flat_map(|(_, given)| given.iter().map(|(role, _)| role));
        let described = self.patterns.iter().filter(|(pattern, ..)| may_be_management(pattern));
        let managing: HashSet<_> = named.chain(described.map(|(_, role, _)| role)).collect();
        let managers = managing.into_iter().filter_map(|role| holders.get(role));
        self.managers = managers.flatten().cloned().collect();
        self.holders = holders;
    }

    /// What a definition's roles let its callers do with a service.
    pub(crate) fn verbs(&self, definition: &str, service: &str) -> Verbs {
        let Some(held) = self.held(definition) else {
            return Verbs::default();
        };
        let held = self.given(service).filter(|(role, _)| held.contains(role));
        Verbs(held.fold(0, |all, (_, verbs)| all | verbs.0))
    }

    /// What definitions' roles let their callers do with a service, by name, of those that they let do anything.
    pub(crate) fn allowed(&self, service: &str) -> BTreeMap<&str, Verbs> {
        let mut allowed: BTreeMap<&str, Verbs> = BTreeMap::new();
        for (role, verbs) in self.given(service) {
            for definition in self.holders.get(role).into_iter().flatten() {
                allowed.entry(definition).or_default().0 |= verbs.0;
            }
        }
        allowed
    }

    /// What roles may do with a service.
    fn given(&self, service: &str) -> impl Iterator<Item = (&str, Verbs)> {
        let named = self.permissions.get(service).into_iter().flatten();
        let described = self.patterns.iter();
        let described = described.filter(move |(pattern, ..)| wildcard::matches(pattern, service, None));
        named
            .map(|(role, verbs)| (role.as_str(), *verbs))
            .chain(described.map(|(_, role, verbs)| (role.as_str(), *verbs)))
    }

    /// Whether a definition's roles let its callers do anything with a management service.
    pub(crate) fn manages(&self, definition: &str) -> bool {
        self.managers.contains(definition)
    }

    /// The definitions of which that is so, sorted.
    pub(crate) fn managers(&self) -> impl Iterator<Item = &str> {
        self.managers.iter().map(|it| &**it)
    }

    /// A definition's roles, and all above them; `None`: it has none.
    fn held(&self, definition: &str) -> Option<HashSet<&str>> {
        let mut held = HashSet::new();
        for role in self.roles.get(definition)? {
            let mut next = Some(role);
            // parents may be a circle
            while let Some(role) = next.filter(|role| held.insert(role.as_str())) {
                next = self.parents.get(role);
            }
        }
        Some(held)
    }
}

/// Whether a management service may have this name, or be described by this pattern.
fn may_be_management(service: &str) -> bool {
    match service.split_once('*') {
        None => service.starts_with(MANAGEMENT),
        Some((start, _)) => start.starts_with(MANAGEMENT) || MANAGEMENT.starts_with(start),
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::Record;
    use serde_json::json;

    use super::*;

    fn roles(given: &[(&str, &str, &str)]) -> Roles {
        let record = |kind: &str, name: String, body: Value| Record {
            kind: kind.to_owned(),
            name,
            is_active: true,
            body: body.as_object().cloned().unwrap().into(),
            version: 1,
            id: 1,
        };
        let mut records = vec![
            record(RbacRole::KIND, "Viewer".to_owned(), json!({"parent": "Root"})),
            record(
                RbacClientRole::KIND,
                "ann".to_owned(),
                json!({"client_def": "ann", "role": "Viewer"}),
            ),
        ];
        for (number, (role, service, permission)) in given.iter().enumerate() {
            let body = json!({"role": role, "service": service, "permission": permission});
            records.push(record(RbacRolePermission::KIND, number.to_string(), body));
        }
        Roles::build(&Snapshot::new(1, records)).unwrap()
    }

    #[test]
    fn permissions_follow_from_the_operation() {
        for (service, permission) in [
            ("zato.http-soap.create", Permission::Create),
            ("zato.http-soap.get-list", Permission::Read),
            ("zato.service.slow-response.get", Permission::Read),
            ("zato.service.is-deployed", Permission::Read),
            ("zato.ping", Permission::Read),
            ("zato.security.basic-auth.edit", Permission::Update),
            ("zato.security.basic-auth.change-password", Permission::Update),
            ("zato.service.invoke", Permission::Update),
            ("zato.service.upload-package", Permission::Update),
            ("zato.cloud.getaway", Permission::Update),
            ("zato.scheduler.job.delete", Permission::Delete),
            ("", Permission::Update),
        ] {
            assert_eq!(Permission::of_service(service), permission, "{service}");
        }
    }

    #[test]
    fn permissions_are_for_services_and_for_patterns_of_them() {
        let roles = roles(&[
            ("Viewer", "zato.*.get-list", "Read"),
            ("Root", "zato.http-soap.create", "Create"),
        ]);
        let may = |definition, service| {
            let verbs = roles.verbs(definition, service);
            verbs.hold(Permission::of_service(service))
        };
        assert!(may("ann", "zato.http-soap.get-list") && may("ann", "zato.security.basic-auth.get-list"));
        // of the role above
        assert!(may("ann", "zato.http-soap.create"));
        for service in [
            "zato.http-soap.get",
            "zato.http-soap.delete",
            "zato.security.create",
            "crm.get-list",
        ] {
            assert!(!may("ann", service), "{service}");
        }
        assert!(!may("bob", "zato.http-soap.get-list"));
        // asked the other way round, it is the same
        for service in ["zato.http-soap.get-list", "zato.http-soap.create", "zato.http-soap.get"] {
            let allowed = roles.allowed(service);
            for definition in ["ann", "bob"] {
                let verbs = allowed.get(definition).copied().unwrap_or_default();
                assert_eq!(verbs, roles.verbs(definition, service), "{definition} {service}");
            }
        }
        // what a pattern allows is the permission and not more
        assert!(!roles.verbs("ann", "zato.http-soap.get-list").hold(Permission::Delete));
    }

    #[test]
    fn whoever_may_call_a_management_service_manages() {
        for (service, expected) in [
            ("zato.http-soap.create", true),
            ("zato.*", true),
            ("za*", true),
            ("*", true),
            ("*.get-list", true),
            ("crm.*", false),
            ("zatopek.run", false),
            ("crm.get", false),
        ] {
            assert_eq!(
                roles(&[("Viewer", service, "Read")]).manages("ann"),
                expected,
                "{service}"
            );
        }
        assert!(!roles(&[("Viewer", "zato.*", "Read")]).manages("bob"));
    }
}
