//! What is wrong with a change. All of it is reported at once, not only the first thing, so that a file is mended in one go.

use std::fmt;

use busbar_model::object::FieldError;
use busbar_model::references::Target;
use busbar_model::{Error, Kind};
use serde::{Deserialize, Serialize};

/// What a problem is, for scripts. `W` and the numbers up to 13 are what enmasse of Zato calls them; from 20 on they are busbar's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// The object exists already and differs, and replacing was not asked for.
    W01,
    /// It names an object that exists neither in the file nor on the server.
    W04,
    /// A file is included more than once.
    E01,
    /// An included file is not there.
    E02,
    /// A file does not hold what it should: not UTF-8, not YAML or JSON, not the right shape.
    E03,
    /// The name or the type of an item is missing.
    E04,
    /// A field that the type requires is missing.
    E08,
    /// A security definition of a type that there is not.
    E09,
    /// A top-level key that there is not.
    E10,
    /// The name of the service is missing.
    E11,
    /// A service that was waited for has not been deployed.
    E12,
    /// The import failed although nothing is wrong with the file.
    E13,
    /// The file cannot be read.
    E20,
    /// The same object twice.
    E21,
    /// A field with a value that cannot be accepted, or a field that the type does not have.
    E22,
    /// An environment variable is not set.
    E23,
    /// An object that others use cannot be deleted.
    E24,
    /// The name belongs to another object.
    E25,
    /// An object type that there is not.
    E26,
    /// An object that there is not.
    E27,
    /// Somebody else changed the object meanwhile.
    E28,
    /// The plan that was agreed to is not the one that would be made.
    E29,
    /// Objects would be deleted, and nobody has agreed to that.
    E30,
}

impl Code {
    /// Whether it is one of Zato's warnings. An import stops because of it all the same.
    pub fn is_warning(self) -> bool {
        matches!(self, Self::W01 | Self::W04)
    }

    /// What kind of failure it is for whoever asked.
    pub fn kind(self) -> Kind {
        match self {
            Self::W01 | Self::E21 | Self::E24 | Self::E25 | Self::E28 | Self::E29 | Self::E30 => Kind::Conflict,
            Self::E27 => Kind::NotFound,
            _ => Kind::BadRequest,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What it is.
    pub code: Code,
    /// File that it stands in; empty if it came from none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The object, in words: ``channel.http `orders.in` ``, `item 3 of security`; empty if it is not about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Field of the object; empty if it is not about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// A problem that is about no object.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            file: String::new(),
            object: String::new(),
            field: String::new(),
            message: tame(message.into()),
        }
    }

    /// An object names another one that there is not.
    pub fn missing(target: &Target, name: &str) -> Self {
        Self::new(Code::W04, format!("there is no {target} `{name}`"))
    }

    /// Says in which file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = tame(file.into());
        self
    }

    /// Says with which object.
    #[must_use]
    pub fn with_object(mut self, object: impl fmt::Display) -> Self {
        self.object = tame(object.to_string());
        self
    }

    /// Says with which field.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = tame(field.into());
        self
    }

    /// As clients of the management services are told: without codes, which only files of objects have.
    pub fn said_to_clients(&self) -> String {
        if self.field.is_empty() || self.message.contains(&self.field) {
            self.message.clone()
        } else {
            format!("field `{}`: {}", self.field, self.message)
        }
    }

    /// What a type says of one of its fields.
    pub fn of_field(error: FieldError) -> Self {
        let missing = error.message.starts_with("missing field");
        let code = match (missing, error.field.as_str()) {
            (true, "service" | "service_name") => Code::E11,
            (true, _) => Code::E08,
            (false, _) => Code::E22,
        };
        let message = if missing {
            "is required".to_owned()
        } else if error.message.starts_with("unknown field") {
            "is not a field of this type".to_owned()
        } else {
            error.message
        };
        Self::new(code, message).with_field(error.field)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        if !self.field.is_empty() {
            write!(f, "field `{}`: ", self.field)?;
        }
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Most characters of what is repeated of a file.
const REPEATED_MAX: usize = 2_000;

/// A text that repeats what somebody wrote, fit for terminals and logs: in one line, without control characters, not too long.
fn tame(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(REPEATED_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    if !text.contains(char::is_control) {
        return text;
    }
    let escape = |it: char| -> String {
        if it.is_control() {
            it.escape_default().collect()
        } else {
            it.into()
        }
    };
    text.chars().map(escape).collect()
}

/// Everything that is wrong with a change; never empty when it is given back as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    ///
    /// Itself, if something is.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    /// A line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<&Problems> for Error {
    fn from(problems: &Problems) -> Self {
        let kind = problems
            .0
            .iter()
            .map(|it| it.code.kind())
            .find(|kind| *kind != Kind::Conflict)
            .unwrap_or(Kind::Conflict);
        let error = Self::new(kind, problems.to_string());
        if problems.0.iter().all(|it| it.code == Code::W01) {
            error.with_hint("add --replace to change what is there, or see what would change with --plan")
        } else {
            error.with_hint("nothing was changed; mend what is listed and try again")
        }
    }
}
