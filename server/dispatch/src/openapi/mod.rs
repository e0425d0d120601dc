//! OpenAPI 3.1 of what is deployed, and a page on which calls can be tried.
//!
//! * [`Channel`] - a channel, as far as the document tells of it
//! * [`Scheme`] - a way in which callers identify themselves
//! * [`document`] - the document, out of channels and services
//! * [`schema`] - JSON schemas of declared input and output
//! * [`page`] - the page

mod document;
mod page;
mod schema;
mod scheme;

use std::sync::{Arc, LazyLock, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};
use busbar_model::{DataFormat, SoapVersion};
use busbar_runtime::{Outcome, Reply};
use bytes::Bytes;

use crate::table::{Inactive, ServiceTable, Services};

pub use scheme::{Scheme, Schemes};

/// A channel through which a service can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The service behind it.
    pub service: String,
    /// Its path, with names in braces.
    pub path: String,
    /// The method that it is bound to; empty: any.
    pub method: String,
    /// How bodies are read and written.
    pub format: DataFormat,
    /// The version of SOAP that it speaks, if it does.
    pub soap: Option<SoapVersion>,
    /// Content type of what it answers.
    pub content_type: String,
    /// Whether parameters are merged into the service's input.
    pub merges_params: bool,
    /// Whether it answers before the service runs.
    pub is_async: bool,
    /// Whether it should not be used any more, or will not.
    pub is_deprecated: bool,
    /// Whether callers are counted.
    pub is_limited: bool,
    /// The services that it calls, if it speaks JSON-RPC.
    pub json_rpc: Option<Vec<String>>,
    /// Ways in, any of which does; `None`: it is open to everyone.
    pub security: Option<Vec<Scheme>>,
}

/// The document, made anew when it is asked for after services or channels have changed.
pub struct OpenApi {
    table: Arc<ServiceTable>,
    described: ArcSwap<Described>,
    made: ArcSwapOption<Made>,
}

/// What is configured.
struct Described {
    title: String,
    channels: LazyLock<Vec<Channel>, Box<dyn FnOnce() -> Vec<Channel> + Send>>,
}

impl Described {
    fn of(title: String, channels: impl FnOnce() -> Vec<Channel> + Send + 'static) -> Self {
        Self {
            title,
            channels: LazyLock::new(Box::new(channels)),
        }
    }
}

/// A document, and what it was made of. Weak, so that services which are gone are not kept.
struct Made {
    services: Weak<Services>,
    inactive: Weak<Inactive>,
    described: Weak<Described>,
    text: Bytes,
}

impl OpenApi {
    pub(crate) fn new(table: Arc<ServiceTable>) -> Self {
        Self {
            table,
            described: ArcSwap::from_pointee(Described::of(String::new(), Vec::new)),
            made: ArcSwapOption::empty(),
        }
    }

    /// Replaces the channels that it tells of by those that `channels` gives when somebody asks. `title` is the document's.
    pub fn describe(&self, title: String, channels: impl FnOnce() -> Vec<Channel> + Send + 'static) {
        self.described.store(Arc::new(Described::of(title, channels)));
    }

    /// `/openapi.json`.
    pub(crate) fn answer(&self) -> Outcome {
        Outcome::Reply(Reply {
            status: 200,
            content_type: "application/json".to_owned(),
            headers: vec![
                ("Cache-Control".to_owned(), "no-store".to_owned()),
                ("X-Content-Type-Options".to_owned(), "nosniff".to_owned()),
            ],
            body: self.text(),
            ..Reply::default()
        })
    }

    /// `/openapi`.
    pub(crate) fn page() -> Outcome {
        page::answer()
    }

    fn text(&self) -> Bytes {
        let (services, inactive) = (self.table.load(), self.table.load_inactive());
        let described = self.described.load();
        let is_of = |made: &&Arc<Made>| {
            std::ptr::eq(made.services.as_ptr(), Arc::as_ptr(&services))
                && std::ptr::eq(made.inactive.as_ptr(), Arc::as_ptr(&inactive))
                && std::ptr::eq(made.described.as_ptr(), Arc::as_ptr(&described))
        };
        let made = self.made.load();
        if let Some(made) = made.as_ref().filter(is_of) {
            return made.text.clone();
        }
        let find = |name: &str| {
            let entry = services.get(name).filter(|_| !inactive.contains(name))?;
            Some(&entry.info)
        };
        let document = document::make(&described.title, &described.channels, &find);
        let text = Bytes::from(document.to_string());
        self.made.store(Some(Arc::new(Made {
            services: Arc::downgrade(&services),
            inactive: Arc::downgrade(&inactive),
            described: Arc::downgrade(&described),
            text: text.clone(),
        })));
        text
    }
}
