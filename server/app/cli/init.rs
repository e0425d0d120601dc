//! `busbar quickstart`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::cli::Exit;
use crate::config::Config;
use crate::directory::Directory;
use crate::{odb, package};

/// Makes an environment.
#[derive(Debug, Args)]
pub struct Quickstart {
    /// Directory to make; must not exist, or be empty.
    directory: PathBuf,
    /// Address that clients will call.
    #[arg(long, default_value = "127.0.0.1:11223", value_name = "HOST:PORT")]
    address: SocketAddr,
    /// Worker processes; 0 runs everything in one process. Default: one for each core.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

impl Quickstart {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let path = self.directory.display();
        if self
            .directory
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some())
        {
            return Err(Exit::new(5, format!("`{path}` is not empty"))
                .with_hint("name a directory that does not exist yet")
                .into());
        }
        let directory = Directory::create(&self.directory.join("server1"))?;
        let venv = std::env::var("VIRTUAL_ENV").unwrap_or_default();
        let text = Config::initial(&self.address.to_string(), self.workers, &venv);
        let config = directory.config();
        std::fs::write(&config, text).with_context(|| format!("cannot write `{}`", config.display()))?;
        directory.secret_key()?;
        package::unpack(&directory.work())?;
        self.tell_editors(&venv)?;
        let password = odb::create(&directory)?;

        let server = directory.path().display();
        println!("The server's directory is {server}");
        println!();
        println!("Start it:          busbar start {server}");
        println!("Deploy a service:  cp my_service.py {}", directory.pickup().display());
        println!(
            "Call it:           curl -u pubapi:{password} {}/zato/api/invoke/my-service.my-class -d '{{}}'",
            self.address
        );
        println!();
        println!("User `pubapi`, password `{password}`, may invoke every service through /zato/api/invoke/.");
        Ok(0)
    }

    /// Lets editors and type checkers find what services import: `pyrightconfig.json` (VS Code and others) and `mypy.ini`.
    fn tell_editors(&self, venv: &str) -> anyhow::Result<()> {
        let mut pyright = json!({"include": ["server1/pickup-dir"], "extraPaths": ["server1/work/python"]});
        if let Some((parent, name)) = venv.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
            pyright["venvPath"] = json!(parent);
            pyright["venv"] = json!(name);
        }
        let mypy = "[mypy]\nfiles = $MYPY_CONFIG_FILE_DIR/server1/pickup-dir\nmypy_path = $MYPY_CONFIG_FILE_DIR/server1/work/python\n\
            \n# not yours to mend\n[mypy-busbar.*,zato.*,bunch.*,anyjson]\nignore_errors = True\n";
        for (name, text) in [
            ("pyrightconfig.json", format!("{pyright:#}\n")),
            ("mypy.ini", mypy.to_owned()),
        ] {
            let path = self.directory.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(())
    }
}
