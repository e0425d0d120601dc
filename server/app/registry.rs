//! The one list of object types. A new connector adds its line here.

use busbar_connectors::http::ChannelHttp;
use busbar_connectors::http::client_cert::SecurityTlsKeyCert;
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
use busbar_model::object::ObjectType;
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
    ObjectType::of::<SecurityTlsKeyCert>(),
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

/// Modules of the Python package that have services, deployed before those of users.
pub static BUILTIN_SERVICES: &[&str] = &[
    "busbar.services.cache",
    "busbar.services.crypto",
    "busbar.services.helpers",
    "busbar.services.patterns",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::TYPES;

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
