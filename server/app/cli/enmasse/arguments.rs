//! What can be typed: today's words, and those of Zato 2.0 and 3.2, hidden, so that scripts go on (operations.md 6).

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{Exit, ServerArgument};

/// Imports, exports and compares the configured objects.
#[derive(Debug, Args)]
pub struct Enmasse {
    #[command(flatten)]
    pub(super) server: ServerArgument,
    /// Make the objects of the input file, all of them or nothing.
    #[arg(long)]
    pub(super) import: bool,
    /// Write the objects down.
    #[arg(long)]
    pub(super) export: bool,
    /// Show what an import would do, and do nothing.
    #[arg(long)]
    pub(super) plan: bool,
    /// Say whether the server is as the input file says: exit code 0 if it is, 1 with a list if it is not.
    #[arg(long)]
    pub(super) check: bool,
    /// YAML or JSON file to read.
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// File to write; default: standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// With --import: change objects that are there already.
    #[arg(long, alias = "replace-odb-objects")]
    pub(super) replace: bool,
    /// Delete objects that the file does not have, of the types that it speaks of.
    #[arg(long)]
    pub(super) prune: bool,
    /// Delete objects that the file does not have, of all types.
    #[arg(long)]
    pub(super) prune_all: bool,
    /// With --import: make the plan of this id, or nothing.
    #[arg(long, value_name = "PLAN")]
    pub(super) confirm: Option<String>,
    /// With --import --prune: delete without asking.
    #[arg(long, conflicts_with = "confirm")]
    pub(super) yes: bool,
    /// With --plan: exit code 1 if there is something to do.
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
    /// Go on without included files that are not there.
    #[arg(long)]
    pub(super) ignore_missing_includes: bool,
    /// Leave out objects whose security definition is nowhere.
    #[arg(long)]
    pub(super) ignore_missing_defs: bool,
    /// With --import: how many seconds to wait for each service that is not deployed yet; then nothing is made.
    #[arg(long, value_name = "SECONDS")]
    pub(super) missing_wait_time: Option<f64>,
    /// With --import: how many seconds to wait for the server to answer.
    #[arg(long, value_name = "SECONDS")]
    pub(super) initial_wait_time: Option<f64>,
    /// File with NAME=value lines for `Zato_Enmasse_Env` references.
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
    /// Only these keys (`channel_rest`, `security`...).
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(super) include_type: Vec<String>,
    /// Only objects whose name contains this.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    pub(super) include_name: Vec<String>,
    /// With --export: write passwords and keys out.
    #[arg(long)]
    pub(super) with_secrets: bool,
    /// With --export: what to write; with others: how to answer.
    #[arg(long, value_enum)]
    pub(super) format: Option<OutputFormat>,
    /// Answer in JSON, what is wrong too.
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,

    /// 2.0 and 3.2: write the objects of the input file and of what it includes into one file.
    #[arg(long, hide = true)]
    export_local: bool,
    /// 2.0: `--export`, in JSON, into a file in the current directory.
    #[arg(long, hide = true)]
    export_odb: bool,
    /// 2.0: widths of the report's columns.
    #[arg(long = "cols_width", alias = "cols-width", value_name = "N,N", hide = true)]
    cols_width: Option<String>,
    /// 2.0 and 3.2: the server is asked through its own directory.
    #[arg(long, hide = true)]
    server_url: Option<String>,
    /// 3.2: nothing is waited for between objects, they are made at once.
    #[arg(long, hide = true)]
    rbac_sleep: Option<String>,
    /// 3.2: a file that is missing ends the command anyway.
    #[arg(long, hide = true)]
    exit_on_missing_file: bool,
    /// 3.2: `--prune-all` does what was meant.
    #[arg(long, hide = true)]
    clean_odb: bool,
    /// All commands of Zato.
    #[arg(long, hide = true)]
    verbose: bool,
    /// All commands of Zato.
    #[arg(long = "store-log", hide = true)]
    store_log: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Yaml,
    Json,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Import,
    Plan,
    Check,
    Export {
        /// The objects of the input file.
        local: bool,
        /// The objects of the server.
        stored: bool,
    },
}

impl Enmasse {
    /// What is to be done, with Zato's exit codes for what cannot be: 14 nothing, 13 too much, 12 no file to read.
    pub(super) fn action(&self) -> Result<Action, Exit> {
        let exports = self.export || self.export_local || self.export_odb;
        let action = match (self.import, self.plan, self.check, exports) {
            (false, false, false, false) => {
                return Err(Exit::new(
                    14,
                    "nothing is to be done: use one of --import, --export, --plan, --check",
                ));
            }
            (true, false, false, false) => Action::Import,
            (false, true, false, false) => Action::Plan,
            (false, false, true, false) => Action::Check,
            (false, false, false, true) => Action::Export {
                local: self.export_local,
                stored: self.export || self.export_odb,
            },
            _ => {
                return Err(Exit::new(13, "use only one of --import, --export, --plan, --check"));
            }
        };
        let reads = action
            != (Action::Export {
                local: false,
                stored: true,
            });
        if reads && self.input.is_none() {
            return Err(Exit::new(12, "no input file was named: use --input FILE"));
        }
        let prunes = self.prune || self.prune_all;
        let conflict = if !reads && self.input.is_some() {
            Some("--export writes what the server has; --export-local reads --input")
        } else if self.clean_odb {
            Some(
                "--clean-odb is no more: --prune-all deletes what the file does not have, in the same step as the rest is made",
            )
        } else if prunes && self.ignore_missing_includes {
            Some("--prune with --ignore-missing-includes would delete what is in the files that are missing")
        } else if (prunes || self.confirm.is_some()) && matches!(action, Action::Export { .. }) {
            Some("an export deletes nothing")
        } else {
            None
        };
        match conflict {
            Some(message) => Err(Exit::new(13, message)),
            None => Ok(action),
        }
    }

    /// A line for each option that does nothing any more.
    pub(super) fn notes(&self) -> Vec<&'static str> {
        [
            (
                self.server_url.is_some(),
                "--server-url does nothing: the server of the directory is asked",
            ),
            (
                self.rbac_sleep.is_some(),
                "--rbac-sleep does nothing: all objects are made in one step",
            ),
            (
                self.exit_on_missing_file,
                "--exit-on-missing-file does nothing: a missing file ends the command anyway",
            ),
            (self.verbose, "--verbose does nothing: everything is told"),
            (
                self.store_log,
                "--store-log does nothing: what was changed is in the server's log and in the ODB",
            ),
        ]
        .into_iter()
        .filter_map(|(is_used, line)| is_used.then_some(line))
        .collect()
    }

    /// Whether an export was asked for as 2.0 has it.
    pub(super) fn is_in_words_of_2_0(&self) -> bool {
        self.export_local || self.export_odb
    }

    pub(super) fn is_json(&self) -> bool {
        self.json || self.format == Some(OutputFormat::Json)
    }

    /// Widths of the report's columns, as far as they were given.
    pub(super) fn widths(&self) -> Vec<usize> {
        let texts = self.cols_width.iter().flat_map(|it| it.split(','));
        texts.filter_map(|it| it.trim().parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        arguments: Enmasse,
    }

    fn typed(text: &str) -> Enmasse {
        Typed::parse_from(["enmasse", "server1"].into_iter().chain(text.split_whitespace())).arguments
    }

    #[test]
    fn exactly_one_thing_is_done() {
        for (text, code) in [
            ("", 14),
            ("--input a", 14),
            ("--import", 12),
            ("--check", 12),
            ("--plan", 12),
            ("--export-local", 12),
            ("--import --export-odb", 13),
            ("--import --export --input a", 13),
            ("--plan --check --input a", 13),
            ("--export --input a", 13),
            ("--export --prune", 13),
            ("--import --input a --clean-odb", 13),
            ("--import --input a --prune --ignore-missing-includes", 13),
        ] {
            assert_eq!(typed(text).action().unwrap_err().code(), code, "{text}");
        }
        let export = |local, stored| Action::Export { local, stored };
        for (text, action) in [
            ("--import --input a --replace-odb-objects", Action::Import),
            ("--plan --input a --prune-all", Action::Plan),
            ("--export", export(false, true)),
            ("--export-odb", export(false, true)),
            ("--export-local --input a", export(true, false)),
            ("--export-local --export-odb --input a", export(true, true)),
        ] {
            assert_eq!(typed(text).action().unwrap(), action, "{text}");
        }
    }

    #[test]
    fn old_words_are_taken_and_those_that_do_nothing_are_told() {
        let old = "--import --input a --server-url localhost:17010 --rbac-sleep 1 --exit-on-missing-file --cols_width 30,90 \
                   --initial-wait-time 43200 --missing-wait-time 120 --ignore-missing-defs --verbose --store-log";
        let arguments = typed(old);
        assert_eq!(arguments.widths(), [30, 90]);
        assert_eq!(arguments.notes().len(), 5);
        assert_eq!(
            (arguments.initial_wait_time, arguments.missing_wait_time),
            (Some(43200.0), Some(120.0))
        );
    }
}
