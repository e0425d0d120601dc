//! Service files, for editors (management.md 6.17): those of the pickup directory and no others. Files are written by the road that all
//! deployments take.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use busbar_dispatch::deploy::{module_of, read_source};
use busbar_model::{Error, Kind};
use busbar_runtime::inbound::builtin;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::deploy::failed;
use super::service::named;
use super::{Row, object, wrong};
use crate::control::check_file_name;
use crate::management::answer::Answer;
use crate::management::{Call, Management};

/// How deep folders are looked through.
const MAX_DEPTH: usize = 32;

pub const TABLE: &[Row] = &[
    ("zato.service.ide.get-service", |management, call| {
        Box::pin(service(management, call))
    }),
    ("zato.service.ide.get-file", |management, call| {
        Box::pin(file(management, call))
    }),
    ("zato.service.ide.get-file-list", |management, _| {
        Box::pin(list(management))
    }),
    ("zato.service.ide.create-file", |management, call| {
        Box::pin(create(management, call))
    }),
    ("zato.service.ide.delete-file", |management, call| {
        Box::pin(delete(management, call))
    }),
    ("zato.service.ide.rename-file", |management, call| {
        Box::pin(rename(management, call))
    }),
];

/// Where a file of the pickup directory is, or may be.
struct Place {
    /// Below the pickup directory, with slashes.
    name: String,
    path: PathBuf,
}

impl Place {
    /// The place of a path, which is a whole one or one below the pickup directory. `element`: what the request names it in.
    fn of(pickup: &Path, path: &Path, element: &str) -> Result<Self, Error> {
        let below = path.strip_prefix(pickup).unwrap_or(path);
        if below.is_absolute() {
            return Err(wrong(element, "must be in the pickup directory"));
        }
        let name = below.to_str().unwrap_or_default();
        check_file_name(name).map_err(|_| {
            wrong(
                element,
                "must be a Python file of the pickup directory, or of its folders",
            )
        })?;
        let mut path = pickup.to_owned();
        for part in name.split('/') {
            path.push(part);
            // one that is not there yet leads nowhere
            if std::fs::symlink_metadata(&path).is_ok_and(|it| it.is_symlink()) {
                return Err(wrong(element, "must not lead over a link"));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            path,
        })
    }

    /// The place that a request names by one element, or by that of a folder and that of a file in it.
    fn asked(management: &Management, call: &Call<'_>, folder: Option<&str>, element: &str) -> Result<Self, Error> {
        let folder = Path::new(folder.and_then(|it| call.text(it)).unwrap_or_default());
        let file = call.text(element).unwrap_or_default();
        Self::of(management.parts().deployments.pickup_dir(), &folder.join(file), element)
    }

    fn exists(&self) -> bool {
        self.path.exists()
    }

    /// How its path is told.
    fn shown(&self) -> Map<String, Value> {
        let path = self.path.to_string_lossy();
        let url_safe = utf8_percent_encode(&path, NON_ALPHANUMERIC).to_string();
        object(json!({"full_path": path, "full_path_url_safe": url_safe}))
    }

    /// Its text.
    fn read(&self, pickup: &Path) -> Result<String, Error> {
        let text = read_source(&self.path, Some(pickup))?.text;
        String::from_utf8(text).map_err(|error| {
            let message = format!("`{}` is not in UTF-8", self.name);
            Error::new(Kind::Conflict, message)
                .with_hint("zato.service.get-source-info gives it as base64")
                .with_source(error)
        })
    }
}

/// Refuses whoever may not deploy files.
fn check_may_deploy(management: &Management, call: &Call<'_>) -> Result<(), Error> {
    if call.may_have_called(management, builtin::UPLOAD, true) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Forbidden,
        "your roles do not allow you to deploy files",
    ))
}

/// The services of each module, by name.
struct Served(HashMap<String, Vec<String>>);

impl Served {
    fn now(management: &Management) -> Self {
        let mut modules: HashMap<String, Vec<String>> = HashMap::new();
        for service in management.parts().services.list() {
            modules.entry(service.module).or_default().push(service.name);
        }
        for names in modules.values_mut() {
            names.sort_unstable();
        }
        Self(modules)
    }

    /// Those of a file.
    fn of(&self, place: &Place, pickup: &Path) -> &[String] {
        let module = module_of(&place.path, pickup);
        module.and_then(|module| self.0.get(&module)).map_or(&[], Vec::as_slice)
    }
}

async fn service(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = named(management, call.text("name").unwrap_or_default())?;
    let source = management.parts().deployments.source(service.module).await?;
    let Some(source) = source else {
        let message = format!("service `{}` is a part of busbar and has no file", service.name);
        return Err(Error::new(Kind::NotFound, message));
    };
    let pickup = management.parts().deployments.pickup_dir();
    let place = Place::of(pickup, Path::new(&source.path), "name")?;
    let mut answer = object(json!({"name": service.name, "data": place.read(pickup)?}));
    answer.extend(place.shown());
    Ok(Answer::One(answer))
}

async fn file(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let place = Place::asked(management, call, None, "fs_location")?;
    let pickup = management.parts().deployments.pickup_dir();
    let mut answer = place.shown();
    answer.extend(object(json!({
        "data": place.read(pickup)?,
        "services": Served::now(management).of(&place, pickup),
    })));
    Ok(Answer::One(answer))
}

async fn list(management: &Management) -> Result<Answer, Error> {
    let pickup = management.parts().deployments.pickup_dir();
    let directory = pickup.to_owned();
    let found = tokio::task::spawn_blocking(move || files(&directory)).await;
    let found = found
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| Error::new(Kind::Config, format!("cannot read `{}`", pickup.display())).with_source(error))?;
    let served = Served::now(management);
    let item = |path: &PathBuf| {
        // what cannot be deployed is no service file
        let place = Place::of(pickup, path, "file_name").ok()?;
        let mut item = object(json!({
            "root_directory": pickup.to_string_lossy(),
            "file_name": place.name,
            "services": served.of(&place, pickup),
        }));
        item.extend(place.shown());
        Some(item)
    };
    Ok(Answer::Many(found.iter().filter_map(item).collect(), None))
}

/// Every file below a directory, sorted; links are not followed.
fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![(directory.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if depth > 0 && error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

async fn create(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    check_may_deploy(management, call)?;
    let place = Place::asked(management, call, Some("root_directory"), "file_name")?;
    refuse_taken(&place)?;
    let data = call.text("data").unwrap_or_default();
    let deployments = &management.parts().deployments;
    let deployed = deployments
        .deploy(place.name.clone(), data.into(), &call.caller)
        .await
        .map_err(|failure| failed(&failure))?;
    let mut answer = place.shown();
    answer.extend(object(json!({
        "data": data,
        "generation": deployed.generation,
        "services": deployed.services,
    })));
    Ok(Answer::One(answer))
}

async fn delete(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    check_may_deploy(management, call)?;
    let place = Place::asked(management, call, None, "fs_location")?;
    refuse_missing(&place)?;
    let deployments = &management.parts().deployments;
    let deployed = match module_of(&place.path, deployments.pickup_dir()) {
        Some(module) => deployments.source(module).await?,
        None => None,
    };
    match deployed.filter(|it| Path::new(&it.path) == place.path) {
        Some(source) => deployments.remove(source.module).await?,
        // it could not be deployed
        None => std::fs::remove_file(&place.path).map_err(|error| {
            Error::new(Kind::Config, format!("cannot remove `{}`", place.path.display())).with_source(error)
        })?,
    }
    Ok(Answer::One(place.shown()))
}

async fn rename(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    check_may_deploy(management, call)?;
    let old = Place::asked(management, call, Some("root_directory"), "current_file_name")?;
    let new = Place::asked(management, call, Some("root_directory"), "new_file_name")?;
    refuse_missing(&old)?;
    refuse_taken(&new)?;
    let deployments = &management.parts().deployments;
    let deployed = deployments
        .rename(old.name, new.name.clone(), &call.caller)
        .await
        .map_err(|failure| failed(&failure))?;
    let mut answer = new.shown();
    answer.extend(object(
        json!({"generation": deployed.generation, "services": deployed.services}),
    ));
    Ok(Answer::One(answer))
}

fn refuse_taken(place: &Place) -> Result<(), Error> {
    if !place.exists() {
        return Ok(());
    }
    let message = format!("there is a file `{}` already", place.name);
    Err(Error::new(Kind::Conflict, message).with_hint("zato.service.upload-package deploys another text of it"))
}

fn refuse_missing(place: &Place) -> Result<(), Error> {
    if place.exists() {
        return Ok(());
    }
    Err(Error::new(Kind::NotFound, format!("there is no file `{}`", place.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_pickup_directory() {
        let home = tempfile::tempdir().unwrap();
        let pickup = home.path().join("pickup-dir");
        std::fs::create_dir_all(pickup.join("src/crm")).unwrap();
        std::fs::create_dir(home.path().join("outside")).unwrap();
        std::os::unix::fs::symlink(home.path().join("outside"), pickup.join("src/out")).unwrap();
        std::os::unix::fs::symlink(home.path().join("server.toml"), pickup.join("link.py")).unwrap();
        let whole = pickup.join("src/crm/a.py");
        for (path, name) in [
            ("a.py", "a.py"),
            ("src/crm/a.py", "src/crm/a.py"),
            (whole.to_str().unwrap(), "src/crm/a.py"),
            ("services/new/a.py", "services/new/a.py"),
        ] {
            let place = Place::of(&pickup, Path::new(path), "file_name").unwrap();
            assert_eq!((place.name.as_str(), place.path), (name, pickup.join(name)));
        }
        let beside = home.path().join("pickup-dir-of-others/a.py");
        for path in [
            "",
            "a",
            "a.txt",
            ".a.py",
            "..",
            "../a.py",
            "src/../../a.py",
            "src/./../../outside/a.py",
            "other/a.py",
            "src/.git/a.py",
            "src//a.py\0",
            "/etc/a.py",
            "link.py",
            "src/out/a.py",
            beside.to_str().unwrap(),
        ] {
            let error = Place::of(&pickup, Path::new(path), "file_name").err();
            let error = error.unwrap_or_else(|| panic!("{path} is taken"));
            assert!(error.message().contains("`file_name`"), "{path}: {error}");
        }
    }

    #[test]
    fn files_are_found_in_folders_and_not_behind_links() {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("src");
        std::fs::create_dir(&inside).unwrap();
        for path in [home.path().join("b.py"), inside.join("a.py")] {
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(home.path(), inside.join("up")).unwrap();
        std::os::unix::fs::symlink("b.py", home.path().join("c.py")).unwrap();
        assert_eq!(
            files(home.path()).unwrap(),
            [home.path().join("b.py"), inside.join("a.py")]
        );
    }
}
