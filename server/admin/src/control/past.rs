//! Requests about what was: histories, and the way back.

use busbar_model::{Error, Kind};
use busbar_store::StoredSource;

use crate::changes::{Moment, ObjectName};
use crate::control::answer::{Control, failed, refused};
use crate::control::{Failure, Response, SourceVersion};
use crate::enmasse::{self, ExportOptions};

impl Control {
    pub(super) async fn history(&self, object: &ObjectName, limit: u32) -> Result<Response, Failure> {
        let versions = self.changes.history(object, limit).await;
        versions.map(Response::History).map_err(|error| failed(&error))
    }

    pub(super) async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Response, Failure> {
        let revisions = self.changes.revisions(before, limit).await;
        revisions.map(Response::Revisions).map_err(|error| failed(&error))
    }

    pub(super) async fn export_at(&self, at: &Moment, options: &ExportOptions) -> Result<Response, Failure> {
        let snapshot = self.changes.at(at).await.map_err(|error| failed(&error))?;
        let text = enmasse::export(self.changes.registry(), &snapshot, options);
        text.map(|text| Response::Exported { text }).map_err(refused)
    }

    pub(super) async fn roll_back(&self, object: &ObjectName, version: u64, who: &str) -> Result<Response, Failure> {
        let applied = self.changes.roll_back(object, version, who).await;
        applied.map(Response::Restored).map_err(refused)
    }

    pub(super) async fn restore(&self, at: &Moment, confirm: Option<String>, who: &str) -> Result<Response, Failure> {
        let applied = self.changes.restore(at, confirm, who).await;
        applied.map(Response::Restored).map_err(refused)
    }

    pub(super) async fn restore_plan(&self, at: &Moment) -> Result<Response, Failure> {
        let plan = self.changes.rehearse_restore(at).await;
        plan.map(Response::RestorePlanned).map_err(refused)
    }

    pub(super) async fn source_history(&self, module: String) -> Result<Response, Failure> {
        let sources = self.parts.deployments.history(module.clone()).await;
        let sources = sources.map_err(|error| failed(&error))?;
        if sources.is_empty() {
            let error = Error::new(Kind::NotFound, format!("there was never a module `{module}`"));
            return Err(failed(&error));
        }
        let version = |source: StoredSource| SourceVersion {
            generation: source.generation,
            path: source.path,
            size: source.text.len(),
            deployed_at: source.deployed_at,
            deployed_by: source.deployed_by,
        };
        Ok(Response::Sources(sources.into_iter().map(version).collect()))
    }

    pub(super) async fn roll_back_source(
        &self,
        module: String,
        generation: Option<u64>,
        who: &str,
    ) -> Result<Response, Failure> {
        let deployed = self.parts.deployments.roll_back(module, generation, who).await?;
        Ok(Response::Deployed(deployed))
    }
}
