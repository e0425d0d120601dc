//! How a command ends: an exit code that scripts can use, a line of what went wrong, and the way out.

use std::fmt;

/// Exit codes and what they mean (operations.md 2).
pub const CODES: &[(u8, &str)] = &[
    (0, "it worked"),
    (1, "a comparison found a difference"),
    (2, "a file or directory is missing, or cannot be read"),
    (3, "the directory is not a server's"),
    (5, "the directory is not empty"),
    (9, "the server runs already"),
    (10, "the server does not run"),
    (12, "there is no input"),
    (13, "options contradict each other"),
    (14, "what to do was not said"),
    (15, "the input, or an argument, cannot be accepted"),
    (
        16,
        "anything else went wrong; a service that was invoked has failed; `busbar doctor` found a problem",
    ),
    (18, "the server did not start"),
    (28, "the server took too long"),
    (29, "a required argument is missing"),
];

/// The table, for `busbar --help`.
pub fn table() -> String {
    let lines = CODES.iter().map(|(code, meaning)| format!("  {code:>2}  {meaning}\n"));
    format!("Exit codes:\n{}", lines.collect::<String>())
}

/// An error of a command with its exit code, one of [`CODES`].
#[derive(Debug)]
pub struct Exit {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Exit {
    /// Ends the command with `code`.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// The way out.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

impl From<busbar_model::Error> for Exit {
    fn from(error: busbar_model::Error) -> Self {
        use busbar_model::Kind;
        let code = match error.kind() {
            Kind::BadRequest | Kind::Config | Kind::Conflict | Kind::Service => 15,
            _ => 16,
        };
        Self {
            code,
            message: error.chain(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

/// The exit code for arguments that clap refuses.
pub fn usage_code(kind: clap::error::ErrorKind) -> u8 {
    use clap::error::ErrorKind;
    match kind {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        ErrorKind::ArgumentConflict => 13,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => 14,
        ErrorKind::MissingRequiredArgument => 29,
        _ => 15,
    }
}
