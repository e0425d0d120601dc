//! The address of a connection: a URL with names in braces.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::HttpFailure;

/// What stays as it is when a parameter is put in the place of a name: nothing that could end the path segment it stands in, so
/// that the value of a parameter never reaches another resource than the one that the address names.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Host and path of a connection, taken apart once.
#[derive(Debug)]
pub(super) struct Address {
    parts: Vec<Part>,
    /// The URL itself when there is nothing to fill in.
    fixed: Option<Url>,
    text: String,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Name(String),
}

impl Address {
    /// Takes an address apart; fails if it has no names in braces and is no URL.
    pub(super) fn parse(host: &str, path: &str) -> Result<Self, HttpFailure> {
        let slashes = host.ends_with('/') && path.starts_with('/');
        let text = format!("{}{path}", if slashes { &host[..host.len() - 1] } else { host });
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Name(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let fixed = if parts.len() == 1 { Some(parse(&text)?) } else { None };
        Ok(Self { parts, fixed, text })
    }

    /// Names in braces, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The address as it is configured.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Fills the names in from `params`; the parameters that are left become the query.
    pub(super) fn fill(&self, params: &[(String, String)]) -> Result<Url, HttpFailure> {
        let mut url = match &self.fixed {
            Some(url) => url.clone(),
            None => self.fill_names(params)?,
        };
        let mut query = params
            .iter()
            .filter(|(name, _)| !self.names().any(|taken| taken == name))
            .peekable();
        if query.peek().is_some() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in query {
                pairs.append_pair(name, value);
            }
        }
        Ok(url)
    }

    fn fill_names(&self, params: &[(String, String)]) -> Result<Url, HttpFailure> {
        if params.is_empty() {
            return Err(HttpFailure::NoPathParams);
        }
        let mut text = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Name(name) => {
                    let value = params.iter().find(|(key, _)| key == name);
                    let (_, value) = value.ok_or_else(|| HttpFailure::MissingPathParam(name.clone()))?;
                    if matches!(value.as_str(), "." | "..") {
                        let reason = format!("parameter `{name}` cannot be `{value}`");
                        return Err(HttpFailure::InvalidUrl {
                            url: self.text.clone(),
                            reason,
                        });
                    }
                    text.extend(utf8_percent_encode(value, SEGMENT));
                }
            }
        }
        parse(&text)
    }
}

/// Reads a URL of HTTP.
pub(super) fn parse(text: &str) -> Result<Url, HttpFailure> {
    let invalid = |reason: Cow<'_, str>| HttpFailure::InvalidUrl {
        url: without_credentials(text),
        reason: reason.into_owned(),
    };
    let mut url = Url::parse(text).map_err(|error| invalid(error.to_string().into()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("only http and https are spoken".into()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("it has no host".into()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// What errors and logs may show of a URL that did not parse.
fn without_credentials(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[start..])
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn fill(host: &str, path: &str, pairs: &[(&str, &str)]) -> Result<String, HttpFailure> {
        Ok(Address::parse(host, path)?.fill(&params(pairs))?.into())
    }

    #[test]
    fn names_are_filled_and_the_rest_is_the_query() {
        let pairs = [("id", "1"), ("a", "x y"), ("a", "ą"), ("b", "")];
        assert_eq!(
            fill("http://h:1", "/c/{id}/d", &pairs).unwrap(),
            "http://h:1/c/1/d?a=x+y&a=%C4%85&b="
        );
        assert_eq!(
            fill("http://h:1/", "/c?k=v", &[("a", "1")]).unwrap(),
            "http://h:1/c?k=v&a=1"
        );
        assert_eq!(
            fill("http://{tenant}.h", "/", &[("tenant", "x")]).unwrap(),
            "http://x.h/"
        );
    }

    #[test]
    fn a_value_cannot_leave_its_place() {
        assert_eq!(
            fill("http://h", "/c/{id}", &[("id", "a/b?c#d %2F")]).unwrap(),
            "http://h/c/a%2Fb%3Fc%23d%20%252F"
        );
        assert!(matches!(
            fill("http://h", "/c/{id}/x", &[("id", "..")]),
            Err(HttpFailure::InvalidUrl { .. })
        ));
    }

    #[test]
    fn missing_parameters_are_told_apart() {
        assert!(matches!(
            fill("http://h", "/{a}/{b}", &[]),
            Err(HttpFailure::NoPathParams)
        ));
        match fill("http://h", "/{a}/{b}", &[("a", "1")]) {
            Err(HttpFailure::MissingPathParam(name)) => assert_eq!(name, "b"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_showing_passwords() {
        match Address::parse("http://user:secret@h:99999", "/") {
            Err(HttpFailure::InvalidUrl { url, .. }) => assert_eq!(url, "http://h:99999/"),
            other => panic!("{other:?}"),
        }
        assert!(Address::parse("ftp://h", "/").is_err());
    }
}
