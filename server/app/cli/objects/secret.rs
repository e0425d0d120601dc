//! Passwords and keys: read from standard input, a terminal or an environment variable, never from the command line, where every user of
//! the machine and the shell's history would see them.

use std::io::{BufRead, IsTerminal, Write};
use std::os::fd::AsRawFd;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::objects::Field;

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

/// A line of standard input, without its end.
fn read(field: &Field) -> Result<Value, Exit> {
    let stdin = std::io::stdin();
    let hidden = Hidden::new(&stdin);
    if hidden.is_some() {
        eprint!("{}: ", field.name);
        std::io::stderr().flush().ok();
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if hidden.is_some() {
        eprintln!();
    }
    match read {
        Ok(0) => Err(Exit::new(12, format!("standard input ended before `{}`", field.name))),
        Ok(_) => Ok(json!(line.trim_end_matches(['\n', '\r']))),
        Err(error) => Err(Exit::new(
            12,
            format!("cannot read `{}` from standard input: {error}", field.name),
        )),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden {
    descriptor: i32,
    before: libc::termios,
}

impl Hidden {
    /// `None` if it is not a terminal.
    fn new(stdin: &std::io::Stdin) -> Option<Self> {
        let descriptor = stdin.as_raw_fd();
        // SAFETY: a structure of numbers, for which zero is a value
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and the pointer is to a live value
        if unsafe { libc::tcgetattr(descriptor, &raw mut before) } != 0 {
            return None;
        }
        let mut silent = before;
        silent.c_lflag &= !libc::ECHO;
        // SAFETY: as above
        unsafe { libc::tcsetattr(descriptor, libc::TCSANOW, &raw const silent) };
        Some(Self { descriptor, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // SAFETY: as above
        unsafe { libc::tcsetattr(self.descriptor, libc::TCSANOW, &raw const self.before) };
    }
}
