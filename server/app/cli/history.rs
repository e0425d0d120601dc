//! `busbar history` and `busbar rollback`: what objects and service files were, and the way back.

use std::fmt::Write;

use busbar_admin::ObjectName;
use busbar_admin::changes::{Moment, PastVersion, RestorePlan};
use busbar_admin::control::{Request, Response, SourceVersion};
use busbar_store::Revision;
use clap::{ArgGroup, Args};
use serde_json::Value;

use crate::cli::agree::agree;
use crate::cli::control::{ask, unexpected};
use crate::cli::{Exit, ServerArgument};
use crate::directory::Directory;
use crate::registry::{TYPES, command_of};

/// Shows what was.
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    server: ServerArgument,
    #[command(flatten)]
    object: Object,
    /// The texts that a service file had; a file `shop.py` is the module `shop`.
    #[arg(long, value_name = "MODULE", conflicts_with_all = ["object_type", "name"])]
    module: Option<String>,
    /// How many entries at most, the newest first.
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One object.
#[derive(Debug, Args)]
struct Object {
    /// The object's type, as its commands are called: `outgoing-rest`, `security basic-auth`.
    #[arg(long = "type", id = "object_type", value_name = "TYPE", requires = "name")]
    object_type: Option<String>,
    /// The object's name.
    #[arg(long, requires = "object_type")]
    name: Option<String>,
}

impl Object {
    fn named(self) -> Result<Option<ObjectName>, Exit> {
        let (Some(typed), Some(name)) = (self.object_type, self.name) else {
            return Ok(None);
        };
        let fits =
            |it: &&busbar_model::object::ObjectType| it.kind == typed || command_of(it) == typed.replace('/', " ");
        let object_type = TYPES.iter().find(fits).ok_or_else(|| {
            let known: Vec<String> = TYPES.iter().map(command_of).collect();
            Exit::new(15, format!("there is no type `{typed}`")).with_hint(format!("there are {}", known.join(", ")))
        })?;
        Ok(Some(ObjectName {
            kind: object_type.kind.to_owned(),
            name,
        }))
    }
}

impl History {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let limit = self.limit;
        let request = match (self.module, self.object.named()?) {
            (Some(module), _) => Request::SourceHistory { module },
            (None, Some(object)) => Request::History { object, limit },
            (None, None) => Request::Revisions { before: None, limit },
        };
        match ask(&directory, &request)? {
            Response::Sources(mut sources) => {
                sources.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                print(self.json, &sources, |sources| sources.iter().map(source_line).collect())
            }
            Response::History(versions) => print(self.json, &versions, |it| it.iter().map(version_lines).collect()),
            Response::Revisions(revisions) => {
                print(self.json, &revisions, |it| it.iter().map(revision_lines).collect())
            }
            other => Err(unexpected(&other)),
        }
    }
}

fn print<T: serde::Serialize>(json: bool, data: &T, text: impl Fn(&T) -> String) -> anyhow::Result<u8> {
    if json {
        println!("{}", serde_json::to_string_pretty(data)?);
    } else {
        print!("{}", text(data));
    }
    Ok(0)
}

fn source_line(source: &SourceVersion) -> String {
    let SourceVersion {
        generation,
        path,
        size,
        deployed_at,
        deployed_by,
    } = source;
    let by = deployed_by.as_ref().map(|who| format!(" by {who}")).unwrap_or_default();
    format!("generation {generation}  {deployed_at}  {size} bytes  {path}{by}\n")
}

fn version_lines(version: &PastVersion) -> String {
    let PastVersion {
        version,
        revision,
        action,
        name,
        changed_at,
        changed_by,
        changes,
    } = version;
    let mut text = format!("version {version}  {changed_at}  {action} `{name}` by {changed_by}, revision {revision}\n");
    for change in changes {
        // writing to a string cannot fail
        let _ = writeln!(
            text,
            "    {}: {} -> {}",
            change.field,
            shown(&change.old),
            shown(&change.new)
        );
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => format!("`{}`", text.escape_debug()),
        other => other.to_string(),
    }
}

fn revision_lines(revision: &Revision) -> String {
    let Revision {
        revision,
        changed_at,
        changed_by,
        count,
        objects,
    } = revision;
    let mut text = format!("revision {revision}  {changed_at}  {count} object(s) by {changed_by}\n");
    for object in objects {
        let _ = writeln!(text, "    {} `{}`", object.kind, object.name);
    }
    text
}

/// Goes back.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["module", "version", "revision", "time"]))]
pub struct Rollback {
    #[command(flatten)]
    server: ServerArgument,
    #[command(flatten)]
    object: Object,
    /// With --type and --name: the version whose fields the object is to have again, as `busbar history` shows them.
    #[arg(long, value_name = "N", requires = "object_type")]
    version: Option<u64>,
    /// A service file: the text that it had before is deployed again.
    #[arg(long, value_name = "MODULE", conflicts_with = "object_type")]
    module: Option<String>,
    /// With --module: the deployment with which the text came. Default: the one before what runs.
    #[arg(long, value_name = "N", requires = "module")]
    generation: Option<u64>,
    /// All objects become what they were after this change.
    #[arg(long, value_name = "N", conflicts_with = "object_type")]
    revision: Option<u64>,
    /// All objects become what they were then: `2026-03-01T12:00:00Z`.
    #[arg(long, value_name = "TIME", conflicts_with = "object_type")]
    time: Option<String>,
    /// With --revision and --time: only show what would become different.
    #[arg(long, conflicts_with_all = ["module", "version"])]
    plan: bool,
    /// With --revision and --time: make the plan of this id, or nothing.
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["module", "version", "plan"])]
    confirm: Option<String>,
    /// With --revision and --time: delete objects that were not there then without asking.
    #[arg(long, conflicts_with_all = ["module", "version", "plan", "confirm"])]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Rollback {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let at = match (self.revision, self.time) {
            (Some(revision), _) => Some(Moment::Revision(revision)),
            (None, time) => time.map(Moment::Time),
        };
        let request = match (self.module, at, self.object.named()?, self.version) {
            (Some(module), ..) => Request::SourceRollBack {
                module,
                generation: self.generation,
            },
            (None, Some(at), ..) if self.plan => {
                let plan = rehearse(&directory, &at)?;
                return print(self.json, &plan, |plan| plan.to_string());
            }
            (None, Some(at), ..) => {
                let mut confirm = self.confirm;
                if confirm.is_none() {
                    let plan = rehearse(&directory, &at)?;
                    if !plan.applied.deleted.is_empty() {
                        agree(&plan.applied, plan.applied.deleted.len(), &plan.id, self.yes)?;
                        confirm = Some(plan.id);
                    }
                }
                let rehearse = false;
                Request::Restore { at, confirm, rehearse }
            }
            (None, None, Some(object), Some(version)) => Request::RollBack { object, version },
            (None, None, ..) => return Err(Exit::new(14, "what is to be rolled back was not said").into()),
        };
        match ask(&directory, &request)? {
            Response::Restored(applied) => print(self.json, &applied, ToString::to_string),
            Response::Deployed(deployed) => print(self.json, &deployed, |deployed| {
                let services = deployed.services.join(", ");
                format!("generation {} serves {services}\n", deployed.generation)
            }),
            other => Err(unexpected(&other)),
        }
    }
}

/// What going back to a moment would do.
fn rehearse(directory: &Directory, at: &Moment) -> anyhow::Result<RestorePlan> {
    let request = Request::Restore {
        at: at.clone(),
        confirm: None,
        rehearse: true,
    };
    match ask(directory, &request)? {
        Response::RestorePlanned(plan) => Ok(plan),
        other => Err(unexpected(&other)),
    }
}
