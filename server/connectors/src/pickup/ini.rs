//! Configuration files of users: `[section]`, `[[section in it]]`, `key = value`.

use serde_json::{Map, Number, Value};

/// What is wrong with a file, and in which line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct IniError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Reads a file. Values that look like a number or a truth value are one, unless they are quoted; `env` resolves those that are the name
/// of an environment variable, `$NAME`.
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Map<String, Value>, IniError> {
    let mut root = Map::new();
    let mut path: Vec<String> = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, raw)) = lines.next() {
        let line = raw.trim();
        let wrong = |message: String| IniError {
            line: index + 1,
            message,
        };
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            let depth = line.bytes().take_while(|byte| *byte == b'[').count();
            let (name, rest) = line[depth..]
                .split_once(&*"]".repeat(depth))
                .ok_or_else(|| wrong(format!("the brackets of section `{line}` are not closed")))?;
            if !is_comment(rest) {
                return Err(wrong(format!(
                    "there is something behind section `{name}`: `{}`",
                    rest.trim()
                )));
            }
            if depth > path.len() + 1 {
                return Err(wrong(format!(
                    "section `{name}` is nested in no section of one bracket less"
                )));
            }
            path.truncate(depth - 1);
            path.push(unquoted(name.trim()).0.to_owned());
            section(&mut root, &path)
                .ok_or_else(|| wrong(format!("there is a key of the name of section `{name}`")))?;
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .or_else(|| line.split_once(": "))
            .ok_or_else(|| wrong(format!("expected `key = value`, not `{line}`")))?;
        let key = unquoted(key.trim()).0;
        if key.is_empty() {
            return Err(wrong(format!("there is no key before the value in `{line}`")));
        }
        let value = value.trim();
        let value = match ["\"\"\"", "'''"].into_iter().find(|quotes| value.starts_with(quotes)) {
            Some(quotes) => {
                let mut long = value[3..].to_owned();
                while !long.contains(quotes) {
                    let Some((_, next)) = lines.next() else {
                        return Err(wrong(format!("the quotes of key `{key}` are not closed")));
                    };
                    long.push('\n');
                    long.push_str(next);
                }
                Value::String(long.split(quotes).next().unwrap_or_default().to_owned())
            }
            None => typed(value, env),
        };
        section(&mut root, &path)
            .ok_or_else(|| wrong(format!("there is a key of the name of the section of `{key}`")))?
            .insert(key.to_owned(), value);
    }
    Ok(root)
}

fn section<'m>(root: &'m mut Map<String, Value>, path: &[String]) -> Option<&'m mut Map<String, Value>> {
    let mut current = root;
    for name in path {
        current = current
            .entry(name.as_str())
            .or_insert_with(|| Value::Object(Map::new()))
            .as_object_mut()?;
    }
    Some(current)
}

fn typed(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Value {
    let (text, is_quoted) = unquoted(text);
    if is_quoted {
        return Value::String(text.to_owned());
    }
    let text = without_comment(text);
    let resolved = text.strip_prefix('$').filter(|name| !name.is_empty()).and_then(env);
    let text = resolved.as_deref().unwrap_or(text);
    if let Ok(number) = text.parse::<i64>()
        // telephone numbers and the like are text
        && number.to_string() == text
    {
        return Value::Number(number.into());
    }
    let is_decimal = text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'))
        && text.contains(['.', 'e', 'E']);
    if is_decimal && let Some(number) = text.parse().ok().and_then(Number::from_f64) {
        return Value::Number(number);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Value::Bool(true),
        "false" | "no" | "off" => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}

/// Text without the quotes around it, and whether there were any. A comment may stand behind them.
fn unquoted(text: &str) -> (&str, bool) {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote)
            && let Some((inside, after)) = rest.split_once(quote)
            && is_comment(after)
        {
            return (inside, true);
        }
    }
    (text, false)
}

fn is_comment(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with(['#', ';'])
}

/// Text before a blank and a `#`.
fn without_comment(text: &str) -> &str {
    text.find(" #").map_or(text, |end| text[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, IniError> {
        let env = |name: &str| (name == "PORT").then(|| "8080".to_owned());
        parse(text, &env).map(Value::Object)
    }

    #[test]
    fn values_have_types() {
        let text = "
; comment
top = 1
[crm]
host = crm.example.com   # where it is
port: 443
ratio = 2.5
is_on = True
quoted = '7'
phone = 0048123
zero = 0
minus = -5
version = 1.2.3
url = http://a/b?c=d#e
empty =
env = $PORT
no_env = $MISSING
text = \"\"\"one
two\"\"\"
[[nested]]
a b = x
[other]
key = \"a # b\"
";
        assert_eq!(
            read(text).unwrap(),
            json!({
                "top": 1,
                "crm": {
                    "host": "crm.example.com", "port": 443, "ratio": 2.5, "is_on": true, "quoted": "7", "phone": "0048123",
                    "zero": 0, "minus": -5, "version": "1.2.3", "url": "http://a/b?c=d#e", "empty": "", "env": 8080,
                    "no_env": "$MISSING", "text": "one\ntwo", "nested": {"a b": "x"},
                },
                "other": {"key": "a # b"},
            })
        );
        assert_eq!(read("").unwrap(), json!({}));
        assert_eq!(read("\u{feff}[a]\r\nb = 1\r\n").unwrap(), json!({"a": {"b": 1}}));
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, line) in [
            ("[a\nb=1", 1),
            ("\n[[a]]\n", 2),
            ("a\n", 1),
            ("[a]\n= 1", 2),
            ("a = '''b\nc", 1),
            ("[a] b\n", 1),
            ("a = 1\n[a]\nb = 2", 2),
        ] {
            assert_eq!(read(text).unwrap_err().line, line, "{text}");
        }
    }
}
