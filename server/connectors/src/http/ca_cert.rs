//! The object type of certificate authorities that outgoing connections trust.

use std::fmt;
use std::path::Path;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Certificate authorities that outgoing connections trust in place of those of Mozilla's list.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityTlsCaCert {
    /// Their certificates, in PEM; or the path of a file with them.
    #[schemars(length(min = 1), example = &"/etc/busbar/own-ca.pem")]
    pub value: String,
}

impl SecurityTlsCaCert {
    /// Whether it is a text in PEM, and not the path of a file.
    fn is_text(&self) -> bool {
        self.value.contains("-----BEGIN")
    }

    /// Reads them; the error says what is wrong.
    pub(super) fn read(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let text = if self.is_text() {
            self.value.clone().into_bytes()
        } else {
            std::fs::read(self.value.trim()).map_err(|error| format!("cannot be read: {error}"))?
        };
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("is not PEM: {error}"))?;
        if certificates.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        Ok(certificates)
    }
}

// not the whole text
impl fmt::Debug for SecurityTlsCaCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityTlsCaCert").finish_non_exhaustive()
    }
}

impl Object for SecurityTlsCaCert {
    const KIND: &'static str = "security.tls_ca_cert";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec", "tls_ca_cert"];
    const ENMASSE_TYPE: Option<&'static str> = Some("tls_ca_cert");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        // what the certificates say, as a text for people
        fields::ignore(item, &["info"]);
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.value.trim().is_empty() {
            return Err(FieldError::new("value", "must not be empty"));
        }
        let path = Path::new(self.value.trim());
        if self.is_text() || path.is_file() {
            self.read().map_err(|error| FieldError::new("value", error))?;
        } else if !path.is_absolute() {
            // a file may still be put in its place
            let message = "must be certificates in PEM, or the whole path of a file with them";
            return Err(FieldError::new("value", message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn certificates_are_read_from_text() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let read = |value: String| {
            let mut item = json!({"value": value, "info": "CN=a", "id": 1});
            let item = item.as_object_mut().unwrap();
            SecurityTlsCaCert::from_enmasse("tls_ca_cert", item);
            let object: SecurityTlsCaCert = serde_json::from_value(Value::Object(item.clone())).unwrap();
            object.check()
        };
        read(certificate.pem().repeat(2)).unwrap();
        read("/nowhere/to-come.pem".to_owned()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate.pem()).unwrap();
        read(file.path().display().to_string()).unwrap();
        std::fs::write(file.path(), key.serialize_pem()).unwrap();
        for wrong in [
            String::new(),
            "nonsense".to_owned(),
            "certificates/own-ca.pem".to_owned(),
            file.path().display().to_string(),
            key.serialize_pem(),
            "-----BEGIN CERTIFICATE-----".to_owned(),
        ] {
            assert_eq!(read(wrong.clone()).unwrap_err().field, "value", "{wrong}");
        }
    }
}
