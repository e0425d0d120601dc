//! Import, and what an import would do.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use busbar_model::object::{Change, ChangeSet, Placement, Record, Snapshot};
use serde::{Deserialize, Serialize};

use crate::agreement::agreed;
use crate::changes::{Applied, ChangeError, Changes, ObjectName};
use crate::enmasse::items::{Resolution, Resolved, resolve};
use crate::enmasse::plan::{Plan, Planner};
use crate::enmasse::prune::{self, Prune};
use crate::enmasse::read::Document;
use crate::problem::{Code, Problem, Problems};
use crate::registry::{Registry, SECURITY};

/// How a document is imported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Change objects that are there. Without it an import that would change one makes nothing at all; one that is there as the file
    /// describes it is no obstacle.
    pub replace: bool,
    /// Which objects are deleted because the document does not have them.
    pub prune: Prune,
    /// [`Plan::id`] of the plan that somebody agreed to: the import makes that one, or nothing. What deletes needs it.
    pub confirm: Option<String>,
    /// Leave out objects that name another one which is nowhere, a security definition first of all, instead of making nothing at all.
    pub ignore_missing_defs: bool,
    /// The part of the document that counts.
    #[serde(flatten)]
    pub only: Only,
}

/// A part of a document, or of the objects that there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Only {
    /// Only objects under these top-level keys, in any of the spellings an import takes; empty: all.
    pub keys: Vec<String>,
    /// Only objects whose name contains one of these texts; empty: all.
    pub names: Vec<String>,
}

impl Only {
    /// Whether an object of this name is in it.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|it| name.contains(it.as_str()))
    }
}

impl ImportOptions {
    /// Objects that are there are changed.
    pub fn replacing() -> Self {
        Self {
            replace: true,
            ..Self::default()
        }
    }
}

/// Imports all of `document`, or nothing.
///
/// # Errors
///
/// [`ChangeError`]; then everything is as it was.
pub async fn import(
    changes: &Arc<Changes>,
    document: Document,
    options: ImportOptions,
    who: &str,
) -> Result<Applied, ChangeError> {
    let registry = changes.registry();
    let noted = Arc::new(OnceLock::new());
    let mine = noted.clone();
    let make = move |current: &Snapshot| {
        let planner = Planner::new(registry, false, options.confirm.is_some());
        let work = Work::new(planner, &document, &options, current)?;
        work.agree(&options)?;
        // this closure is called once, so the cell is empty
        mine.get_or_init(|| (work.plan.warnings, work.files));
        Ok(work.set)
    };
    let result = changes.transact(who, make).await;
    let Some((warnings, files)) = noted.get() else {
        return result;
    };
    let mut applied = result.map_err(|error| in_files(error, files))?;
    applied.warnings.splice(0..0, warnings.iter().cloned());
    Ok(applied)
}

/// What [`import`] with replacing would do. Goes all the way but for storing and switching, so what it accepts an import accepts.
///
/// # Errors
///
/// As [`import`].
pub async fn plan(changes: &Arc<Changes>, document: &Document, options: &ImportOptions) -> Result<Plan, ChangeError> {
    let registry = changes.registry();
    let (mut plan, mut files) = (Plan::default(), HashMap::new());
    let applied = changes
        .rehearse(|current| {
            let planner = Planner::new(registry, true, true);
            let work = Work::new(planner, document, options, current)?;
            (plan, files) = (work.plan, work.files);
            Ok(work.set)
        })
        .await
        .map_err(|error| in_files(error, &files))?;
    plan.warnings.extend(applied.warnings);
    plan.services.retain(|service| !changes.has_service(service));
    Ok(plan)
}

/// What is to be done, worked out of a document and the objects that are there.
struct Work {
    plan: Plan,
    set: ChangeSet,
    /// The file that each object of the document stands in, by its name in words.
    files: HashMap<String, String>,
}

impl Work {
    fn new(
        mut planner: Planner,
        document: &Document,
        options: &ImportOptions,
        current: &Snapshot,
    ) -> Result<Self, Problems> {
        let registry = planner.registry;
        let Resolution { resolved, left_out } = resolve(registry, document, current, options)?;
        let mut mentioned: BTreeSet<ObjectName> = left_out.iter().map(|it| it.name.clone()).collect();
        let mut files = HashMap::new();
        let mut warnings: Vec<String> = left_out.into_iter().map(|it| it.problem.to_string()).collect();
        for Resolved { file, record, .. } in &resolved {
            let name = ObjectName::of(record);
            let old = current.get(&record.kind, &record.name);
            if old.is_none_or(|old| old.body != record.body) && refuses_everybody(registry, record) {
                warnings.push(format!(
                    "{name}: has no password, and refuses every caller until it is given one: by `password` in the file, or by `busbar \
                     password set`"
                ));
            }
            files.insert(name.to_string(), file.clone());
            mentioned.insert(name);
            planner.put(old, record);
        }
        let mut deletes = Vec::new();
        for record in prune::condemned(registry, document, options, current, &mentioned)? {
            planner.delete(record);
            deletes.push(Change::Delete {
                kind: record.kind.clone(),
                name: record.name.clone(),
            });
        }
        let mut plan = planner.finish();
        plan.warnings = warnings;
        let puts = resolved.into_iter().map(|it| Change::Put(it.record));
        Ok(Self {
            plan,
            // what is new may take the place of what goes
            set: ChangeSet {
                changes: deletes.into_iter().chain(puts).collect(),
            },
            files,
        })
    }

    /// Whether this is what was asked for, and agreed to.
    fn agree(&self, options: &ImportOptions) -> Result<(), Problems> {
        agreed(&self.plan.id, self.plan.delete.len(), options.confirm.as_deref())?;
        let mut problems = Problems::default();
        if !options.replace {
            for change in &self.plan.change {
                let object = change.object.to_string();
                let file = self.files.get(&object).cloned().unwrap_or_default();
                let problem = Problem::new(Code::W01, "exists already and is different");
                problems.push(problem.in_file(file).with_object(object));
            }
        }
        problems.or(())
    }
}

/// Whether it is a definition that callers need the password of, and that has none.
fn refuses_everybody(registry: Registry, record: &Record) -> bool {
    if !record.kind.starts_with(SECURITY) {
        return false;
    }
    let fields = record.body.fields();
    let is_empty = |field: &str| fields.get(field).is_some_and(|value| value.is_null() || value == "");
    // those of workers are for what is sent
    let is_for_callers = registry
        .get(&record.kind)
        .is_some_and(|it| it.placement == Placement::Hub);
    // without an expression to find a password by, none is asked for
    is_for_callers && is_empty("password") && !is_empty("password_expr")
}

/// The road on which changes are made knows objects and no files.
fn in_files(mut error: ChangeError, files: &HashMap<String, String>) -> ChangeError {
    if let ChangeError::Refused(problems) = &mut error {
        for problem in problems.0.iter_mut().filter(|it| it.file.is_empty()) {
            if let Some(file) = files.get(&problem.object) {
                problem.file.clone_from(file);
            }
        }
    }
    error
}
