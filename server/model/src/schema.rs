//! The JSON schemas of object types. Making one takes longer than checking an object by it, so each is made once.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use schemars::JsonSchema;
use serde_json::Value;

/// The schema of a type.
pub(crate) fn of<T: JsonSchema + 'static>() -> &'static Value {
    static SCHEMAS: LazyLock<RwLock<HashMap<TypeId, &'static Value>>> = LazyLock::new(RwLock::default);
    let id = TypeId::of::<T>();
    let known = SCHEMAS.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
    known.unwrap_or_else(|| {
        let mut all = SCHEMAS.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(id).or_insert_with(|| {
            let schema = serde_json::to_value(schemars::schema_for!(T)).expect("a JSON schema is JSON");
            // as many as there are types, for as long as the process runs
            Box::leak(Box::new(schema))
        })
    })
}
