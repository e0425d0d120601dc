//! Passwords and keys: read from standard input, a terminal or an environment variable, never from the command line, where every user of
//! the machine and the shell's history would see them.

use std::io::IsTerminal;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::objects::Field;
use crate::cli::terminal::unseen_line;

/// The options of a secret field.
pub fn arguments(field: &Field) -> Vec<Arg> {
    let option = field.option();
    vec![
        Arg::new(from_stdin(field))
            .long(format!("{option}-stdin"))
            .action(ArgAction::SetTrue)
            .conflicts_with(from_variable(field))
            .help(format!(
                "{} Read from standard input; typed without being shown if that is a terminal.",
                field.description
            )),
        Arg::new(from_variable(field))
            .long(format!("{option}-env"))
            .value_name("VARIABLE")
            .help("The same, out of an environment variable"),
    ]
}

fn from_stdin(field: &Field) -> String {
    format!("{}/stdin", field.name)
}

fn from_variable(field: &Field) -> String {
    format!("{}/env", field.name)
}

/// What the options say it is. One that must be there and is not named is asked for, if somebody is there to answer.
pub fn value(field: &Field, matches: &ArgMatches, is_new: bool) -> Result<Option<Value>, Exit> {
    if let Some(variable) = matches.get_one::<String>(&from_variable(field)) {
        let value = std::env::var(variable)
            .map_err(|_| Exit::new(12, format!("the environment variable `{variable}` is not set")))?;
        return Ok(Some(json!(value)));
    }
    if matches.get_flag(&from_stdin(field)) {
        return read(field).map(Some);
    }
    if !(is_new && field.is_required) {
        return Ok(None);
    }
    if std::io::stdin().is_terminal() {
        return read(field).map(Some);
    }
    let option = field.option();
    Err(
        Exit::new(29, format!("`{}` was not said", field.name)).with_hint(format!(
            "use --{option}-stdin or --{option}-env VARIABLE; it is not taken from the command line"
        )),
    )
}

fn read(field: &Field) -> Result<Value, Exit> {
    match unseen_line(&format!("{}: ", field.name)) {
        Ok(Some(line)) => Ok(json!(line)),
        Ok(None) => Err(Exit::new(12, format!("standard input ended before `{}`", field.name))),
        Err(error) => Err(Exit::new(
            12,
            format!("cannot read `{}` from standard input: {error}", field.name),
        )),
    }
}
