//! HTML forms (sio.md 8): what a request says that its body is.

/// Whether a content type is that of a url-encoded form. A request that says nothing is taken for one.
pub fn is_url_encoded(content_type: Option<&[u8]>) -> bool {
    content_type.is_none_or(|value| begins_with(value, b"application/x-www-form-urlencoded"))
}

/// Whether a content type is that of a form in several parts.
pub fn is_multipart(content_type: Option<&[u8]>) -> bool {
    content_type.is_some_and(|value| begins_with(value, b"multipart/form-data"))
}

fn begins_with(value: &[u8], prefix: &[u8]) -> bool {
    let value = value.trim_ascii_start();
    value.len() >= prefix.len() && value[..prefix.len()].eq_ignore_ascii_case(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_their_content_type() {
        assert!(is_url_encoded(None) && !is_multipart(None));
        assert!(is_url_encoded(Some(
            b"Application/X-WWW-Form-Urlencoded; charset=UTF-8"
        )));
        assert!(is_multipart(Some(b"multipart/form-data; boundary=x")));
        assert!(!is_url_encoded(Some(b"application/json")) && !is_url_encoded(Some(b"")));
    }
}
