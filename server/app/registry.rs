//! The one list of object types. A new connector adds its line here.

use busbar_connectors::http::ChannelHttp;
use busbar_connectors::http::ca_cert::SecurityTlsCaCert;
use busbar_connectors::http::client_cert::SecurityTlsKeyCert;
use busbar_connectors::http::outgoing::ntlm::config::SecurityNtlm;
use busbar_connectors::http::outgoing_config::OutgoingHttp;
use busbar_connectors::imap::EmailImap;
use busbar_connectors::redis::OutgoingRedis;
use busbar_connectors::smtp::EmailSmtp;
use busbar_connectors::sql::OutgoingSql;
use busbar_connectors::zmq::OutgoingZmq;
use busbar_dispatch::security::{
    RbacClientRole, RbacPermission, RbacRole, RbacRolePermission, SecurityApiKey, SecurityBasicAuth, SecurityGroup,
    SecurityJwt, SecurityOauth, SecurityTechAccount, SecurityTlsChannel, SecurityWss, SecurityXpath,
};
use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::object::{Object, ObjectType};
use busbar_model::service::ServiceSettings;

/// Every type of object that can be configured, in the order in which an export lists them: what others refer to comes first.
pub static TYPES: &[ObjectType] = &[
    ObjectType::of::<SecurityBasicAuth>(),
    ObjectType::of::<SecurityApiKey>(),
    ObjectType::of::<SecurityBearerToken>(),
    ObjectType::of::<SecurityJwt>(),
    ObjectType::of::<SecurityWss>(),
    ObjectType::of::<SecurityOauth>(),
    ObjectType::of::<SecurityXpath>(),
    ObjectType::of::<SecurityTechAccount>(),
    ObjectType::of::<SecurityTlsChannel>(),
    ObjectType::of::<SecurityNtlm>(),
    ObjectType::of::<SecurityTlsKeyCert>(),
    ObjectType::of::<SecurityTlsCaCert>(),
    ObjectType::of::<SecurityGroup>(),
    ObjectType::of::<RbacRole>(),
    ObjectType::of::<RbacPermission>(),
    ObjectType::of::<RbacRolePermission>(),
    ObjectType::of::<RbacClientRole>(),
    ObjectType::of::<ChannelHttp>(),
    ObjectType::of::<OutgoingHttp>(),
    ObjectType::of::<OutgoingZmq>(),
    ObjectType::of::<OutgoingRedis>(),
    ObjectType::of::<EmailSmtp>(),
    ObjectType::of::<EmailImap>(),
    ObjectType::of::<OutgoingSql>(),
    ObjectType::of::<ServiceSettings>(),
];

/// Types whose commands are not called after their first enmasse key: `service` has commands already, others would be hard to read.
const COMMANDS: &[(&str, &str)] = &[
    (ServiceSettings::KIND, "service-settings"),
    (SecurityApiKey::KIND, "security api-key"),
    (SecurityTechAccount::KIND, "security tech-account"),
    (SecurityTlsChannel::KIND, "security tls-channel"),
    (SecurityXpath::KIND, "security xpath"),
    (SecurityGroup::KIND, "security-group"),
];

/// The command under which objects of a type are made, listed and changed: `outgoing-rest`, or `security basic-auth`.
pub fn command_of(object_type: &ObjectType) -> String {
    if let Some((_, command)) = COMMANDS.iter().find(|(kind, _)| *kind == object_type.kind) {
        return (*command).to_owned();
    }
    let key = object_type.enmasse_keys.first().copied().unwrap_or(object_type.kind);
    let key = key.replace("outconn_", "outgoing_");
    match object_type.enmasse_type {
        Some(of_key) => format!("{key} {of_key}"),
        None => key,
    }
    .replace(['_', '.'], "-")
}

/// Modules of the Python package that have services, deployed before those of users.
pub static BUILTIN_SERVICES: &[&str] = &[
    "busbar.services.cache",
    "busbar.services.caches",
    "busbar.services.crypto",
    "busbar.services.helpers",
    "busbar.services.kvdb",
    "busbar.services.patterns",
];

#[cfg(test)]
mod enmasse;
#[cfg(test)]
mod many;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use busbar_admin::management::catalogue::Operation;
    use busbar_admin::management::served;
    use busbar_connectors::ping::can_ping;
    use busbar_model::object::Object;
    use busbar_model::service::ServiceSettings;

    use super::{COMMANDS, TYPES, command_of};

    #[test]
    fn kinds_and_enmasse_keys_are_told_apart() {
        let mut seen = HashSet::new();
        for object_type in TYPES {
            assert!(seen.insert(object_type.kind.to_owned()), "{}", object_type.kind);
            for key in object_type.enmasse_keys {
                assert!(seen.insert(format!("{key}/{:?}", object_type.enmasse_type)), "{key}");
            }
        }
    }

    /// What the services do is tested with a whole server.
    #[test]
    fn every_type_has_all_its_services() {
        let names: HashSet<&str> = served().into_iter().map(|it| it.name.as_str()).collect();
        // services are deployed, not made: `zato.service.*` is not about objects of a type
        for object_type in TYPES.iter().filter(|it| it.kind != ServiceSettings::KIND) {
            let kind = object_type.kind;
            let lists = served()
                .into_iter()
                .filter(|it| it.operation == Some(Operation::List) && it.kinds.iter().any(|of| of == kind));
            let families: Vec<&str> = lists.filter_map(|it| it.name.strip_suffix(".get-list")).collect();
            let [family] = families[..] else {
                panic!("{kind}: {families:?}");
            };
            let mut operations = vec!["get", "create", "edit", "delete"];
            if object_type.secrets().iter().any(|secret| secret == "password") {
                operations.push("change-password");
            }
            if can_ping(kind) {
                operations.push("ping");
            }
            for operation in operations {
                let name = format!("{family}.{operation}");
                assert!(names.contains(name.as_str()), "{kind}: there is no {name}");
            }
        }
    }

    /// A test of the whole server sets each of them to a text that must not be seen anywhere.
    #[test]
    fn secret_fields_are_those_that_are_looked_for() {
        let fields = TYPES.iter().flat_map(|object_type| {
            let secrets = object_type.secrets().into_iter();
            secrets.map(|field| format!("{} {field}\n", object_type.kind))
        });
        assert_eq!(
            fields.collect::<String>(),
            include_str!("../../tests/golden/secrets.txt")
        );
    }

    #[test]
    fn commands_are_told_apart_and_easy_to_type() {
        let mut seen = HashSet::new();
        for object_type in TYPES {
            let command = command_of(object_type);
            let is_typed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            assert!(
                command
                    .split(' ')
                    .all(|word| !word.is_empty() && word.chars().all(is_typed)),
                "{command}"
            );
            assert!(seen.insert(command.clone()), "{command}");
        }
        for (kind, _) in COMMANDS {
            assert!(TYPES.iter().any(|it| it.kind == *kind), "{kind}");
        }
        let outgoing = TYPES.iter().find(|it| it.kind == "outgoing.http").unwrap();
        assert_eq!(command_of(outgoing), "outgoing-rest");
        let basic_auth = TYPES.iter().find(|it| it.kind == "security.basic_auth").unwrap();
        assert_eq!(command_of(basic_auth), "security basic-auth");
    }

    #[test]
    fn every_field_is_documented() {
        for object_type in TYPES {
            let schema = (object_type.schema)();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let described = property.get("description").is_some()
                    || property.get("$ref").is_some()
                    || property.get("allOf").is_some();
                assert!(described, "{}.{name}", object_type.kind);
            }
        }
    }
}
