//! How often who may call, as users write it: lines such as `10.0.0.0/8=100/m` (http.md 10).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::network::Network;
use crate::object::FieldError;

/// Lines, of which the first that matches a caller counts. Callers that no line matches are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateLimits(Vec<RateLimit>);

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// Whom it is for; `None`: everybody.
    pub from: Option<Network>,
    /// How often, all callers of this line together; `None`: as often as they like.
    pub quota: Option<Quota>,
}

/// So many calls in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Calls.
    pub calls: u32,
    /// The window, by the calendar in UTC.
    pub window: Window,
}

/// A stretch of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
}

impl Window {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
        }
    }
}

impl RateLimit {
    /// Whether it is for a caller from this address.
    pub fn is_for(&self, address: IpAddr) -> bool {
        self.from.is_none_or(|network| network.contains(address))
    }

    fn parse(from: &str, limit: &str) -> Result<Self, ParseRateLimitError> {
        let from = match from {
            "*" => None,
            text => Some(Network::try_from(text.to_owned()).map_err(|error| ParseRateLimitError(error.to_string()))?),
        };
        let (calls, unit) = match limit.split_once('/') {
            Some((calls, unit)) => (calls.trim(), Some(unit.trim())),
            None => (limit.trim(), None),
        };
        let window = match unit.map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("m" | "minute") => Some(Window::Minute),
            Some("h" | "hour") => Some(Window::Hour),
            Some("d" | "day") => Some(Window::Day),
            Some(other) => return Err(ParseRateLimitError(format!("`{other}` is none of `m`, `h` and `d`"))),
        };
        if calls == "*" {
            return Ok(Self { from, quota: None });
        }
        let number = calls.parse().ok().filter(|calls| *calls > 0);
        let Some(calls) = number else {
            return Err(ParseRateLimitError(format!(
                "`{calls}` is neither a number of calls, 1 or more, nor `*`"
            )));
        };
        let Some(window) = window else {
            return Err(ParseRateLimitError(
                "a limit needs its unit: `/m`, `/h` or `/d`".to_owned(),
            ));
        };
        Ok(Self {
            from,
            quota: Some(Quota { calls, window }),
        })
    }
}

impl RateLimits {
    /// The lines, in order.
    pub fn lines(&self) -> &[RateLimit] {
        &self.0
    }

    /// What [`crate::object::Object::check`] of every object with limits asks for: limits that are switched on are there.
    pub fn check(&self, is_active: bool) -> Result<(), FieldError> {
        if is_active && self.0.is_empty() {
            let message = "must have a line such as `*=100/m` when rate limiting is on";
            return Err(FieldError::new("rate_limit_def", message));
        }
        Ok(())
    }
}

/// A line could not be understood.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}; a rate limit reads `*=100/m`, `10.0.0.1=5/h` or `10.0.0.0/8=*`")]
pub struct ParseRateLimitError(String);

impl FromStr for RateLimit {
    type Err = ParseRateLimitError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let (from, limit) = line
            .split_once('=')
            .ok_or_else(|| ParseRateLimitError(format!("there is no `=` in `{line}`")))?;
        Self::parse(from.trim(), limit.trim())
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Some(network) => write!(f, "{network}=")?,
            None => f.write_str("*=")?,
        }
        match self.quota {
            Some(Quota { calls, window }) => write!(f, "{calls}/{}", window.letter()),
            None => f.write_str("*"),
        }
    }
}

impl FromStr for RateLimits {
    type Err = ParseRateLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            line.fmt(f)?;
        }
        Ok(())
    }
}

impl Serialize for RateLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RateLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads text, a list of lines, or a list of objects.
struct Reader;

/// A line whose parts are fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default = "everybody")]
    from: String,
    limit: Limit,
    #[serde(default)]
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Limit {
    Number(u32),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    Fields(Fields),
}

fn everybody() -> String {
    "*".to_owned()
}

impl<'de> Visitor<'de> for Reader {
    type Value = RateLimits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lines such as `*=100/m`, or a list of `from`, `limit` and `unit`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RateLimits, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RateLimits, A::Error> {
        let mut lines = Vec::new();
        while let Some(line) = items.next_element::<Line>()? {
            let line = match line {
                Line::Text(text) => text.parse(),
                Line::Fields(Fields { from, limit, unit }) => {
                    let mut limit = match limit {
                        Limit::Number(number) => number.to_string(),
                        Limit::Text(text) => text,
                    };
                    if let Some(unit) = unit {
                        limit = format!("{limit}/{unit}");
                    }
                    RateLimit::parse(from.trim(), &limit)
                }
            };
            lines.push(line.map_err(de::Error::custom)?);
        }
        Ok(RateLimits(lines))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_read_and_written() {
        let limits: RateLimits = " 10.0.0.1=5/h\n\n192.168.0.0/16 = 10/M\n*=*".parse().unwrap();
        assert_eq!(limits.to_string(), "10.0.0.1/32=5/h\n192.168.0.0/16=10/m\n*=*");
        assert_eq!(limits.to_string().parse::<RateLimits>().unwrap(), limits);
        assert!(limits.lines()[2].is_for("1.2.3.4".parse().unwrap()));
        assert!(!limits.lines()[1].is_for("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn objects_say_the_same() {
        let text: RateLimits = serde_json::from_value(json!("10.0.0.0/8=5/m\n*=*")).unwrap();
        let objects = json!([{"from": "10.0.0.0/8", "limit": 5, "unit": "minute"}, {"limit": "*"}]);
        assert_eq!(serde_json::from_value::<RateLimits>(objects).unwrap(), text);
        assert_eq!(
            serde_json::from_value::<RateLimits>(json!(["10.0.0.0/8=5/m", "*=*"])).unwrap(),
            text
        );
        assert_eq!(serde_json::to_value(&text).unwrap(), json!("10.0.0.0/8=5/m\n*=*"));
    }

    #[test]
    fn what_is_no_limit_is_refused_in_words() {
        for text in [
            "100/m",
            "*=100",
            "*=0/m",
            "*=-1/m",
            "*=5/s",
            "x=5/m",
            "10.0.0.0/33=5/m",
            "*=5000000000/d",
            "*=",
        ] {
            let error = text.parse::<RateLimits>().unwrap_err().to_string();
            assert!(error.ends_with("`10.0.0.0/8=*`"), "{error}");
        }
        assert!(RateLimits::default().check(true).is_err() && RateLimits::default().check(false).is_ok());
    }
}
