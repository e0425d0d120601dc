//! The object type of TLS certificates that outgoing connections present.

use std::fmt;
use std::path::Path;

use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::{Error, Kind, fields};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A TLS certificate and its key, which outgoing connections present to back-ends.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityTlsKeyCert {
    /// Certificate, those of authorities behind it if there are some, and private key, in PEM; or the path of a file with them.
    #[schemars(length(min = 1), example = &"/etc/busbar/crm.pem", extend("x-secret" = true))]
    pub auth_data: String,
}

/// What a connection presents.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl SecurityTlsKeyCert {
    /// Whether it is a text in PEM, and not the path of a file.
    fn is_text(&self) -> bool {
        self.auth_data.contains("-----BEGIN")
    }

    /// Where its file is, if it is in one.
    pub fn path(&self) -> Option<&str> {
        (!self.is_text()).then_some(self.auth_data.trim())
    }

    /// Reads it.
    pub(super) fn read(&self) -> Result<Identity, Error> {
        let place = self
            .path()
            .map_or_else(|| "its text".to_owned(), |path| format!("`{path}`"));
        let failed = |what: &str| Error::new(Kind::Config, format!("cannot take {what} from {place}"));
        let text = match self.path() {
            None => self.auth_data.clone().into_bytes(),
            Some(path) => {
                std::fs::read(Path::new(path)).map_err(|error| failed("a TLS certificate").with_source(error))?
            }
        };
        let chain = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed("a TLS certificate").with_source(error))?;
        if chain.is_empty() {
            return Err(failed("a TLS certificate: there is none"));
        }
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| failed("the key of a TLS certificate").with_source(error))?;
        Ok((chain, key))
    }
}

// without the key
impl fmt::Debug for SecurityTlsKeyCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityTlsKeyCert")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl Object for SecurityTlsKeyCert {
    const KIND: &'static str = "security.tls_key_cert";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("tls_key_cert");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        fields::ignore(item, &["username", "password", "password_type", "info"]);
        // its name in 2.0
        if let Some(value) = item.remove("value") {
            item.entry("auth_data").or_insert(value);
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.auth_data.trim().is_empty() {
            return Err(FieldError::new("auth_data", "must not be empty"));
        }
        let Some(path) = self.path().map(Path::new) else {
            self.read()
                .map_err(|error| FieldError::new("auth_data", error.chain()))?;
            return Ok(());
        };
        // the path is not repeated: what was meant to be a text is a secret
        let message = if path.is_file() {
            self.read()
                .err()
                .map(|_| "is the path of a file without a certificate and its key in PEM")
        } else if path.is_absolute() {
            // a file may still be put in its place
            None
        } else {
            Some("must be a certificate and its key in PEM, or the whole path of a file with them")
        };
        message.map_or(Ok(()), |message| Err(FieldError::new("auth_data", message)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn certificates_are_read_from_text_or_files() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
        let mut item = json!({"type": "tls_key_cert", "value": pem, "info": null, "username": null});
        let item = item.as_object_mut().unwrap();
        SecurityTlsKeyCert::from_enmasse("def_sec", item);
        let definition: SecurityTlsKeyCert = serde_json::from_value(Value::Object(item.clone())).unwrap();
        definition.check().unwrap();
        assert_eq!((definition.read().unwrap().0.len(), definition.path()), (1, None));
        assert!(!format!("{definition:?}").contains("PRIVATE"));

        let file = tempfile::NamedTempFile::new().unwrap();
        let at = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            SecurityTlsKeyCert {
                auth_data: file.path().display().to_string(),
            }
            .read()
        };
        assert!(
            at(&pem).is_ok() && at(&certificate.pem()).is_err() && at(&key.serialize_pem()).is_err() && at("").is_err()
        );
        at(&certificate.pem()).unwrap_err();
        let incomplete = file.path().to_str().unwrap();
        for text in ["", "-----BEGIN CERTIFICATE-----", "nonsense", "own.pem", incomplete] {
            let definition = SecurityTlsKeyCert {
                auth_data: text.to_owned(),
            };
            let error = definition.check().unwrap_err();
            assert_eq!(error.field, "auth_data", "{text}");
            assert!(!error.message.contains("nonsense") && !error.message.contains(incomplete));
        }
        let to_come = SecurityTlsKeyCert {
            auth_data: "/nowhere/to-come.pem".to_owned(),
        };
        to_come.check().unwrap();
    }
}
