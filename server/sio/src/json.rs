//! One pass over a JSON body: is it JSON, and is the required input there? Builds nothing.

use std::borrow::Cow;

use busbar_model::sio::Declaration;

use crate::required::Required;
use crate::{MAX_DEPTH, MAX_DIGITS, SioError, is_blank, without_bom};

/// Checks a JSON body before it may reach an interpreter.
///
/// Refused: invalid UTF-8, anything that is not one JSON value (`NaN`, trailing commas, trailing text...), nesting beyond
/// [`MAX_DEPTH`], lone surrogates in `\u` escapes, integers beyond [`MAX_DIGITS`] digits and floats beyond the range of a double.
/// Accepted: a byte order mark, duplicate keys (the last one wins where it is parsed), an empty body if nothing is required.
///
/// With declared input the body must be an object or an array, and each required element must be a key of the object, whatever its
/// value, or a parameter of the channel (`has_param`). The first one missing, in alphabetical order, is named.
pub fn check_json(
    declaration: Option<&Declaration>,
    body: &[u8],
    has_param: &dyn Fn(&str) -> bool,
) -> Result<(), SioError> {
    let mut required = Required::of(declaration);
    let declared = declaration.is_some_and(|declaration| declaration.input.is_some());
    let ignores_body = declaration.is_some_and(|declaration| declaration.use_channel_params_only);
    if !ignores_body && !is_blank(body) {
        let text = std::str::from_utf8(without_bom(body))
            .map_err(|error| SioError::new(format!("invalid JSON: not UTF-8 after {} bytes", error.valid_up_to())))?;
        let mut scanner = Scanner {
            text,
            bytes: text.as_bytes(),
            at: 0,
        };
        scanner.skip_space();
        if declared && !matches!(scanner.peek(), Some(b'{' | b'[')) {
            scanner.document(&mut |_| {})?;
            return Err(SioError::new("invalid JSON input: an object is expected"));
        }
        if required.is_empty() {
            scanner.document(&mut |_| {})?;
        } else {
            scanner.document(&mut |key| required.tick(key))?;
        }
    }
    required.check(has_param)
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Reads one value and the end of the text; gives the keys of the outermost object to `on_key`.
    ///
    /// What is open is one bit per level, so depth costs no stack: nesting of any size is read or refused alike.
    fn document(&mut self, on_key: &mut dyn FnMut(&str)) -> Result<(), SioError> {
        const _: () = assert!(MAX_DEPTH <= u128::BITS as usize);
        let mut objects = 0u128;
        let mut depth = 0usize;
        let mut first = false;
        loop {
            // a value, or the end of what was opened just now
            self.skip_space();
            match self.peek() {
                Some(b'}') if first && objects & 1 == 1 => self.at += 1,
                Some(b']') if first && objects & 1 == 0 => self.at += 1,
                _ => {
                    if depth > 0 && objects & 1 == 1 {
                        self.key(depth == 1, on_key)?;
                    }
                    match self.peek() {
                        Some(open @ (b'{' | b'[')) => {
                            if depth == MAX_DEPTH {
                                return Err(self.error(format_args!("more than {MAX_DEPTH} levels")));
                            }
                            self.at += 1;
                            depth += 1;
                            objects = objects << 1 | u128::from(open == b'{');
                            first = true;
                            continue;
                        }
                        Some(b'"') => self.string()?,
                        Some(b'-' | b'0'..=b'9') => self.number()?,
                        Some(b't') => self.literal("true")?,
                        Some(b'f') => self.literal("false")?,
                        Some(b'n') => self.literal("null")?,
                        _ => return Err(self.error(format_args!("a value is expected"))),
                    }
                    // the value stands inside something that is still open, or is the document
                    if depth == 0 {
                        return self.end();
                    }
                    if self.next_member(objects & 1 == 1)? {
                        first = false;
                        continue;
                    }
                }
            }
            // something was closed; so may be what it stood in
            loop {
                depth -= 1;
                objects >>= 1;
                if depth == 0 {
                    return self.end();
                }
                if self.next_member(objects & 1 == 1)? {
                    first = false;
                    break;
                }
            }
        }
    }

    /// After a member: a comma (true), or the end of what it stands in (false).
    fn next_member(&mut self, in_object: bool) -> Result<bool, SioError> {
        self.skip_space();
        match (self.peek(), in_object) {
            (Some(b','), _) => {
                self.at += 1;
                Ok(true)
            }
            (Some(b'}'), true) | (Some(b']'), false) => {
                self.at += 1;
                Ok(false)
            }
            (_, true) => Err(self.error(format_args!("`,` or `}}` is expected"))),
            (_, false) => Err(self.error(format_args!("`,` or `]` is expected"))),
        }
    }

    fn key(&mut self, outermost: bool, on_key: &mut dyn FnMut(&str)) -> Result<(), SioError> {
        if self.peek() != Some(b'"') {
            return Err(self.error(format_args!("a key is expected")));
        }
        let start = self.at + 1;
        self.string()?;
        if outermost {
            on_key(&unescape(&self.text[start..self.at - 1]));
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.error(format_args!("`:` is expected")));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Reads a string from its opening to behind its closing quote.
    fn string(&mut self) -> Result<(), SioError> {
        self.at += 1;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.error(format_args!("a control character must be escaped"))),
                None => return Err(self.error(format_args!("a string does not end"))),
            }
        }
    }

    fn escape(&mut self) -> Result<(), SioError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.code_unit(self.at) {
                Some(0xd800..=0xdbff) => match self.code_unit(self.at + 6) {
                    Some(0xdc00..=0xdfff) => self.at += 12,
                    _ => return Err(self.error(format_args!("a surrogate stands alone"))),
                },
                Some(0xdc00..=0xdfff) => return Err(self.error(format_args!("a surrogate stands alone"))),
                Some(_) => self.at += 6,
                None => return Err(self.error(format_args!("four hexadecimal digits are expected after `\\u`"))),
            },
            _ => return Err(self.error(format_args!("an escape is not known"))),
        }
        Ok(())
    }

    /// The value of the `\uXXXX` at a position.
    fn code_unit(&self, at: usize) -> Option<u32> {
        let escape = self.bytes.get(at..at + 6)?;
        if !escape.starts_with(b"\\u") {
            return None;
        }
        escape[2..]
            .iter()
            .try_fold(0, |unit, digit| Some(unit << 4 | (*digit as char).to_digit(16)?))
    }

    fn number(&mut self) -> Result<(), SioError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let digits = match self.peek() {
            Some(b'0') => {
                self.at += 1;
                1
            }
            _ => self.digits()?,
        };
        if digits > MAX_DIGITS {
            self.at = start;
            return Err(self.error(format_args!("a number has more than {MAX_DIGITS} digits")));
        }
        let mut is_float = false;
        let mut has_exponent = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_float = true;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            is_float = true;
            has_exponent = true;
        }
        // only these can leave the range of a double, which is not worth parsing for otherwise
        if is_float && (has_exponent || digits > 300) {
            let value: f64 = self.text[start..self.at].parse().unwrap_or(f64::INFINITY);
            if value.is_infinite() {
                self.at = start;
                return Err(self.error(format_args!("a number is out of range")));
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<usize, SioError> {
        let count = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return Err(self.error(format_args!("a digit is expected")));
        }
        self.at += count;
        Ok(count)
    }

    fn literal(&mut self, literal: &str) -> Result<(), SioError> {
        if !self.bytes[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.error(format_args!("a value is expected")));
        }
        self.at += literal.len();
        Ok(())
    }

    fn end(&mut self) -> Result<(), SioError> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error(format_args!("the end is expected"))),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Says where: lines and columns count from 1, columns in bytes.
    #[cold]
    fn error(&self, what: std::fmt::Arguments<'_>) -> SioError {
        let before = &self.bytes[..self.at.min(self.bytes.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        SioError::new(format!("invalid JSON: {what} at line {line}, column {column}"))
    }
}

/// How many bytes at the beginning of a JSON string, or of a text that is to become one, stand for themselves: up to a quote, a
/// backslash or a control character. Looks at eight at a time, because long strings are where the bytes of large bodies are.
pub fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    for chunk in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of 8 bytes"));
        let special = zero_bytes(word ^ (ONES * b'"' as u64))
            | zero_bytes(word ^ (ONES * b'\\' as u64))
            | (word.wrapping_sub(ONES * 0x20) & !word & HIGHS);
        if special != 0 {
            // only the lowest mark is exact, and the lowest is the one that is wanted
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..]
        .iter()
        .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20))
        .count()
}

/// A key as it is compared. Its escapes have been checked.
fn unescape(key: &str) -> Cow<'_, str> {
    if key.contains('\\') {
        serde_json::from_str(&format!("\"{key}\"")).map_or(Cow::Borrowed(key), Cow::Owned)
    } else {
        Cow::Borrowed(key)
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::sio::{Element, ElementKind};

    use super::*;

    fn declared(required: &[&str], optional: &[&str]) -> Declaration {
        let element = |name: &&str, required| Element {
            name: (*name).to_owned(),
            required,
            kind: ElementKind::Text,
            nested: Vec::new(),
        };
        let mut input: Vec<_> = required.iter().map(|name| element(name, true)).collect();
        input.extend(optional.iter().map(|name| element(name, false)));
        Declaration {
            input: Some(input),
            ..Declaration::default()
        }
    }

    fn free(body: impl AsRef<[u8]>) -> Result<(), String> {
        check_json(None, body.as_ref(), &|_| false).map_err(|error| error.message)
    }

    #[test]
    fn json_is_accepted() {
        for body in [
            "",
            " \n",
            "{}",
            "[]",
            "[[],{}]",
            "{\"a\":{}}",
            "{\"a\":[1,2,{\"b\":null}],\"c\":\"d\"}",
            " [ 1 , 2 ] ",
            "0",
            "-0",
            "-0.5e-7",
            "1E+2",
            "true",
            "false",
            "null",
            "\"\"",
            "\"\\u0041\\n\\ud83d\\ude00\"",
            "\"é\u{1f600}\"",
            "\u{feff}{\"a\":1}",
            "{\"a\":1,\"a\":2}",
            "[1.7976931348623157e308]",
            "\"0123456789abcdef\\\"0123456789\"",
        ] {
            assert_eq!(free(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for body in [
            "{",
            "[",
            "}",
            "]",
            "{]",
            "[}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1}}",
            "{} {}",
            "1 2",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "Infinity",
            "-Infinity",
            "nul",
            "tru",
            "True",
            "nulll",
            "\"",
            "\"a",
            "\"\n\"",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\",
            "//",
            "[1]//",
            "{\"a\":undefined}",
            "\u{feff}\u{feff}1",
            "[1.8e308]",
            "1e999",
            "-1e400",
            "{,}",
            "{\"a\":1,,\"b\":2}",
            "\"a\" \"b\"",
            "\u{a0}1",
            "{\"a\":[}",
        ] {
            let message = free(body).unwrap_err();
            assert!(message.starts_with("invalid JSON: "), "{body}: {message}");
        }
        assert_eq!(
            free("{\n \"a\" 1}").unwrap_err(),
            "invalid JSON: `:` is expected at line 2, column 6"
        );
    }

    #[test]
    fn lone_surrogates_are_refused() {
        for body in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\ud800""#,
            r#""\ud800\u0041""#,
            r#"{"\udfff":1}"#,
            r#""\ud83d\\ude00""#,
        ] {
            assert!(free(body).unwrap_err().contains("surrogate"), "{body}");
        }
    }

    #[test]
    fn invalid_utf8_is_refused() {
        for body in [&b"\"\xff\""[..], b"{\"a\":\"\xc3\"}", b"\"\xed\xa0\x80\"", b"\x00"] {
            assert!(free(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(free(nested(MAX_DEPTH)), Ok(()));
        assert!(free(nested(MAX_DEPTH + 1)).unwrap_err().contains("128 levels"));
        assert!(free(nested(100_000)).unwrap_err().contains("levels"));
        assert!(free("[".repeat(1_000_000)).is_err());
        let objects = format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        assert_eq!(free(&objects), Ok(()));
        assert!(free("{\"a\":".repeat(100_000)).is_err());
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(free("1".repeat(MAX_DIGITS)), Ok(()));
        assert!(free("1".repeat(MAX_DIGITS + 1)).unwrap_err().contains("digits"));
        assert!(free(format!("{}.0", "1".repeat(310))).unwrap_err().contains("range"));
    }

    #[test]
    fn every_prefix_of_a_document_is_judged_without_panic() {
        let body = r#"{"a":[1,-2.5e3,{"b":"\ud83d\ude00 é"}],"c":null,"d":true}"#.as_bytes();
        for length in 1..body.len() {
            assert!(free(&body[..length]).is_err(), "{length}");
        }
        for index in 0..body.len() {
            for byte in [0, b'"', b'\\', b'{', b']', 0xff] {
                let mut changed = body.to_vec();
                changed[index] = byte;
                // judged as serde_json does, where both know the same rules
                let expected = serde_json::from_slice::<serde_json::Value>(&changed).is_ok();
                assert_eq!(
                    free(&changed).is_ok(),
                    expected,
                    "{}",
                    String::from_utf8_lossy(&changed)
                );
            }
        }
    }

    #[test]
    fn the_first_missing_element_is_named() {
        let declaration = declared(&["cust_id", "cust_type"], &["note"]);
        let check =
            |body: &str| check_json(Some(&declaration), body.as_bytes(), &|_| false).map_err(|error| error.message);
        assert_eq!(check("{}").unwrap_err(), "Element missing: cust_id");
        assert_eq!(check("").unwrap_err(), "Element missing: cust_id");
        assert_eq!(check("[1]").unwrap_err(), "Element missing: cust_id");
        assert_eq!(check("{\"cust_id\":1}").unwrap_err(), "Element missing: cust_type");
        assert_eq!(
            check("{\"cust_id\":1,\"x\":{\"cust_type\":1}}").unwrap_err(),
            "Element missing: cust_type"
        );
        assert_eq!(check("{\"cust_id\":null,\"cust_\\u0074ype\":\"\"}"), Ok(()));
        assert_eq!(
            check("\"cust_id\"").unwrap_err(),
            "invalid JSON input: an object is expected"
        );
        assert!(check("nope").unwrap_err().starts_with("invalid JSON: "));
    }

    #[test]
    fn parameters_of_the_channel_count() {
        let mut declaration = declared(&["a", "b"], &[]);
        let check =
            |declaration: &Declaration, body: &str| check_json(Some(declaration), body.as_bytes(), &|name| name == "a");
        assert_eq!(check(&declaration, "{\"b\":1}"), Ok(()));
        assert_eq!(check(&declaration, "{}"), Err(SioError::missing("b")));
        declaration.use_channel_params_only = true;
        assert_eq!(check(&declaration, "{\"b\":1}"), Err(SioError::missing("b")));
    }
}
