//! WS-Security on SOAP connections: a UsernameToken in the header of every envelope.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_runtime::crypto::random_secret;
use busbar_sio::soap;
use ring::digest;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::HttpFailure;

const OASIS: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss";

const CREATED: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// What a SOAP connection says of itself.
#[derive(Clone, PartialEq)]
pub(super) struct UsernameToken {
    pub(super) username: String,
    pub(super) password: String,
    /// Sends a digest of the password, not the password.
    pub(super) is_digest: bool,
}

impl UsernameToken {
    /// The envelope with the token in its header. One that has a security header already keeps that.
    pub(super) fn add_to(&self, envelope: &[u8]) -> Result<Option<Vec<u8>>, HttpFailure> {
        let nonce = random_secret(128);
        let header = self.header(&nonce, OffsetDateTime::now_utc());
        let security = format!("{OASIS}-wssecurity-secext-1.0.xsd");
        soap::add_header(envelope, &header, (&security, "Security")).map_err(|error| {
            HttpFailure::InvalidRequest(format!("a WS-Security token needs an envelope to stand in: {error}"))
        })
    }

    fn header(&self, nonce: &[u8], now: OffsetDateTime) -> String {
        let created = now
            .format(CREATED)
            .expect("a time in UTC has all that the format asks for");
        let (form, password) = if self.is_digest {
            let mut digest = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
            digest.update(nonce);
            digest.update(created.as_bytes());
            digest.update(self.password.as_bytes());
            ("Digest", STANDARD.encode(digest.finish()))
        } else {
            ("Text", escaped(&self.password))
        };
        format!(
            "<wsse:Security xmlns:wsse=\"{OASIS}-wssecurity-secext-1.0.xsd\" xmlns:wsu=\"{OASIS}-wssecurity-utility-1.0.xsd\">\
             <wsse:UsernameToken><wsse:Username>{username}</wsse:Username>\
             <wsse:Password Type=\"{OASIS}-username-token-profile-1.0#Password{form}\">{password}</wsse:Password>\
             <wsse:Nonce EncodingType=\"{OASIS}-soap-message-security-1.0#Base64Binary\">{nonce}</wsse:Nonce>\
             <wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>",
            username = escaped(&self.username),
            nonce = STANDARD.encode(nonce),
        )
    }
}

/// Text as it stands in an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(is_digest: bool) -> UsernameToken {
        UsernameToken {
            username: "a<b".to_owned(),
            password: "s&3".to_owned(),
            is_digest,
        }
    }

    #[test]
    fn the_token_is_as_the_profile_has_it() {
        let now = OffsetDateTime::from_unix_timestamp(0).unwrap();
        let header = token(false).header(b"nonce", now);
        for part in [
            "<wsse:Username>a&lt;b</wsse:Username>",
            "#PasswordText\">s&amp;3<",
            "#Base64Binary\">bm9uY2U=<",
            "<wsu:Created>1970-01-01T00:00:00.000Z</wsu:Created>",
        ] {
            assert!(header.contains(part), "{part}: {header}");
        }
        // printf 'nonce1970-01-01T00:00:00.000Zs&3' | openssl sha1 -binary | base64
        let header = token(true).header(b"nonce", now);
        assert!(
            header.contains("#PasswordDigest\">QzTU/WHFCpKNfTZ2ogiKxXumeRo=<"),
            "{header}"
        );
    }

    #[test]
    fn only_envelopes_get_one() {
        assert!(token(false).add_to(b"{}").is_err());
        let envelope = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body/></s:Envelope>";
        let first = token(false).add_to(envelope).unwrap().unwrap();
        assert_eq!(token(true).add_to(&first).unwrap(), None);
    }
}
