//! The management services that there are to be: their names, what they take and give (management.md 6), in tables that stand beside
//! this file.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::management::element::Element;

/// A service as the catalogue has it.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// The kinds of the objects that it is about; of several the input says which is meant.
    pub kinds: Vec<String>,
    /// What it does with them; `None`: something of its own.
    pub operation: Option<Operation>,
    /// What it takes.
    pub input: Vec<Element>,
    /// What it gives.
    pub output: Vec<Element>,
    /// Whether it gives a list.
    pub is_repeated: bool,
    /// What its answer stands in.
    pub response_element: String,
}

/// What is done with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Lists them.
    List,
    /// Shows one.
    Get,
    /// Makes one.
    Create,
    /// Changes one.
    Edit,
    /// Deletes one.
    Delete,
    /// Sets the secret of one.
    ChangePassword,
    /// Tries out whether what one describes can be reached.
    Ping,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// With blanks between.
    #[serde(default)]
    kind: String,
    operation: Option<Operation>,
    #[serde(default)]
    input: String,
    #[serde(default)]
    output: String,
    #[serde(default)]
    repeated: bool,
    response_element: Option<String>,
    /// The versions of Zato that have it, for readers; `busbar`: none.
    #[serde(rename = "since")]
    _since: String,
    #[serde(rename = "until")]
    _until: Option<String>,
}

const FILES: [&str; 14] = [
    include_str!("catalogue/busbar.toml"),
    include_str!("catalogue/cache.toml"),
    include_str!("catalogue/channel.toml"),
    include_str!("catalogue/common.toml"),
    include_str!("catalogue/email.toml"),
    include_str!("catalogue/general.toml"),
    include_str!("catalogue/http.toml"),
    include_str!("catalogue/kvdb.toml"),
    include_str!("catalogue/outgoing.toml"),
    include_str!("catalogue/rbac.toml"),
    include_str!("catalogue/security.toml"),
    include_str!("catalogue/server.toml"),
    include_str!("catalogue/service.toml"),
    include_str!("catalogue/stats.toml"),
];

/// Every service of the catalogue, by name.
pub static CATALOGUE: LazyLock<HashMap<String, Declared>> = LazyLock::new(|| {
    let mut catalogue = HashMap::new();
    for file in FILES {
        let file: File = toml::from_str(file).expect("a test has read every file of the catalogue");
        for row in file.service {
            let declared = declare(row).expect("a test has read every row of the catalogue");
            catalogue.insert(declared.name.clone(), declared);
        }
    }
    for get in gets(&catalogue) {
        catalogue.entry(get.name.clone()).or_insert(get);
    }
    catalogue
});

/// A service for each list of objects that shows one of them as the list does. Zato has such services for a few types only.
fn gets(catalogue: &HashMap<String, Declared>) -> Vec<Declared> {
    let lists = catalogue.values().filter(|it| it.operation == Some(Operation::List));
    let get = |list: &Declared| {
        let (family, _) = list.name.rsplit_once('.')?;
        let name = format!("{family}.get");
        Some(Declared {
            response_element: element_of(&name, "response"),
            name,
            operation: Some(Operation::Get),
            input: Element::parse_all("cluster_id? id? name?").expect("elements in the notation"),
            is_repeated: false,
            ..list.clone()
        })
    };
    lists.filter_map(get).collect()
}

fn declare(row: Row) -> Result<Declared, String> {
    Ok(Declared {
        response_element: row
            .response_element
            .unwrap_or_else(|| element_of(&row.name, "response")),
        input: Element::parse_all(&row.input)?,
        output: Element::parse_all(&row.output)?,
        name: row.name,
        kinds: row.kind.split_whitespace().map(str::to_owned).collect(),
        operation: row.operation,
        is_repeated: row.repeated,
    })
}

/// The element that a service's request or answer stands in: `zato_ping_response`.
pub fn element_of(service: &str, suffix: &str) -> String {
    format!("{}_{suffix}", service.replace(['.', '-'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_read() {
        let mut names = std::collections::HashSet::new();
        for file in FILES {
            for row in toml::from_str::<File>(file).unwrap().service {
                assert!(names.insert(row.name.clone()), "{} is there twice", row.name);
                declare(row).unwrap();
            }
        }
    }

    #[test]
    fn answers_stand_in_elements_named_after_their_services() {
        assert_eq!(CATALOGUE["zato.ping"].response_element, "zato_ping_response");
        let odd = &CATALOGUE["zato.service.get-request-response"];
        assert_eq!(odd.response_element, "zato_service_request_response_response");
        assert!(CATALOGUE["zato.service.get-list"].is_repeated);
    }
}
