//! The reference pages in `docs/reference`, written out of the definitions: of the commands, of the object types and of the management
//! services. A page that is not what the definitions say fails these tests.

use std::fmt::Write;
use std::path::Path;

use busbar_admin::management::element::Element;
use busbar_admin::management::served;
use busbar_model::object::ObjectType;
use clap::{Arg, Command};

use super::exit::CODES;
use super::objects::{Field, Shape, one_paragraph};
use crate::registry::{TYPES, command_of};

/// Set to write the pages anew.
const UPDATE: &str = "UPDATE_GOLDEN";

const GENERATED: &str =
    "<!-- Written by `UPDATE_GOLDEN=1 cargo test --bin busbar reference`; what is changed by hand is lost. -->\n";

fn compare(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(page);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = found
        .lines()
        .zip(text.lines())
        .position(|(found, expected)| found != expected);
    assert!(
        found == text,
        "docs/reference/{page} is stale from line {:?} on: run `{UPDATE}=1 cargo test --bin busbar reference`",
        line.map(|line| line + 1)
    );
}

#[test]
fn the_page_of_commands_is_what_they_are() {
    let mut page = format!("# Commands\n\n{GENERATED}\n");
    page.push_str(
        "`busbar COMMAND --help` says the same on a terminal. [Working from a shell](../commands.md) tells how they go together.\n\n",
    );
    let mut all = super::command();
    all.build();
    let of_objects: Vec<String> = TYPES.iter().map(command_of).collect();
    let is_of_objects = |name: &str| {
        of_objects
            .iter()
            .any(|command| command == name || command.starts_with(&format!("{name} ")))
    };
    for command in all
        .get_subcommands()
        .filter(|it| !it.is_hide_set() && it.get_name() != "help")
    {
        if !is_of_objects(command.get_name()) {
            describe(&mut page, "busbar", command);
        }
    }
    page.push_str("## Objects\n\nEvery object type has the commands `create`, `list`, `get`, `edit` and `delete`, and those with another side to ask `ping`. The options of `create` and `edit` ");
    page.push_str(
        "are the [fields of the type](objects.md), with hyphens: `--url-path` sets `url_path`. Those of one type:\n\n",
    );
    let example = all.find_subcommand("outgoing-rest").unwrap();
    for action in example.get_subcommands().filter(|it| it.get_name() != "help") {
        describe(&mut page, "busbar outgoing-rest", action);
    }
    page.push_str("## Exit codes\n\n| Code | Meaning |\n| ---: | --- |\n");
    for (code, meaning) in CODES {
        writeln!(page, "| {code} | {meaning} |").unwrap();
    }
    compare("cli.md", &page);
}

#[test]
fn the_page_of_services_is_what_they_are() {
    let mut page = format!("# Management services\n\n{GENERATED}\n");
    page.push_str(
        "How they are called is in [Management](../management.md). A question mark stands behind what need not be there. Lists take `query`, `sort_by` (an element, with a minus for the other way round), `paginate`, `cur_page` and `page_size` too.\n",
    );
    let elements = |elements: &[Element]| {
        let element = |it: &Element| format!("`{}`{}", it.name, if it.is_required { "" } else { "?" });
        elements.iter().map(element).collect::<Vec<_>>().join(", ")
    };
    let mut family = "";
    for service in served() {
        let (before, _) = service.name.rsplit_once('.').unwrap();
        if before != family {
            family = before;
            writeln!(
                page,
                "\n## `{family}`\n\n| Service | Takes | Gives |\n| --- | --- | --- |"
            )
            .unwrap();
        }
        let gives = elements(&service.output);
        let gives = if service.is_repeated {
            format!("a list of {gives}")
        } else {
            gives
        };
        writeln!(page, "| `{}` | {} | {gives} |", service.name, elements(&service.input)).unwrap();
    }
    compare("services.md", &page);
}

fn describe(page: &mut String, before: &str, command: &Command) {
    let name = format!("{before} {}", command.get_name());
    let level = "#".repeat(name.split(' ').count());
    writeln!(page, "{level} `{name}`\n").unwrap();
    let about = command.get_long_about().or_else(|| command.get_about());
    writeln!(
        page,
        "{}\n",
        one_paragraph(&about.map(ToString::to_string).unwrap_or_default())
    )
    .unwrap();
    let aliases: Vec<_> = command
        .get_visible_aliases()
        .map(|alias| format!("`busbar {alias}`"))
        .collect();
    if !aliases.is_empty() {
        writeln!(page, "Also: {}.\n", aliases.join(", ")).unwrap();
    }
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|it| !it.is_hide_set() && !says_something_of_itself(it))
        .collect();
    if !arguments.is_empty() {
        page.push_str("| Argument | Meaning |\n| --- | --- |\n");
        for argument in arguments {
            writeln!(page, "| {} | {} |", typed(argument), cell(&meaning(argument))).unwrap();
        }
        page.push('\n');
    }
    if let Some(example) = command.get_after_help() {
        let text = example.to_string();
        let lines = text.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap_or(line));
        writeln!(page, "```sh\n{}\n```\n", lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
    for inner in command
        .get_subcommands()
        .filter(|it| it.get_name() != "help" && !it.is_hide_set())
    {
        describe(page, &name, inner);
    }
}

/// Whether it is `--help` or the `--version` of the program, which every command has.
fn says_something_of_itself(argument: &Arg) -> bool {
    use clap::ArgAction::{Help, HelpLong, HelpShort, Version};
    matches!(argument.get_action(), Help | HelpLong | HelpShort | Version)
}

fn typed(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_num_args().is_none_or(|count| count.takes_values()))
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    match (argument.get_short(), argument.get_long(), value) {
        (short, Some(long), value) => {
            let short = short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            format!("{short}`--{long}{value}`")
        }
        (_, None, value) => format!("`{}`", value.unwrap_or_else(|| argument.get_id().to_string())),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut text = one_paragraph(&help.map(ToString::to_string).unwrap_or_default());
    let default: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|it| it.to_string_lossy())
        .collect();
    let takes_values = argument.get_num_args().is_none_or(|count| count.takes_values());
    if takes_values && !argument.is_hide_default_value_set() && default.iter().any(|it| !it.is_empty()) {
        let end = if text.ends_with('.') { "" } else { "." };
        write!(text, "{end} Default: `{}`.", default.join(" ")).unwrap();
    }
    let choices: Vec<_> = argument
        .get_possible_values()
        .into_iter()
        .filter(|it| !it.is_hide_set())
        .collect();
    if takes_values && !argument.is_hide_possible_values_set() && !choices.is_empty() {
        let choices: Vec<_> = choices.iter().map(|it| format!("`{}`", it.get_name())).collect();
        let end = if text.ends_with(['.', ']']) { "" } else { "." };
        write!(text, "{end} One of {}.", choices.join(", ")).unwrap();
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_page_of_objects_is_what_the_types_are() {
    let mut page = format!("# Objects\n\n{GENERATED}\n");
    page.push_str("What can be configured: each type with its fields, as they stand in [enmasse](../enmasse.md) files, in the answers of `busbar ");
    page.push_str("TYPE get --json`, and as options of `busbar TYPE create` and `edit`. Every object has a `name` and `is_active` besides.\n\n");
    for object_type in TYPES {
        let name = command_of(object_type);
        let anchor = name.replace(' ', "-");
        writeln!(page, "* [`{name}`](#{anchor})").unwrap();
    }
    for object_type in TYPES {
        describe_type(&mut page, object_type);
    }
    compare("objects.md", &page);
}

fn describe_type(page: &mut String, object_type: &ObjectType) {
    let command = command_of(object_type);
    let schema = (object_type.schema)();
    let about = one_paragraph(schema["description"].as_str().unwrap_or_default());
    writeln!(page, "\n## `{command}`\n\n{about}\n").unwrap();
    let keys: Vec<_> = object_type.enmasse_keys.iter().map(|key| format!("`{key}`")).collect();
    write!(
        page,
        "Kind `{}`; in enmasse files below {}",
        object_type.kind,
        keys.join(" or ")
    )
    .unwrap();
    if let Some(of_key) = object_type.enmasse_type {
        write!(page, " with `type: {of_key}`").unwrap();
    }
    page.push_str(".\n\n");
    let fields = Field::all(object_type);
    if !fields.is_empty() {
        page.push_str("| Field | Takes | Default | Meaning |\n| --- | --- | --- | --- |\n");
    }
    for field in &fields {
        let default = match (field.is_required, field.shown_default()) {
            (true, _) => "**required**".to_owned(),
            (false, Some(_)) if field.default == "" => "empty".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let secret = if field.is_secret {
            " Never shown; encrypted in the database."
        } else {
            ""
        };
        writeln!(
            page,
            "| `{}` | {} | {} | {}{secret} |",
            field.name,
            cell(&takes(&field.shape)),
            cell(&default),
            cell(&field.description)
        )
        .unwrap();
    }
    let mut all = super::command();
    all.build();
    let mut group = &all;
    for word in command.split(' ') {
        group = group.find_subcommand(word).unwrap();
    }
    page.push_str("\n```sh\n");
    for action in group.get_subcommands().filter(|it| it.get_name() != "help") {
        let example = action.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in example.lines().skip(1) {
            writeln!(page, "{}", line.trim_start()).unwrap();
        }
    }
    page.push_str("```\n");
}

/// What a field takes, in a word or two.
fn takes(shape: &Shape) -> String {
    let word = match shape {
        Shape::Text => "text",
        Shape::Integer => "whole number",
        Shape::Number => "number",
        Shape::Boolean => "true or false",
        Shape::List => "list of texts",
        Shape::Json => "object",
        Shape::Choice(choices) => {
            let quoted = |(value, _): &(String, String)| match value.as_str() {
                "" => "empty".to_owned(),
                value => format!("`{value}`"),
            };
            return choices.iter().map(quoted).collect::<Vec<_>>().join(", ");
        }
    };
    word.to_owned()
}

/// Words of a line of a shell, without what stands behind a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut is_open) = (Vec::new(), String::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => (quote, is_open) = (Some(letter), true),
            (None, ' ') => {
                if is_open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            (None, '#' | '>' | '|') if word.is_empty() => return words,
            (None, letter) => word.push(letter),
        }
    }
    if is_open || !word.is_empty() {
        words.push(word);
    }
    words
}

fn for_each_command(command: &Command, see: &mut impl FnMut(&Command)) {
    see(command);
    for inner in command
        .get_subcommands()
        .filter(|it| it.get_name() != "help" && !it.is_hide_set())
    {
        for_each_command(inner, see);
    }
}

#[test]
fn every_command_has_an_example_that_is_right() {
    let mut all = super::command();
    all.build();
    let mut count = 0;
    for_each_command(&all, &mut |command| {
        let has_arguments = command.get_subcommands().all(|it| it.get_name() == "help");
        let name = command.get_bin_name().unwrap_or_default();
        let Some(help) = command.get_after_help() else {
            assert!(!has_arguments, "{name} has no example");
            return;
        };
        for line in help.to_string().lines() {
            let line = line.trim().replace("export BUSBAR_ODB_KEY=$(", "");
            if !line.starts_with("busbar ") {
                continue;
            }
            let words = words(line.trim_end_matches(')'));
            if let Err(error) = super::command().try_get_matches_from(&words) {
                panic!("{line}\n{error}");
            }
            count += 1;
        }
    });
    assert!(count > 100, "{count}");
}
