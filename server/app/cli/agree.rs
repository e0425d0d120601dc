//! Plans that delete, and whether somebody wants that.

use std::fmt::Display;
use std::io::{BufRead, IsTerminal, Write};

use crate::cli::Exit;

/// Shows a plan that deletes `count` objects, and asks, unless `yes` says so already. Where nobody can be asked, the error says how to
/// agree to the plan by its `id`.
pub fn agree(plan: &impl Display, count: usize, id: &str, yes: bool) -> anyhow::Result<()> {
    eprint!("{plan}");
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Exit::new(
            15,
            format!("{count} objects would be deleted, and nobody has agreed to that"),
        )
        .with_hint(format!(
            "look at the plan above; if it is right, run this again with --confirm {id}"
        ))
        .into());
    }
    eprint!("Delete {count} objects? Type `yes`: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        Err(Exit::new(15, "nothing was changed").into())
    }
}
