//! Commands of the object types: `busbar outgoing-rest create`, `busbar security basic-auth list`... They are made out of the types'
//! schemas, so a type that is new in the registry has its commands.
//!
//! * [`options`] - the fields of a type as options, and options as fields
//! * [`secret`] - values that must not be seen on a command line
//! * [`text`] - objects as people read them

mod options;
mod secret;
mod text;

use busbar_admin::ObjectName;
use busbar_admin::control::{Pinged, Request, Response};
use busbar_admin::objects::{NewObject, ObjectEdit, ObjectView};
use busbar_connectors::ping::can_ping;
use busbar_model::object::ObjectType;
use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::cli::Exit;
use crate::cli::control::{ask, try_ask, unexpected};
use crate::directory::Directory;
use crate::registry::{TYPES, command_of};

pub use options::Field;
#[cfg(test)]
pub use options::{Shape, one_paragraph};

/// What stands in place of a server's directory in examples.
const SERVER: &str = "~/env/server1";

/// The commands of all types. Those of a type are made when they are asked for: its schema takes longer than all else that a command
/// line is made of.
pub fn commands() -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for object_type in TYPES {
        let command = command_of(object_type);
        match command.split_once(' ') {
            None => commands.push(group(command, object_type.kind)),
            Some((outer, inner)) => {
                let inner = group(inner.to_owned(), object_type.kind);
                match commands.iter_mut().find(|it| it.get_name() == outer) {
                    Some(found) => *found = std::mem::take(found).subcommand(inner),
                    None => commands.push(outer_group(outer).subcommand(inner)),
                }
            }
        }
    }
    commands
}

fn outer_group(name: &str) -> Command {
    Command::new(name.to_owned())
        .about(format!("Objects of `{name}`, a command for each type."))
        .arg_required_else_help(true)
        .subcommand_required(true)
}

/// The commands of one type, by name.
fn group(name: String, kind: &'static str) -> Command {
    Command::new(name)
        .about(format!(
            "Objects of type `{kind}`: makes, lists, shows, changes and deletes them."
        ))
        .arg_required_else_help(true)
        .subcommand_required(true)
        .defer(|command| match type_called(command.get_name()) {
            Some(object_type) => fill(command, object_type),
            None => command,
        })
}

/// The type whose command ends in this word.
fn type_called(word: &str) -> Option<&'static ObjectType> {
    TYPES
        .iter()
        .find(|it| command_of(it).split(' ').next_back() == Some(word))
}

fn fill(command: Command, object_type: &'static ObjectType) -> Command {
    let typed = command_of(object_type);
    let fields = Field::all(object_type);
    let example = |action: &str, rest: &str| format!("Example:\n  busbar {typed} {action} {SERVER}{rest}");
    let name = options::example_name(object_type);
    let of_name = format!(" --name {name}");
    let list = Command::new("list")
        .about("Lists them by name.")
        .after_help(example("list", " --json"))
        .arg(server())
        .arg(
            Arg::new("query")
                .long("query")
                .value_name("TEXT")
                .default_value("")
                .hide_default_value(true)
                .help("Only those whose names hold every word of this"),
        )
        .arg(json());
    let get = Command::new("get")
        .about("Shows one of them; passwords and keys are masked.")
        .after_help(example("get", &of_name))
        .arg(server())
        .arg(name_of(typed.as_str()))
        .arg(json());
    let create = Command::new("create")
        .about("Makes one. What is not said has its default.")
        .after_help(example("create", &options::example(object_type, &fields)))
        .arg(server())
        .arg(name_of(typed.as_str()))
        .arg(is_active())
        .args(fields.iter().flat_map(|field| field.arguments(true)))
        .arg(json());
    let edit = Command::new("edit")
        .about("Changes one. What is not said stays as it is.")
        .after_help(example("edit", &format!("{of_name} --is-active false")))
        .arg(server())
        .arg(name_of(typed.as_str()))
        .arg(is_active())
        .args(fields.iter().flat_map(|field| field.arguments(false)))
        .arg(
            Arg::new("new_name")
                .long("new-name")
                .value_name("NAME")
                .help("Its name from now on; objects that name it follow"),
        )
        .arg(expected_version())
        .arg(
            Arg::new("unset")
                .long("unset")
                .value_name("FIELD")
                .action(ArgAction::Append)
                .value_parser(options::unsettable(&fields))
                .hide_possible_values(true)
                .help("Gives a field its default again; can be repeated"),
        )
        .arg(json());
    let delete = Command::new("delete")
        .about("Deletes one. Refused while others use it.")
        .after_help(example("delete", &of_name))
        .arg(server())
        .arg(name_of(typed.as_str()))
        .arg(expected_version());
    let command = command.subcommands([create, list, get, edit, delete]);
    if !can_ping(object_type.kind) {
        return command;
    }
    command.subcommand(
        Command::new("ping")
            .about("Asks the other side whether it is there; exit code 16 if not.")
            .after_help(example("ping", &of_name))
            .arg(server())
            .arg(name_of(typed.as_str()))
            .arg(json()),
    )
}

fn server() -> Arg {
    Arg::new("server")
        .value_name("SERVER")
        .required(true)
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .help("Directory of the server, DIR/server1")
}

fn name_of(typed: &str) -> Arg {
    Arg::new("name")
        .long("name")
        .value_name("NAME")
        .required(true)
        .help(format!("Name of the {typed}"))
}

fn is_active() -> Arg {
    Arg::new("is_active")
        .long("is-active")
        .alias("is_active")
        .value_name("BOOL")
        .value_parser(BoolishValueParser::new())
        .help("Whether it is switched on")
}

fn expected_version() -> Arg {
    Arg::new("expected_version")
        .long("version")
        .value_name("N")
        .value_parser(clap::value_parser!(u64))
        .help("Only if this is its version still, as `get` showed it: nobody has changed it meanwhile")
}

fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON")
}

/// Runs the command if it is one of a type.
pub fn run(matches: &ArgMatches) -> Option<anyhow::Result<u8>> {
    let (mut word, mut rest) = matches.subcommand()?;
    let mut typed = word.to_owned();
    if TYPES.iter().any(|it| command_of(it).starts_with(&format!("{word} "))) {
        (word, rest) = rest.subcommand()?;
        typed = format!("{typed} {word}");
    }
    let object_type = TYPES.iter().find(|it| command_of(it) == typed)?;
    let (action, arguments) = rest.subcommand()?;
    Some(act(object_type, &typed, action, arguments))
}

fn act(object_type: &'static ObjectType, typed: &str, action: &str, arguments: &ArgMatches) -> anyhow::Result<u8> {
    let path: &std::path::PathBuf = arguments.get_one("server").expect("clap asks for it");
    let directory = Directory::open(path)?;
    // the one that prints nothing but that it was done
    let is_json = action != "delete" && arguments.get_flag("json");
    let object = || ObjectName {
        kind: object_type.kind.to_owned(),
        name: arguments.get_one::<String>("name").expect("clap asks for it").clone(),
    };
    let version = || arguments.get_one::<u64>("expected_version").copied();
    if action == "list" {
        let query = arguments.get_one::<String>("query").cloned().unwrap_or_default();
        let kind = object_type.kind.to_owned();
        let objects = match ask(&directory, &Request::ObjectList { kind, query })? {
            Response::Objects(objects) => objects,
            other => return Err(unexpected(&other)),
        };
        if is_json {
            println!("{}", serde_json::to_string_pretty(&objects)?);
        } else {
            print!("{}", text::table(&Field::all(object_type), &objects));
        }
        return Ok(0);
    }
    let request = match action {
        "create" | "edit" => {
            // asked before a password is: nobody likes to type one in vain
            if directory.running().is_none() {
                return Err(crate::cli::control::not_running(&directory).into());
            }
            let is_new = action == "create";
            let fields = options::given(&Field::all(object_type), arguments, is_new)?;
            let is_active = arguments.get_one::<bool>("is_active").copied();
            if is_new {
                let ObjectName { kind, name } = object();
                Request::ObjectCreate(NewObject {
                    kind,
                    name,
                    is_active: is_active.unwrap_or(true),
                    fields,
                })
            } else {
                let name = arguments.get_one::<String>("new_name").cloned();
                if name.is_none() && is_active.is_none() && fields.is_empty() {
                    return Err(Exit::new(14, "what is to be changed was not said")
                        .with_hint(format!("`busbar {typed} edit --help` lists the fields"))
                        .into());
                }
                Request::ObjectEdit {
                    object: object(),
                    edit: ObjectEdit {
                        name,
                        version: version(),
                        is_active,
                        fields,
                    },
                }
            }
        }
        "get" => Request::ObjectGet(object()),
        "ping" => return ping(&directory, object(), is_json),
        _ => Request::ObjectDelete {
            object: object(),
            version: version(),
        },
    };
    match ask(&directory, &request)? {
        Response::Object(view) if is_json => println!("{}", serde_json::to_string_pretty(&view)?),
        Response::Object(view) if action == "get" => print!("{}", text::one(&view)),
        Response::Object(ObjectView { name, version, .. }) => {
            let done = if action == "create" { "created" } else { "changed" };
            println!("{typed} `{name}` is {done}, version {version}");
        }
        Response::ObjectDeleted(applied) => {
            println!("{typed} `{}` is deleted", object().name);
            for warning in &applied.warnings {
                println!("! {warning}");
            }
        }
        other => return Err(unexpected(&other)),
    }
    Ok(0)
}

/// Says what came of a ping. With `--json` that it failed is said in JSON too.
fn ping(directory: &Directory, object: ObjectName, is_json: bool) -> anyhow::Result<u8> {
    let (answer, failure) = match try_ask(directory, &Request::ObjectPing(object))? {
        Response::Pinged(Pinged { info, response_ms }) if is_json => {
            let answer = json!({"is_success": true, "info": info, "response_ms": response_ms});
            (answer, None)
        }
        Response::Pinged(Pinged { info, response_ms }) => {
            println!("{info}\nanswered in {response_ms:.1} ms");
            return Ok(0);
        }
        Response::Failed(failure) if is_json => {
            let answer = json!({"is_success": false, "info": failure.message, "response_ms": null});
            (answer, Some(failure))
        }
        Response::Failed(failure) => return Err(Exit::from(failure).into()),
        other => return Err(unexpected(&other)),
    };
    println!("{}", serde_json::to_string_pretty(&answer)?);
    failure.map_or(Ok(0), |failure| Err(Exit::from(failure).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_commands_whose_examples_are_right() {
        for object_type in TYPES {
            let typed = command_of(object_type);
            let mut command = crate::cli::command();
            command.build();
            let mut group = &command;
            for word in typed.split(' ') {
                group = group.find_subcommand(word).unwrap_or_else(|| panic!("no {typed}"));
            }
            let actions: Vec<_> = group.get_subcommands().map(Command::get_name).collect();
            assert!(
                actions.starts_with(&["create", "list", "get", "edit", "delete"]),
                "{typed}: {actions:?}"
            );
        }
    }

    #[test]
    fn the_last_word_of_a_command_tells_its_type() {
        let mut seen = std::collections::HashSet::new();
        for object_type in TYPES {
            let command = command_of(object_type);
            let word = command.split(' ').next_back().unwrap().to_owned();
            assert!(seen.insert(word.clone()), "{word}");
        }
    }
}
