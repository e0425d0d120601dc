//! `busbar quickstart`.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use busbar_runtime::inbound::builtin;
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
    /// PostgreSQL or MySQL database for the server's own objects, `postgresql://user:password@host/database`. `${NAME}` in it stands for an
    /// environment variable, now and whenever the server starts. Default: a file in its directory.
    #[arg(long, value_name = "URL", default_value = "")]
    odb: String,
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
        let text = Config::initial(&self.address.to_string(), self.workers, &venv, &self.odb);
        let path = directory.config();
        // it may hold a password
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        directory.secret_key()?;
        let created = Config::read(&path).and_then(|config| odb::create(&directory, &config));
        if created.is_err() && !directory.odb_key().exists() {
            // so that the same command can be typed again; a key that was made may be in use
            std::fs::remove_dir_all(directory.path()).ok();
        }
        let passwords = created?;
        let config = Config::read(&path)?;
        package::unpack(&directory.work())?;
        self.tell_editors(&venv)?;

        let server = directory.path().display();
        println!("The server's directory is {server}");
        println!();
        println!("Start it:          busbar start {server}");
        println!("Deploy a service:  cp my_service.py {}", directory.pickup().display());
        let pubapi = passwords.iter().find(|(name, _)| *name == builtin::PUBAPI);
        let shown = pubapi
            .and_then(|(_, password)| password.as_deref())
            .unwrap_or("PASSWORD");
        println!(
            "Call it:           curl -u pubapi:{shown} {}/zato/api/invoke/my-service.my-class -d '{{}}'",
            self.address
        );
        println!();
        for (name, password) in &passwords {
            match password {
                Some(password) => println!("User `{name}`, password `{password}`, {}.", what_for(name, &config)),
                None => println!(
                    "User `{name}` was in the ODB already, with the password that it has on the other servers."
                ),
            }
        }
        if passwords.iter().any(|(_, password)| password.is_some()) {
            println!("Only hashes of these passwords are kept: `busbar password set {server} NAME` sets others.");
        }
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

/// What a user is for, in words.
fn what_for(user: &str, config: &Config) -> String {
    let admin = config.admin.address(&config.http.address).unwrap_or_default();
    match user {
        builtin::PUBAPI => "may invoke every service through /zato/api/invoke/".to_owned(),
        _ => format!("may manage the server through /zato/admin/invoke on {admin}"),
    }
}
