//! What somebody types and nobody is to see.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsRawFd;

/// A line of standard input, without its end; `None`: there is none any more. A terminal shows `prompt`, and not what is typed.
pub fn unseen_line(prompt: &str) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    let hidden = if stdin.is_terminal() {
        eprint!("{prompt}");
        io::stderr().flush()?;
        Some(Hidden::new(&stdin)?)
    } else {
        None
    };
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if hidden.is_some() {
        eprintln!();
    }
    Ok((read? > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden {
    descriptor: i32,
    before: libc::termios,
}

impl Hidden {
    fn new(stdin: &io::Stdin) -> io::Result<Self> {
        let descriptor = stdin.as_raw_fd();
        // SAFETY: a structure of numbers, for which zero is a value
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and the pointer is to a live value
        if unsafe { libc::tcgetattr(descriptor, &raw mut before) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut silent = before;
        silent.c_lflag &= !libc::ECHO;
        // SAFETY: as above
        if unsafe { libc::tcsetattr(descriptor, libc::TCSAFLUSH, &raw const silent) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { descriptor, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // SAFETY: as above
        unsafe { libc::tcsetattr(self.descriptor, libc::TCSAFLUSH, &raw const self.before) };
    }
}
