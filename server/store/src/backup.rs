//! The whole environment in one file, and back into an empty ODB.
//!
//! A file is two lines of text and then bytes: what it is and of which version, how it is encrypted, and everything else, encrypted with
//! ChaCha20-Poly1305 under a key that argon2id makes of a passphrase. The lines are authenticated with it, so whatever was changed in the
//! file, or cut off, is noticed before anything is restored.

use std::collections::BTreeMap;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::object::{Object, Record};
use busbar_model::service::ServiceSettings;
use busbar_model::{Error, Kind};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::db::{Arg, Db, Transaction};
use crate::objects::SNAPSHOT;
use crate::open::Store;
use crate::sources::{SOURCE, StoredSource, read_source};
use crate::time::now;

/// What the first line says before the version.
const MAGIC: &str = "busbar-backup ";

/// The version of files that are written; newer ones are refused.
const VERSION: u32 = 1;

/// Shortest passphrase, in characters.
const PASSPHRASE_MIN: usize = 8;

/// Memory for one key at most, in KB: what a file asks for is not trusted before it is authenticated.
const MEMORY_MAX: u32 = 1 << 20;

const SALT_BYTES: usize = 16;

/// How the key is made of the passphrase.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Lock {
    cipher: String,
    kdf: String,
    memory_kb: u32,
    passes: u32,
    salt: String,
    nonce: String,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// When it was made, RFC 3339 in UTC.
    pub made_at: String,
    /// Number of the last change set in it.
    pub revision: u64,
    /// Number of the last deployment that was tried.
    generation: u64,
    /// All objects, with their ids and versions, secrets in clear.
    pub records: Vec<Record>,
    /// Numbers of services.
    services: BTreeMap<String, u64>,
    /// The current file of every module.
    sources: Vec<SourceFile>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SourceFile {
    module: String,
    path: String,
    text: String,
    hash: String,
    generation: u64,
    deployed_at: String,
    #[serde(default)]
    deployed_by: Option<String>,
}

impl Backup {
    /// How many modules are in it.
    pub fn modules(&self) -> usize {
        self.sources.len()
    }

    /// The file.
    ///
    /// # Errors
    ///
    /// [`Kind::BadRequest`]: the passphrase is too short.
    pub fn seal(&self, passphrase: &str) -> Result<Vec<u8>, Error> {
        if passphrase.chars().count() < PASSPHRASE_MIN {
            let message = format!("the passphrase has fewer than {PASSPHRASE_MIN} characters");
            return Err(Error::new(Kind::BadRequest, message)
                .with_hint("everything in the file, passwords included, is as safe as the passphrase"));
        }
        let mut random = [0; SALT_BYTES + NONCE_LEN];
        SystemRandom::new()
            .fill(&mut random)
            .expect("the operating system has a source of randomness");
        let (salt, nonce) = random.split_at(SALT_BYTES);
        let lock = Lock {
            cipher: "chacha20-poly1305".to_owned(),
            kdf: "argon2id".to_owned(),
            memory_kb: Params::DEFAULT_M_COST,
            passes: Params::DEFAULT_T_COST,
            salt: STANDARD.encode(salt),
            nonce: STANDARD.encode(nonce),
        };
        let lines = serde_json::to_string(&lock).expect("text and numbers serialise");
        let lines = format!("{MAGIC}{VERSION}\n{lines}\n");
        let mut data = serde_json::to_vec(self).expect("a backup serialises");
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("the nonce has the length that is asked for");
        lock.key(passphrase)?
            .seal_in_place_append_tag(nonce, Aad::from(lines.as_bytes()), &mut data)
            .expect("no backup has the 256 GB that are too much");
        Ok([lines.as_bytes(), &data].concat())
    }

    /// Reads a file back.
    ///
    /// # Errors
    ///
    /// [`Kind::BadRequest`]: it is no backup, or of a newer busbar; the passphrase is another one, or the file was changed or cut off.
    pub fn open(file: &[u8], passphrase: &str) -> Result<Self, Error> {
        let refuse = |message: &str| Error::new(Kind::BadRequest, message.to_owned());
        let no_backup = || refuse("the file is not a backup of busbar").with_hint("name a file of `busbar backup`");
        let mut lines = file.splitn(3, |byte| *byte == b'\n');
        let version = lines.next().and_then(|line| std::str::from_utf8(line).ok());
        let version = version
            .and_then(|line| line.strip_prefix(MAGIC))
            .ok_or_else(no_backup)?;
        let version: u32 = version.parse().map_err(|_| no_backup())?;
        if version > VERSION {
            let message = format!("the backup is of version {version}, and this busbar reads up to {VERSION}");
            return Err(refuse(&message).with_hint("restore it with the newer busbar"));
        }
        let cut_off = || refuse("the backup is cut off or was changed").with_hint("use another copy of it");
        let lock: Lock = lines
            .next()
            .and_then(|line| serde_json::from_slice(line).ok())
            .ok_or_else(cut_off)?;
        let data = lines.next().ok_or_else(cut_off)?;
        let nonce = STANDARD.decode(&lock.nonce).map_err(|_| cut_off())?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| cut_off())?;
        let bound = Aad::from(&file[..file.len() - data.len()]);
        let mut data = data.to_vec();
        let plain = lock
            .key(passphrase)?
            .open_in_place(nonce, bound, &mut data)
            .map_err(|_| {
                refuse(
                    "the backup cannot be decrypted: the passphrase is another one, or the file was cut off or changed",
                )
                .with_hint("try the passphrase again, then another copy of the file")
            })?;
        serde_json::from_slice(plain).map_err(|error| {
            refuse("what is in the backup cannot be read")
                .with_hint("restore it with the version of busbar that wrote it")
                .with_source(error)
        })
    }
}

impl Lock {
    fn key(&self, passphrase: &str) -> Result<LessSafeKey, Error> {
        let refuse = || {
            Error::new(
                Kind::BadRequest,
                "the backup is encrypted in a way that this busbar does not know",
            )
            .with_hint("restore it with the busbar that made it, or use another copy of the file")
        };
        if self.cipher != "chacha20-poly1305" || self.kdf != "argon2id" || self.memory_kb > MEMORY_MAX {
            return Err(refuse());
        }
        let salt = STANDARD.decode(&self.salt).map_err(|_| refuse())?;
        let params = Params::new(self.memory_kb, self.passes.min(100), 1, Some(32)).map_err(|_| refuse())?;
        let mut secret = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, &mut secret)
            .map_err(|_| refuse())?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &secret).expect("the key has the length that is asked for");
        Ok(LessSafeKey::new(key))
    }
}

impl Store {
    /// All objects and deployed files at one moment, while others may go on reading; changes wait.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn backup(&self) -> Result<Backup, Error> {
        let mut transaction = self.write().await?;
        let generation = self.counter(&mut transaction, "generation").await?;
        let rows = transaction.fetch_all(SNAPSHOT, &[]).await;
        let snapshot = self.read_snapshot(&rows.map_err(|error| self.error(error))?)?;
        let sql = "SELECT name, id FROM identity WHERE kind = ?";
        let rows = transaction.fetch_all(sql, &[ServiceSettings::KIND.into()]).await;
        let rows = rows.map_err(|error| self.error(error))?;
        let read = |row: &crate::db::Row| Ok((row.get("name")?, row.count("id")?));
        let services: Result<_, sqlx::Error> = rows.iter().map(read).collect();
        let sql = format!("SELECT {SOURCE} FROM source ORDER BY module");
        let rows = transaction.fetch_all(&sql, &[]).await;
        let rows = rows.map_err(|error| self.error(error))?;
        let sources: Result<Vec<_>, sqlx::Error> = rows.iter().map(read_source).collect();
        self.commit(transaction).await?;
        let file = |source: StoredSource| SourceFile {
            module: source.module,
            path: source.path,
            text: STANDARD.encode(source.text),
            hash: source.hash,
            generation: source.generation,
            deployed_at: source.deployed_at,
            deployed_by: source.deployed_by,
        };
        Ok(Backup {
            made_at: now(),
            revision: snapshot.revision,
            generation,
            records: snapshot.records.into_iter().map(Arc::unwrap_or_clone).collect(),
            services: services.map_err(|error| self.error(error))?,
            sources: sources
                .map_err(|error| self.error(error))?
                .into_iter()
                .map(file)
                .collect(),
        })
    }

    /// Puts what a backup holds into the ODB, all or nothing: objects with their ids and versions, deployed files, and the counters. What
    /// objects were before the backup is not in it. No server may use the ODB meanwhile.
    ///
    /// # Errors
    ///
    /// [`Kind::Conflict`]: there is something in the ODB already, and `replace` does not say that it may go, with its history. When the ODB
    /// cannot be written.
    pub async fn restore(&self, backup: &Backup, replace: bool, who: &str) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        let revision = self.counter(&mut transaction, "revision").await?;
        let generation = self.counter(&mut transaction, "generation").await?;
        if (revision > 0 || generation > 0) && !replace {
            return Err(
                Error::new(Kind::Conflict, format!("the ODB `{}` is not empty", self.name)).with_hint(
                    "restore into a new one, or replace everything in this one, its history included, with --force",
                ),
            );
        }
        for table in [
            "object",
            "object_version",
            "identity",
            "source",
            "source_version",
            "deployment_failure",
            // their ids become those of others
            "service_tally",
        ] {
            self.execute(&mut transaction, &format!("DELETE FROM {table}"), &[])
                .await?;
        }
        // one more than the last one of either: whoever knows one of those numbers must not mistake this for it
        let revision = backup.revision.max(revision) + 1;
        let services = backup.services.iter();
        let services = services.map(|(name, id)| (ServiceSettings::KIND, name.as_str(), *id));
        let objects = backup.records.iter();
        let objects = objects.map(|it| (it.kind.as_str(), it.name.as_str(), it.id));
        let objects = objects.filter(|(kind, ..)| *kind != ServiceSettings::KIND);
        for (kind, name, id) in services.chain(objects) {
            self.put_identity(&mut transaction, kind, name, id).await?;
        }
        self.number_on(&mut transaction).await?;
        self.put_records(&mut transaction, &backup.records, revision, who)
            .await?;
        for source in &backup.sources {
            self.put_source(&mut transaction, source).await?;
        }
        let sql = "UPDATE counter SET value = ? WHERE name = ?";
        for (name, value) in [
            ("revision", revision),
            // nothing is known of what was before
            ("history", revision),
            ("generation", backup.generation.max(generation)),
        ] {
            self.execute(&mut transaction, sql, &[Arg::from(value), name.into()])
                .await?;
        }
        self.commit(transaction).await?;
        if replace { self.scrub().await } else { Ok(()) }
    }

    /// Lets new ids begin after those that were put in; the others do so by themselves.
    async fn number_on(&self, transaction: &mut Transaction) -> Result<(), Error> {
        let Db::Postgres(_) = &self.db else { return Ok(()) };
        let sql = "SELECT setval(pg_get_serial_sequence('identity', 'id'), \
                   GREATEST((SELECT MAX(id) FROM identity), nextval(pg_get_serial_sequence('identity', 'id')))) AS id";
        let rows = transaction.fetch_all(sql, &[]).await;
        rows.map(|_| ()).map_err(|error| self.error(error))
    }

    async fn put_source(&self, transaction: &mut Transaction, source: &SourceFile) -> Result<(), Error> {
        let text = STANDARD.decode(&source.text).map_err(|error| {
            let message = format!("the text of module `{}` in the backup cannot be read", source.module);
            Error::new(Kind::BadRequest, message).with_source(error)
        })?;
        let args = [
            Arg::from(&source.module),
            Arg::from(&source.path),
            Arg::Bytes(&text),
            Arg::from(&source.hash),
            Arg::from(source.generation),
            Arg::from(&source.deployed_at),
            Arg::TextOrNull(source.deployed_by.as_deref()),
        ];
        for table in ["source", "source_version"] {
            let sql = format!("INSERT INTO {table} ({SOURCE}) VALUES (?, ?, ?, ?, ?, ?, ?)");
            self.execute(transaction, &sql, &args).await?;
        }
        Ok(())
    }
}
