//! `busbar completions`.

use std::io::Write;

use clap::Args;
use clap_complete::Shell;

/// Prints a completion script.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "busbar", &mut script);
        std::io::stdout().lock().write_all(&script)?;
        Ok(0)
    }
}
