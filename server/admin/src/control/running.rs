//! Services and deployments of this process, out of what dispatches and deploys them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use busbar_dispatch::Deployer;
use busbar_dispatch::deploy::{Report, Turn, module_of, read_source};
use busbar_dispatch::sample::Sample;
use busbar_model::{ChannelType, Cid, DataFormat, Error, Kind, SoapVersion};
use busbar_runtime::call::{ChannelFields, Outcome, RequestFields, with_transport};
use busbar_runtime::handler::{BoxFuture, Source};
use busbar_runtime::inbound::{Dispatch, Inbound, builtin};
use busbar_runtime::queue::Message;
use busbar_runtime::stream::ReplyStream;
use busbar_runtime::{Fault, HeadBuilder};
use busbar_sio::soap;
use busbar_store::{StoredFailure, StoredSource};
use bytes::Bytes;
use serde_json::{Value, json};
use tracing::warn;

use crate::control::{
    Channel, Deployed, DeployedFile, DeployedFiles, Deployments, FailedFile, Failure, Invoke, Invoked, Payload,
    ServiceEntry, Services, SourceFile,
};
use crate::management::catalogue::CATALOGUE;

/// Bytes of an answer that comes piece by piece at most.
const MAX_COLLECTED: usize = 64 << 20;

/// The services of this process.
pub struct Running {
    deployer: Arc<Deployer>,
    dispatch: Arc<dyn Dispatch>,
    pickup_dir: PathBuf,
}

impl Running {
    /// Services that `deployer` deploys and `dispatch` runs. A file that is deployed on request ends up in `pickup_dir`, so that it is
    /// there after a restart.
    pub fn new(deployer: Arc<Deployer>, dispatch: Arc<dyn Dispatch>, pickup_dir: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            deployer,
            dispatch,
            pickup_dir,
        })
    }

    /// The call, as its service is to see it, whether somebody waits for the answer or not.
    fn inbound(&self, invoke: Invoke) -> Result<Inbound, Error> {
        let Invoke {
            name,
            payload,
            data_format,
            headers,
            timeout_secs,
            channel,
            caller,
        } = invoke;
        let is_own = name == builtin::PING || CATALOGUE.contains_key(&name);
        if !is_own && !self.deployer.list().iter().any(|it| it.name == name) {
            return Err(Error::new(Kind::NotFound, format!("there is no service `{name}`"))
                .with_hint("see which there are with `busbar service list`"));
        }
        let (channel_type, shown) = match &channel {
            None => (ChannelType::Invoke, Channel::default()),
            Some(channel) => (ChannelType::Named, channel.clone()),
        };
        let is_soap = shown.transport == "soap" && data_format == DataFormat::Xml;
        if is_soap && let Err(error) = soap::check_envelope(&payload.0, SoapVersion::V11) {
            return Err(Error::new(
                Kind::BadRequest,
                format!("the payload of service `{name}` cannot be read: {error}"),
            ));
        }
        let channel = HeadBuilder::channel(&ChannelFields {
            channel_type: Some(channel_type),
            data_format,
            soap: is_soap.then_some(SoapVersion::V11),
            channel: if channel.is_some() { &shown.name } else { &name },
            // services of users are called by nobody in particular
            username: if is_own { &caller } else { "" },
            ..ChannelFields::default()
        });
        let headers: Vec<(String, String)> = headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let head = HeadBuilder::request(&channel, RequestFields::default()).finish(
            [].into_iter(),
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        Ok(Inbound {
            cid: Cid::new(),
            service: name.into(),
            channel,
            head: with_transport(&head, &shown.transport),
            body: Bytes::from(payload.0),
            timeout: timeout_secs.map(|secs| Duration::from_secs(secs.into())),
        })
    }

    fn to_message(&self, invoke: Invoke) -> Result<Message, Error> {
        let name = invoke.name.clone();
        let inbound = self.inbound(invoke)?;
        if let Err(fault) = self.dispatch.check(&inbound) {
            let details = match fault.details {
                Some(Value::String(text)) => text,
                Some(other) => other.to_string(),
                None => format!("status {}", fault.status),
            };
            let kind = Kind::of_status(fault.status);
            return Err(Error::new(
                kind,
                format!("service `{name}` cannot be called: {details}"),
            ));
        }
        Ok(Message {
            cid: inbound.cid,
            service: name,
            head: inbound.head,
            body: inbound.body,
            expires: None,
        })
    }

    async fn run(&self, invoke: Invoke) -> Result<Invoked, Error> {
        let inbound = self.inbound(invoke)?;
        let cid = inbound.cid;
        Ok(match self.dispatch.dispatch(inbound).await {
            Outcome::Reply(mut reply) => {
                let body = match reply.stream.take() {
                    None => reply.body,
                    Some(stream) => collect(*stream).await?,
                };
                let content_type =
                    Some(("Content-Type".to_owned(), reply.content_type)).filter(|(_, value)| !value.is_empty());
                Invoked {
                    cid: cid.to_string(),
                    status: reply.status,
                    headers: content_type.into_iter().chain(reply.headers).collect(),
                    body: Payload(body.to_vec()),
                }
            }
            Outcome::Fault(Fault {
                status,
                details,
                headers,
            }) => {
                let body = json!({"result": "Error", "cid": cid.to_string(), "details": details});
                Invoked {
                    cid: cid.to_string(),
                    status,
                    headers,
                    body: Payload(body.to_string().into_bytes()),
                }
            }
        })
    }

    async fn put(&self, file_name: String, text: Vec<u8>, who: String) -> Result<Deployed, Failure> {
        let files = vec![SourceFile {
            file_name,
            text: Payload(text),
        }];
        let (mut report, modules) = self.put_all(files, who).await?;
        if !report.failed.is_empty() {
            return Err(report.failed.swap_remove(0).into());
        }
        let module = &modules[0].1;
        match report.generation {
            Some(generation) => Ok(Deployed {
                generation,
                services: report.deployed.remove(module).unwrap_or_default(),
            }),
            None => Ok(self.current(module)),
        }
    }

    async fn put_back(&self, module: String, generation: Option<u64>, who: String) -> Result<Deployed, Failure> {
        let fail = |error: Error| Failure::from(&error);
        let versions = self.deployer.source_history(&module).await.map_err(fail)?;
        let current = self.deployer.source(&module).await.map_err(fail)?;
        let current = current.map_or(u64::MAX, |it| it.generation);
        let found = versions.iter().find(|it| match generation {
            Some(generation) => it.generation == generation,
            None => it.generation < current,
        });
        let Some(source) = found else {
            let what = match generation {
                Some(generation) => format!("module `{module}` ran nothing of generation {generation}"),
                None => format!("module `{module}` ran nothing before what it runs"),
            };
            let error = Error::new(Kind::NotFound, what);
            let known: Vec<_> = versions.iter().map(|it| it.generation.to_string()).collect();
            return Err(fail(if known.is_empty() {
                error.with_hint("there was never a file of this name")
            } else {
                error.with_hint(format!("there are generations {}", known.join(", ")))
            }));
        };
        let path = Path::new(&source.path);
        // a server that was moved has its files in another place, whatever was stored
        let file_name = match path.strip_prefix(&self.pickup_dir) {
            Ok(file_name) => file_name.to_string_lossy().into_owned(),
            Err(_) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        self.put(file_name, source.text.clone(), who).await
    }

    async fn take_out(&self, module: String) -> Result<(), Error> {
        let source = self.deployer.source(&module).await?;
        let source = source.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no file of `{module}`")))?;
        // the file goes before anybody else may deploy it again
        let mut turn = self.deployer.turn().await;
        Self::remove_module(&mut turn, &module, Path::new(&source.path)).await
    }

    /// Takes out a module, then its file.
    async fn remove_module(turn: &mut Turn<'_>, module: &str, path: &Path) -> Result<(), Error> {
        let report = turn.remove(&[module.to_owned()]).await?;
        if let Some(failed) = report.failed.into_iter().next() {
            return Err(Error::new(Kind::Conflict, failed.to_string()));
        }
        remove_file(path)
    }

    /// Deploys the files together and puts those that can be served into the pickup directory. Gives the files back with their modules.
    async fn put_all(&self, files: Vec<SourceFile>, who: String) -> Result<(Report, Vec<(String, String)>), Failure> {
        let staged = self.stage(files, who).await?;
        // until the files are in their places nobody else may deploy what still lies there
        staged.deploy(&mut self.deployer.turn().await).await
    }

    async fn stage(&self, files: Vec<SourceFile>, who: String) -> Result<Staged, Failure> {
        let mut staged = Staged::default();
        for SourceFile { file_name, text } in files {
            let path = self.pickup_dir.join(&file_name);
            let Some(module) = module_of(&path, &self.pickup_dir) else {
                let message = format!("`{file_name}` has no name that a module can have");
                return Err(Failure::from(&Error::new(Kind::BadRequest, message)));
            };
            if staged.modules.iter().any(|(_, other)| *other == module) {
                let message = format!("there are two files for the module `{module}`");
                return Err(Failure::from(&Error::new(Kind::BadRequest, message)));
            }
            let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            // written first, so that a directory which cannot be written is noticed before anything runs, and put in its place last, so
            // that a file which does not import never lies there
            let part = Part::write(path.with_file_name(format!(".{name}.part")), text.0.clone()).await?;
            staged.sources.push(Source {
                module: module.clone(),
                path: path.to_string_lossy().into_owned(),
                text: text.0,
                deployed_by: Some(who.clone()),
            });
            staged.parts.push((part, path));
            staged.modules.push((file_name, module));
        }
        Ok(staged)
    }

    async fn move_file(&self, from: String, to: String, who: String) -> Result<Deployed, Failure> {
        let fail = |error: Error| Failure::from(&error);
        let (old, new) = (self.pickup_dir.join(&from), self.pickup_dir.join(&to));
        let mut turn = self.deployer.turn().await;
        let Source { module, text, .. } = read_source(&old, Some(&self.pickup_dir)).map_err(fail)?;
        let file = SourceFile {
            file_name: to,
            text: Payload(text),
        };
        let (mut report, modules) = self.stage(vec![file], who).await?.deploy(&mut turn).await?;
        if !report.failed.is_empty() {
            return Err(report.failed.swap_remove(0).into());
        }
        let new_module = modules[0].1.clone();
        if new_module == module {
            remove_file(&old).map_err(fail)?;
        } else if let Err(error) = Self::remove_module(&mut turn, &module, &old).await {
            Self::remove_module(&mut turn, &new_module, &new).await.map_err(fail)?;
            return Err(fail(error));
        }
        Ok(Deployed {
            generation: report.generation.unwrap_or_default(),
            services: report.deployed.remove(&new_module).unwrap_or_default(),
        })
    }

    async fn put_together(&self, files: Vec<SourceFile>, who: String) -> Result<DeployedFiles, Failure> {
        let (mut report, modules) = self.put_all(files, who).await?;
        let mut result = DeployedFiles {
            generation: report.generation,
            ..DeployedFiles::default()
        };
        for (file_name, module) in modules {
            if let Some(position) = report.failed.iter().position(|failed| failed.module == module) {
                let error = report.failed.swap_remove(position);
                result.failed.push(FailedFile {
                    file_name,
                    message: error.to_string(),
                    traceback: error.traceback,
                });
                continue;
            }
            let deployed = report.deployed.remove(&module);
            result.deployed.push(DeployedFile {
                file_name,
                is_unchanged: deployed.is_none(),
                services: deployed.unwrap_or_else(|| self.current(&module).services),
            });
        }
        // modules that were deployed before and depend on one of these
        result.failed.extend(report.failed.into_iter().map(|error| FailedFile {
            file_name: error.module.clone(),
            message: error.to_string(),
            traceback: error.traceback,
        }));
        Ok(result)
    }

    /// What is deployed of a module already.
    fn current(&self, module: &str) -> Deployed {
        let mut services: Vec<_> = self.list().into_iter().filter(|it| it.module == module).collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        let generation = services.iter().map(|it| it.generation).max().unwrap_or_default();
        Deployed {
            generation,
            services: services.into_iter().map(|it| it.name).collect(),
        }
    }
}

/// Removes a file whose services are gone.
fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let error = Error::new(Kind::Config, format!("cannot remove `{}`", path.display())).with_source(error);
            Err(error.with_hint("its services are gone, but come back at the next start"))
        }
        _ => Ok(()),
    }
}

/// An answer that comes piece by piece, as a whole.
async fn collect(mut stream: ReplyStream) -> Result<Bytes, Error> {
    let mut whole = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            Error::new(Kind::Service, "the answer of the service broke off")
                .with_hint("see the log for why")
                .with_source(error)
        })?;
        if whole.len() + piece.len() > MAX_COLLECTED {
            let message = format!("the answer of the service is larger than {} MB", MAX_COLLECTED >> 20);
            return Err(Error::new(Kind::TooLarge, message));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

impl Services for Running {
    fn list(&self) -> Vec<ServiceEntry> {
        let entry = |row: busbar_dispatch::deploy::ServiceRow| ServiceEntry {
            module: Path::new(&row.path)
                .file_stem()
                .map(|it| it.to_string_lossy().into_owned())
                .unwrap_or_default(),
            name: row.name,
            impl_name: row.impl_name,
            generation: row.generation,
            is_active: row.is_active,
            is_internal: row.is_builtin,
            summary: row.summary,
            usage: row.usage,
        };
        self.deployer.list().into_iter().map(entry).collect()
    }

    fn sample(&self, service: &str) -> Option<Sample> {
        self.deployer.sample(service)
    }

    fn invoke(&self, invoke: Invoke) -> BoxFuture<'_, Result<Invoked, Error>> {
        Box::pin(self.run(invoke))
    }

    fn message(&self, invoke: Invoke) -> Result<Message, Error> {
        self.to_message(invoke)
    }
}

impl Deployments for Running {
    fn deploy(&self, file_name: String, text: Vec<u8>, who: &str) -> BoxFuture<'_, Result<Deployed, Failure>> {
        Box::pin(self.put(file_name, text, who.to_owned()))
    }

    fn deploy_all(&self, files: Vec<SourceFile>, who: &str) -> BoxFuture<'_, Result<DeployedFiles, Failure>> {
        Box::pin(self.put_together(files, who.to_owned()))
    }

    fn failures(&self) -> Vec<StoredFailure> {
        self.deployer.last_failures()
    }

    fn source(&self, module: String) -> BoxFuture<'_, Result<Option<StoredSource>, Error>> {
        Box::pin(async move { self.deployer.source(&module).await })
    }

    fn history(&self, module: String) -> BoxFuture<'_, Result<Vec<StoredSource>, Error>> {
        Box::pin(async move { self.deployer.source_history(&module).await })
    }

    fn roll_back(
        &self,
        module: String,
        generation: Option<u64>,
        who: &str,
    ) -> BoxFuture<'_, Result<Deployed, Failure>> {
        Box::pin(self.put_back(module, generation, who.to_owned()))
    }

    fn remove(&self, module: String) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.take_out(module))
    }

    fn pickup_dir(&self) -> &Path {
        &self.pickup_dir
    }

    fn rename(&self, from: String, to: String, who: &str) -> BoxFuture<'_, Result<Deployed, Failure>> {
        Box::pin(self.move_file(from, to, who.to_owned()))
    }
}

/// Files that are written but not in their places yet.
#[derive(Default)]
struct Staged {
    parts: Vec<(Part, PathBuf)>,
    sources: Vec<Source>,
    /// Names of the files and of their modules.
    modules: Vec<(String, String)>,
}

impl Staged {
    /// Deploys the files and puts those that can be served in their places. Gives the files back with their modules.
    async fn deploy(self, turn: &mut Turn<'_>) -> Result<(Report, Vec<(String, String)>), Failure> {
        let report = turn.deploy(self.sources).await.map_err(|error| Failure::from(&error))?;
        for ((part, path), (_, module)) in self.parts.into_iter().zip(&self.modules) {
            if !report.failed.iter().any(|failed| failed.module == *module) {
                part.put_in_place(&path)?;
            }
        }
        Ok((report, self.modules))
    }
}

/// A file that is not in its place yet; gone if it never gets there.
struct Part(PathBuf);

impl Part {
    async fn write(path: PathBuf, text: Vec<u8>) -> Result<Self, Failure> {
        let part = Self(path.clone());
        let write = move || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, text)
        };
        let written = tokio::task::spawn_blocking(write).await;
        written
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| part.fail(error))?;
        Ok(part)
    }

    fn put_in_place(self, path: &Path) -> Result<(), Failure> {
        std::fs::rename(&self.0, path).map_err(|error| self.fail(error))
    }

    fn fail(&self, error: std::io::Error) -> Failure {
        let directory = self.0.parent().unwrap_or(&self.0).display();
        let error = Error::new(Kind::Config, format!("cannot write into `{directory}`"))
            .with_hint("the user that runs the server needs to write there")
            .with_source(error);
        Failure::from(&error)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!(%error, "cannot remove `{}`", self.0.display());
            }
            _ => {}
        }
    }
}
