//! What management services do with objects: one piece of code for all types.

use std::time::Duration;

use busbar_model::bearer_token::{self, SecurityBearerToken};
use busbar_model::object::{Object, ObjectType, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::crypto;
use busbar_runtime::inbound::builtin;
use serde_json::{Map, Value};

use crate::changes::ObjectName;
use crate::management::answer::{Answer, Page};
use crate::management::catalogue::{Declared, Operation};
use crate::management::change::{Step, change};
use crate::management::element::NOTHING_CHOSEN;
use crate::management::wire::{Numbers, to_element, to_elements, to_fields};
use crate::management::{Call, Management};
use crate::objects::{NewObject, ObjectEdit};
use crate::problem::{Code, Problem};
use crate::registry::{Fields, SECURITY};

/// How many objects a page holds unless the request says otherwise, and at most.
const PAGE_SIZE: (usize, usize) = (50, 1_000);

/// Random bits of a password that nobody chose.
const PASSWORD_BITS: usize = 256;

/// The field that `change-password` sets.
const PASSWORD: &str = "password";

/// How long whoever is pinged may take.
pub const PING_LIMIT: Duration = Duration::from_secs(15);

const CHANNEL: &str = "channel.http";
const OUTGOING: &str = "outgoing.http";
const JSON_RPC: &str = "zato.channel.json-rpc.";

/// What a service of the catalogue does with objects, if it is one of those.
pub fn operation(service: &Declared) -> Option<Operation> {
    match service.name.strip_prefix(JSON_RPC) {
        Some("get-list") => Some(Operation::List),
        Some("get") => Some(Operation::Get),
        Some("create") => Some(Operation::Create),
        Some("edit") => Some(Operation::Edit),
        Some("delete") => Some(Operation::Delete),
        _ => service.operation,
    }
}

/// The objects that a call is about.
struct Subject {
    /// Their types: one, unless a list or an id may mean several.
    types: Vec<&'static ObjectType>,
    is_json_rpc: bool,
}

impl Subject {
    fn of(management: &Management, operation: Operation, call: &Call<'_>) -> Result<Self, Error> {
        let registry = management.changes().registry();
        let kinds = call.service.kinds.iter();
        let mut types: Vec<_> = kinds.filter_map(|kind| registry.get(kind)).collect();
        let is_meant = |kind: &str| call.service.kinds.iter().any(|it| it == kind);
        if is_meant(OUTGOING) && is_meant(CHANNEL) {
            let direction = match call.text("connection") {
                Some("channel") => "channel.",
                Some("outgoing") => "outgoing.",
                None | Some("") => "",
                Some(_) => {
                    let problem = Problem::new(Code::E22, "must be `channel` or `outgoing`");
                    return Err(refused(problem.with_field("connection")));
                }
            };
            types.retain(|it| it.kind.starts_with(direction));
        }
        if operation == Operation::Create && is_meant(SecurityBearerToken::KIND) {
            let is_token = bearer_token::are_fields(&call.input);
            types.retain(|it| (it.kind == SecurityBearerToken::KIND) == is_token);
        }
        Ok(Self {
            types,
            is_json_rpc: call.service.name.starts_with(JSON_RPC),
        })
    }

    fn type_of(&self, record: &Record) -> Option<&'static ObjectType> {
        let object_type = self.types.iter().copied().find(|it| it.kind == record.kind)?;
        let is_gateway = || {
            record
                .body
                .get("service")
                .is_some_and(|service| service == builtin::JSON_RPC)
        };
        (!self.is_json_rpc || is_gateway()).then_some(object_type)
    }

    /// The one type that something new is of.
    fn only(&self) -> Result<&'static ObjectType, Error> {
        match self.types[..] {
            [only] => Ok(only),
            _ => Err(refused(
                Problem::new(Code::E08, "Element missing: connection").with_field("connection"),
            )),
        }
    }

    /// The enmasse key whose items look like these requests.
    fn key(&self, object_type: &ObjectType, call: &Call<'_>) -> &'static str {
        let is_soap = call.text("transport") == Some("soap");
        match object_type.kind {
            CHANNEL if self.is_json_rpc => "channel_json_rpc",
            CHANNEL if is_soap => "channel_soap",
            CHANNEL => "channel_plain_http",
            OUTGOING if is_soap => "outconn_soap",
            OUTGOING => "outconn_plain_http",
            _ => {
                let is_old = |key: &&&str| key.starts_with("def_") || key.starts_with("outconn_");
                let keys = object_type.enmasse_keys;
                keys.iter().find(is_old).or(keys.first()).copied().unwrap_or_default()
            }
        }
    }

    /// The object that a request means, by its id, or by its name where it gives none.
    fn record<'a>(&self, call: &Call<'_>, numbers: &Numbers<'a>, snapshot: &'a Snapshot) -> Result<&'a Record, Error> {
        let id = call.input.get("id").filter(|id| **id != NOTHING_CHOSEN);
        match (id, call.text("name")) {
            (Some(Value::Number(id)), _) => {
                let record = numbers.record("", id.as_u64().unwrap_or_default())?;
                if self.type_of(record).is_some() {
                    return Ok(record);
                }
                let message = format!("the object with the id {id} is a {}", record.kind);
                Err(Error::new(Kind::NotFound, message))
            }
            (None, Some(name)) if !name.is_empty() => {
                let mut types = self.types.iter();
                types
                    .find_map(|it| {
                        snapshot
                            .get(it.kind, name)
                            .filter(|record| self.type_of(record).is_some())
                    })
                    .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no object `{name}` of this type")))
            }
            (Some(_), _) => {
                let problem = Problem::new(Code::E22, "must be the number of an object");
                Err(refused(problem.with_field("id")))
            }
            _ => Err(refused(Problem::new(Code::E08, "Element missing: id").with_field("id"))),
        }
    }
}

fn refused(problem: Problem) -> Error {
    Error::new(problem.code.kind(), problem.said_to_clients())
}

/// Runs an operation.
///
/// # Errors
///
/// What is wrong with the request, or with the change that it asks for. Then nothing was changed.
pub async fn run(management: &Management, operation: Operation, call: &Call<'_>) -> Result<Answer, Error> {
    let subject = Subject::of(management, operation, call)?;
    match operation {
        Operation::List => list(management, &subject, call).await,
        Operation::Get => get(management, &subject, call).await,
        Operation::Create => create(management, &subject, call).await,
        Operation::Edit => edit(management, &subject, call).await,
        Operation::Delete => delete(management, &subject, call).await,
        Operation::ChangePassword => change_password(management, &subject, call).await,
        Operation::Ping => ping(management, &subject, call).await,
    }
}

async fn list(management: &Management, subject: &Subject, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let filters: Vec<(&str, &Value)> = call
        .input
        .iter()
        .filter(|(name, value)| is_filter(call.service, name) && **value != "" && **value != NOTHING_CHOSEN)
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let query = call.text("query").unwrap_or_default();
    let declared = &call.service.output;
    let element = |record: &Record, name: &str| {
        let fields = subject.type_of(record).map(Fields::of).unwrap_or_default();
        to_element(fields, declared, record, &numbers, name)
    };
    let is_wanted = |record: &&Record| {
        let mut filters = filters.iter();
        has_words(&record.name, query) && filters.all(|(name, wanted)| fits(element(record, name).as_ref(), wanted))
    };
    let of_types = subject.types.iter().flat_map(|it| snapshot.of_kind(it.kind));
    let of_types = of_types.filter(|it| subject.type_of(it).is_some());
    let records = sorted(of_types.filter(is_wanted).collect(), call, element)?;
    // of a long list only what is shown is made
    page_of(&records, call, |record| {
        let fields = subject.type_of(record).map(Fields::of).unwrap_or_default();
        to_elements(fields, declared, record, &numbers)
    })
}

/// Whether an input of a list chooses among its objects: an element of them too.
fn is_filter(service: &Declared, name: &str) -> bool {
    // the two that say which list it is
    !["cluster_id", "connection"].contains(&name)
        && !name.starts_with("needs_")
        && service.input.iter().any(|it| it.name == name)
        && service.output.iter().any(|it| it.name == name)
}

/// Whether an element is what a filter wants, or among what it wants.
fn fits(value: Option<&Value>, wanted: &Value) -> bool {
    let as_text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let value = value.map(as_text).unwrap_or_default();
    match wanted {
        Value::Array(several) => several.is_empty() || several.iter().any(|it| as_text(it) == value),
        one => as_text(one) == value,
    }
}

/// Whether a name holds every word of a query, in any case.
pub fn has_words(name: &str, query: &str) -> bool {
    let name = name.to_lowercase();
    query.split_whitespace().all(|word| name.contains(&word.to_lowercase()))
}

/// Objects in the order that the request asks for with `sort_by`, an element's name, a minus before it for the other way round.
/// `element` gives an element of one.
fn sorted<'r>(
    records: Vec<&'r Record>,
    call: &Call<'_>,
    element: impl Fn(&Record, &str) -> Option<Value>,
) -> Result<Vec<&'r Record>, Error> {
    let wanted = call.text("sort_by").filter(|text| !text.is_empty()).unwrap_or("name");
    let (name, is_reversed) = match wanted.strip_prefix('-') {
        Some(name) => (name, true),
        None => (wanted, false),
    };
    let key = |record: &Record| {
        if name == "name" {
            return Some((0.0, record.name.to_lowercase()));
        }
        let value = element(record, name)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
        Some((value.as_f64().unwrap_or_default(), text))
    };
    let keyed: Option<Vec<_>> = records.into_iter().map(|record| Some((key(record)?, record))).collect();
    let Some(mut keyed) = keyed else {
        let message = format!("there is no element `{name}` to sort by");
        return Err(refused(Problem::new(Code::E22, message).with_field("sort_by")));
    };
    keyed.sort_by(|((number, text), _), ((other_number, other_text), _)| {
        let order = number.total_cmp(other_number).then_with(|| text.cmp(other_text));
        if is_reversed { order.reverse() } else { order }
    });
    Ok(keyed.into_iter().map(|(_, record)| record).collect())
}

/// Which page of `total` objects the request asks for, if it asks for one.
fn page(call: &Call<'_>, total: usize) -> Result<Option<Page>, Error> {
    if call.input.get("paginate").is_none_or(|value| *value != true) {
        return Ok(None);
    }
    let number = |name: &str, default: usize, most: usize| match call.input.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => match value.as_u64().and_then(|it| usize::try_from(it).ok()) {
            Some(number) if (1..=most).contains(&number) => Ok(number),
            _ => {
                let message = format!("must be a number from 1 to {most}");
                Err(refused(Problem::new(Code::E22, message).with_field(name)))
            }
        },
    };
    Ok(Some(Page {
        size: number("page_size", PAGE_SIZE.0, PAGE_SIZE.1)?,
        number: number("cur_page", 1, u32::MAX as usize)?,
        total,
    }))
}

/// The page of a list that the request asks for, or the list if it asks for none. `shown` makes what is on it, and nothing else.
///
/// # Errors
///
/// The number of the page, or its size, is none.
pub fn page_of<T>(all: &[T], call: &Call<'_>, shown: impl Fn(&T) -> Map<String, Value>) -> Result<Answer, Error> {
    let page = page(call, all.len())?;
    let on_it = page.as_ref().map_or(all, |page| page.of(all));
    Ok(Answer::Many(on_it.iter().map(shown).collect(), page))
}

async fn get(management: &Management, subject: &Subject, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let record = subject.record(call, &numbers, &snapshot)?;
    Ok(one(subject, call, record, &numbers))
}

fn one(subject: &Subject, call: &Call<'_>, record: &Record, numbers: &Numbers<'_>) -> Answer {
    let fields = subject.type_of(record).map(Fields::of).unwrap_or_default();
    let is_edited = !matches!(operation(call.service), Some(Operation::Get));
    let mut values = to_elements(fields, &call.service.output, record, numbers);
    if is_edited {
        // whoever made or changed something is told no more than what the service declares
        values.retain(|name, _| call.service.output.iter().any(|it| it.name == *name));
    }
    Answer::One(values)
}

async fn create(management: &Management, subject: &Subject, call: &Call<'_>) -> Result<Answer, Error> {
    let object_type = subject.only()?;
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let mut fields = fields(subject, object_type, call, &numbers)?;
    if object_type.kind.starts_with(SECURITY)
        && !fields.contains_key(PASSWORD)
        && object_type.secrets().iter().any(|secret| secret == PASSWORD)
    {
        // until somebody sets one
        fields.insert(PASSWORD.to_owned(), crypto::random_text(PASSWORD_BITS).into());
    }
    let name = name_of(object_type, call, &fields)?;
    let object = NewObject {
        kind: object_type.kind.to_owned(),
        name: name.clone(),
        is_active: is_active(call).unwrap_or(true),
        fields,
    };
    change(management, call, Step::Create(object)).await?;
    let created = ObjectName {
        kind: object_type.kind.to_owned(),
        name,
    };
    shown(management, subject, call, &created).await
}

/// The object as it is now, in the service's own elements.
async fn shown(
    management: &Management,
    subject: &Subject,
    call: &Call<'_>,
    object: &ObjectName,
) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let record = snapshot
        .get(&object.kind, &object.name)
        .ok_or_else(|| Error::new(Kind::NotFound, format!("{object} was deleted meanwhile")))?;
    Ok(one(subject, call, record, &numbers))
}

fn fields(
    subject: &Subject,
    object_type: &'static ObjectType,
    call: &Call<'_>,
    numbers: &Numbers<'_>,
) -> Result<Map<String, Value>, Error> {
    let key = subject.key(object_type, call);
    to_fields(object_type, key, &call.service.input, call.input.clone(), numbers).map_err(refused)
}

/// What an edit changes: an empty value stands for the default where the field has one, and for the secret that there is.
fn edited(object_type: &'static ObjectType, call: &Call<'_>, mut given: Map<String, Value>) -> Map<String, Value> {
    let fields = Fields::of(object_type);
    given.retain(|name, value| !(fields.is_secret(name) && *value == ""));
    for element in &call.service.input {
        let name = element.name.as_str();
        let is_empty = call.input.get(name).is_some_and(|value| *value == "");
        if is_empty && fields.has(name) && !fields.is_secret(name) && !given.contains_key(name) {
            let default = fields.default_value(name);
            if !default.is_null() {
                given.insert(name.to_owned(), default.clone());
            }
        }
    }
    given
}

/// The version that a change was made from, from clients that say so.
fn version(call: &Call<'_>) -> Option<u64> {
    call.input.get("version").and_then(Value::as_u64)
}

fn is_active(call: &Call<'_>) -> Option<bool> {
    call.input.get("is_active").and_then(Value::as_bool)
}

/// The name of something new. What has none of its own is named after what it connects.
fn name_of(object_type: &ObjectType, call: &Call<'_>, fields: &Map<String, Value>) -> Result<String, Error> {
    if let Some(name) = call.text("name") {
        return Ok(name.to_owned());
    }
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    match object_type.kind {
        "rbac_role_permission" => Ok(format!(
            "{}:::{}:::{}",
            text("role"),
            text("service"),
            text("permission")
        )),
        "rbac_client_role" => Ok(format!("{}:::{}", text("client_def"), text("role"))),
        _ => Err(refused(
            Problem::new(Code::E08, "Element missing: name").with_field("name"),
        )),
    }
}

async fn edit(management: &Management, subject: &Subject, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let record = subject.record(call, &numbers, &snapshot)?;
    let object_type = subject
        .type_of(record)
        .ok_or_else(|| Error::new(Kind::Internal, "an object lost its type"))?;
    let fields = edited(object_type, call, fields(subject, object_type, call, &numbers)?);
    let edit = ObjectEdit {
        name: call.text("name").map(str::to_owned),
        version: version(call),
        is_active: is_active(call),
        fields,
    };
    change(management, call, Step::Edit(record, edit)).await?;
    let mut object = ObjectName::of(record);
    if let Some(name) = call.text("name") {
        object.name = name.to_owned();
    }
    shown(management, subject, call, &object).await
}

async fn delete(management: &Management, subject: &Subject, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let record = match subject.record(call, &numbers, &snapshot) {
        Err(error)
            if error.kind() == Kind::NotFound
                && call.input.get("should_raise_if_missing").and_then(Value::as_bool) == Some(false) =>
        {
            return Ok(Answer::Done);
        }
        record => record?,
    };
    if call.text("current_tech_account_name") == Some(&record.name) {
        return Err(Error::new(Kind::Conflict, "the account that asks cannot be deleted"));
    }
    change(management, call, Step::Delete(record, version(call))).await?;
    Ok(Answer::Done)
}

async fn change_password(management: &Management, subject: &Subject, call: &Call<'_>) -> Result<Answer, Error> {
    let password = |name: &str| call.text(name).unwrap_or_default();
    let (first, second) = (password("password1"), password("password2"));
    if first.is_empty() {
        let problem = Problem::new(Code::E08, "Password must not be empty");
        return Err(refused(problem.with_field("password1")));
    }
    if second.is_empty() {
        let problem = Problem::new(Code::E08, "Password must be repeated");
        return Err(refused(problem.with_field("password2")));
    }
    if first != second {
        let problem = Problem::new(Code::E22, "Passwords need to be the same");
        return Err(refused(problem.with_field("password2")));
    }
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let record = subject.record(call, &numbers, &snapshot)?;
    let edit = ObjectEdit {
        fields: Map::from_iter([(PASSWORD.to_owned(), first.into())]),
        ..ObjectEdit::default()
    };
    change(management, call, Step::Edit(record, edit)).await?;
    if call.service.output.is_empty() {
        Ok(Answer::Done)
    } else {
        Ok(Answer::One(Map::from_iter([("id".to_owned(), record.id.into())])))
    }
}

async fn ping(management: &Management, subject: &Subject, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let record = subject.record(call, &numbers, &snapshot)?;
    let result = busbar_connectors::ping::ping(record, &snapshot, PING_LIMIT).await;
    // 3.2 asks for a result in words instead of a failure
    let may_fail = call.service.output.iter().any(|it| it.name == "is_success")
        || call.input.get("should_raise_on_error").is_some_and(|it| *it == false);
    let (info, response_time, is_success) = match result {
        Ok(ping) => (ping.info.clone(), ping.response_time(), true),
        Err(error) if may_fail => (error.chain(), String::new(), false),
        // why is what a ping is for
        Err(error) => return Err(Error::new(error.kind(), error.chain())),
    };
    let mut values = Map::new();
    for element in &call.service.output {
        let value: Value = match element.name.as_str() {
            "id" => record.id.into(),
            "info" => info.clone().into(),
            "response_time" => response_time.clone().into(),
            "is_success" => is_success.into(),
            _ => continue,
        };
        values.insert(element.name.clone(), value);
    }
    Ok(Answer::One(values))
}
