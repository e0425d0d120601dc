//! Files to items: includes followed, environment filled in. Runs where the files are, in the command line's process.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::enmasse::tree;
use crate::problem::{Code, Problem, Problems};

/// Most files that one import may consist of.
const FILES_MAX: usize = 1_000;

/// A value that is replaced as a whole, or in braces a part of one.
const ENV_VALUE: &str = "Zato_Enmasse_Env.";

/// A variable that fills in one field of one item: `Zato_Enmasse_Env_<key>_<name>_<field>`.
const ENV_FIELD: &str = "Zato_Enmasse_Env_";

/// Top-level key with the files to read as well.
const INCLUDE: &str = "include";

/// The items of a file and of everything that it includes, in their order, with nothing left to look up but the types.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Document {
    /// The items.
    pub items: Vec<Item>,
    /// The top-level keys that have a list, be it an empty one.
    #[serde(default)]
    pub keys: BTreeSet<String>,
}

/// One item under one top-level key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// File that it stands in.
    pub file: String,
    /// Top-level key that it stands under.
    pub key: String,
    /// Its place under that key in that file, from 1.
    pub position: usize,
    /// Its fields, `name` and `type` among them.
    pub fields: Map<String, Value>,
}

impl Item {
    /// The item in words, for messages.
    pub fn describe(&self) -> String {
        match self.fields.get("name") {
            Some(Value::String(name)) if !name.is_empty() => format!("{} `{name}`", self.key),
            _ => format!("item {} of {}", self.position, self.key),
        }
    }
}

/// How files are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The environment that `Zato_Enmasse_Env` refers to.
    pub env: BTreeMap<String, String>,
    /// Go on without files that are included but not there.
    pub ignore_missing_includes: bool,
}

impl ReadOptions {
    /// The environment of this process.
    pub fn from_env() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            env: std::env::vars_os().filter_map(text).collect(),
            ..Self::default()
        }
    }

    /// Adds the variables of an environment file: `NAME=value` lines, with comments (`#`, `;`), section headers and quotes around values
    /// allowed. They win over the process's own.
    ///
    /// # Errors
    ///
    /// The number of a line that is none of this.
    pub fn add_env_file(&mut self, text: &str) -> Result<(), usize> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) || (line.starts_with('[') && line.ends_with(']')) {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(index + 1)?;
            let (name, value) = (name.trim(), value.trim());
            let name = name.strip_prefix("export ").map_or(name, str::trim);
            let quoted = ['"', '\'']
                .iter()
                .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
            self.env.insert(name.to_owned(), quoted.unwrap_or(value).to_owned());
        }
        Ok(())
    }
}

impl Document {
    /// Reads a file and everything that it includes.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of the files.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self, Problems> {
        let mut reader = Reader::new(options);
        match load(path) {
            Ok((canonical, bytes)) => {
                reader.seen.insert(canonical);
                reader.file(&path.display().to_string(), path.parent(), &bytes);
            }
            Err(error) => {
                let name = path.display().to_string();
                reader
                    .problems
                    .push(Problem::new(Code::E20, format!("cannot be read: {error}")).in_file(name));
            }
        }
        reader.finish(&path.display().to_string())
    }

    /// Reads a text that is not a file of this machine; it cannot include any.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Self, Problems> {
        let mut reader = Reader::new(options);
        reader.file(name, None, bytes);
        reader.finish(name)
    }
}

struct Reader<'a> {
    options: &'a ReadOptions,
    seen: BTreeSet<PathBuf>,
    items: Vec<Item>,
    keys: BTreeSet<String>,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn new(options: &'a ReadOptions) -> Self {
        Self {
            options,
            seen: BTreeSet::new(),
            items: Vec::new(),
            keys: BTreeSet::new(),
            problems: Problems::default(),
        }
    }

    fn finish(mut self, name: &str) -> Result<Document, Problems> {
        if self.items.is_empty() && self.keys.is_empty() && self.problems.0.is_empty() {
            self.refuse(name, Code::E03, "there is nothing in it to import");
        }
        fill_in_fields(&mut self.items, &self.options.env);
        let mut missing = Vec::new();
        for item in &mut self.items {
            let at = (item.file.clone(), item.describe());
            for (field, value) in &mut item.fields {
                substitute(value, &self.options.env, &mut |name| {
                    missing.push((at.clone(), field.clone(), name.to_owned()))
                });
            }
        }
        for ((file, object), field, name) in missing {
            let message = format!("environment variable `{name}` is not set");
            self.problems.push(
                Problem::new(Code::E23, message)
                    .in_file(file)
                    .with_object(object)
                    .with_field(field),
            );
        }
        let (items, keys) = (self.items, self.keys);
        self.problems.or(Document { items, keys })
    }

    /// Takes in one file; `dir` is where its includes are looked for.
    fn file(&mut self, name: &str, dir: Option<&Path>, bytes: &[u8]) {
        let tree = match tree::parse(name, bytes) {
            Ok(Value::Object(tree)) => tree,
            Ok(Value::Null) => return self.refuse(name, Code::E03, "is empty"),
            Ok(_) => {
                return self.refuse(
                    name,
                    Code::E03,
                    "must hold keys like `security` and `channel_rest`, each with a list",
                );
            }
            Err(message) => return self.refuse(name, Code::E03, message),
        };
        for (key, value) in tree {
            match value {
                _ if key == INCLUDE => self.includes(name, dir, value),
                Value::Array(values) => {
                    self.keys.insert(key.clone());
                    for (index, value) in values.into_iter().enumerate() {
                        self.item(name, dir, &key, index + 1, value);
                    }
                }
                // a key whose items were all commented out
                Value::Null => {}
                _ => self.refuse(
                    name,
                    Code::E03,
                    format!("`{key}` must be a list, its items beginning with `- name: `"),
                ),
            }
        }
    }

    fn item(&mut self, file: &str, dir: Option<&Path>, key: &str, position: usize, value: Value) {
        match value {
            Value::Object(fields) => {
                self.items.push(Item {
                    file: file.to_owned(),
                    key: key.to_owned(),
                    position,
                    fields,
                });
            }
            Value::String(text) if text.starts_with("file://") => {
                let Some((name, _, bytes)) = self.included(file, dir, &text["file://".len()..]) else {
                    return;
                };
                match tree::parse(&name, &bytes) {
                    Ok(Value::Object(fields)) => self.items.push(Item {
                        file: name,
                        key: key.to_owned(),
                        position,
                        fields,
                    }),
                    Ok(_) => self.refuse(&name, Code::E03, "must hold the fields of one object"),
                    Err(message) => self.refuse(&name, Code::E03, message),
                }
            }
            _ => self.refuse(
                file,
                Code::E03,
                format!("item {position} of `{key}` must hold fields, like `name: ...`"),
            ),
        }
    }

    fn includes(&mut self, file: &str, dir: Option<&Path>, value: Value) {
        let texts: Option<Vec<String>> = match value {
            Value::String(one) => Some(vec![one]),
            Value::Array(several) => several.into_iter().map(|it| it.as_str().map(str::to_owned)).collect(),
            Value::Null => return,
            _ => None,
        };
        let Some(texts) = texts else {
            return self.refuse(file, Code::E03, "`include` must be a list of file names");
        };
        for text in texts {
            let text = text.strip_prefix("file://").unwrap_or(&text);
            if let Some((name, dir, bytes)) = self.included(file, dir, text) {
                self.file(&name, dir.as_deref(), &bytes);
            }
        }
    }

    /// An included file: its name for messages, its directory, what is in it. Looked for beside the file that includes it, then in the
    /// current directory.
    fn included(&mut self, from: &str, dir: Option<&Path>, name: &str) -> Option<(String, Option<PathBuf>, Vec<u8>)> {
        let Some(dir) = dir else {
            self.refuse(from, Code::E02, format!("`{name}` cannot be included here"));
            return None;
        };
        let beside = dir.join(name);
        let path = if beside.exists() || !Path::new(name).exists() {
            beside
        } else {
            PathBuf::from(name)
        };
        if self.seen.len() >= FILES_MAX {
            self.refuse(from, Code::E03, format!("includes more than {FILES_MAX} files"));
            return None;
        }
        match load(&path) {
            Ok((canonical, bytes)) => {
                if !self.seen.insert(canonical) {
                    self.refuse(from, Code::E01, format!("`{name}` is included more than once"));
                    return None;
                }
                Some((path.display().to_string(), path.parent().map(Path::to_owned), bytes))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.options.ignore_missing_includes => None,
            Err(error) => {
                self.refuse(
                    from,
                    Code::E02,
                    format!("included file `{name}` cannot be read: {error}"),
                );
                None
            }
        }
    }

    fn refuse(&mut self, file: &str, code: Code, message: impl Into<String>) {
        self.problems.push(Problem::new(code, message).in_file(file));
    }
}

/// Where a file really is, and what is in it.
fn load(path: &Path) -> std::io::Result<(PathBuf, Vec<u8>)> {
    let canonical = path.canonicalize()?;
    let mut bytes = Vec::new();
    std::fs::File::open(&canonical)?
        .take(tree::SIZE_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > tree::SIZE_MAX {
        return Err(std::io::Error::other(format!(
            "it is larger than {} MB",
            tree::SIZE_MAX >> 20
        )));
    }
    Ok((canonical, bytes))
}

/// Sets fields that are absent or null and that have a variable of their own.
fn fill_in_fields(items: &mut [Item], env: &BTreeMap<String, String>) {
    let plain = |text: &str| -> String {
        text.chars()
            .map(|it| {
                if it.is_ascii_alphanumeric() {
                    it.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .collect()
    };
    let variables: Vec<_> = env
        .iter()
        .filter_map(|(name, value)| Some((plain(name.strip_prefix(ENV_FIELD)?), value)))
        .collect();
    if variables.is_empty() {
        return;
    }
    let prefixes: Vec<_> = items
        .iter()
        .map(|it| {
            format!(
                "{}_{}_",
                plain(&it.key),
                plain(it.fields.get("name").and_then(Value::as_str).unwrap_or_default())
            )
        })
        .collect();
    for (variable, value) in variables {
        // `shop_x_password` may be field `x_password` of `shop` or field `password` of `shop x`: the longer name is meant
        let best = (0..items.len())
            .filter(|index| variable.len() > prefixes[*index].len() && variable.starts_with(&prefixes[*index]))
            .max_by_key(|index| prefixes[*index].len());
        if let Some(index) = best {
            let field = items[index]
                .fields
                .entry(variable[prefixes[index].len()..].to_owned())
                .or_insert(Value::Null);
            if field.is_null() {
                *field = Value::String(value.clone());
            }
        }
    }
}

/// Replaces what refers to the environment in every text of `value`. What a variable holds is not looked at again.
fn substitute(value: &mut Value, env: &BTreeMap<String, String>, missing: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => {
            if let Some(replaced) = substitute_text(text, env, missing) {
                *text = replaced;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| substitute(it, env, missing)),
        Value::Object(fields) => fields.values_mut().for_each(|it| substitute(it, env, missing)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn substitute_text(text: &str, env: &BTreeMap<String, String>, missing: &mut dyn FnMut(&str)) -> Option<String> {
    let mut look_up = |name: &str| {
        env.get(name).cloned().unwrap_or_else(|| {
            missing(name);
            String::new()
        })
    };
    if let Some(name) = text.strip_prefix(ENV_VALUE) {
        return Some(look_up(name));
    }
    let opening = format!("{{{ENV_VALUE}");
    let mut rest = text;
    let mut replaced = String::new();
    let mut any = false;
    while let Some(start) = rest.find(&opening) {
        let Some(length) = rest[start..].find('}') else { break };
        replaced.push_str(&rest[..start]);
        replaced.push_str(&look_up(&rest[start + opening.len()..start + length]));
        rest = &rest[start + length + 1..];
        any = true;
    }
    any.then(|| replaced + rest)
}
