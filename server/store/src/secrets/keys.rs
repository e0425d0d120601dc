//! Where keys come from: a file, or an environment variable.
//!
//! Both hold one key a line, base64 of 32 bytes. Secrets are encrypted with the key whose id the ODB names; the first one is the one that
//! the next rotation goes over to.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use busbar_model::{Error, Kind};
use ring::aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// As text that needs no quotes anywhere; written without padding, read with and without.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const KEY_BYTES: usize = 32;

/// First lines of a new file.
const HEADER: &str =
    "# Keys of the secrets in busbar's ODB, one a line. Keep a copy: without them the secrets are lost.\n";

/// A key for the secrets of an ODB.
#[derive(Clone)]
pub struct Key {
    /// The first half of the text of a hash: tells keys apart and tells nothing of them.
    id: String,
    secret: [u8; KEY_BYTES],
}

impl Key {
    /// A new key.
    ///
    /// # Panics
    ///
    /// If the operating system has no source of randomness, which no server can go on without.
    pub fn generate() -> Self {
        let mut secret = [0; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut secret)
            .expect("the operating system has a source of randomness");
        Self::new(secret)
    }

    fn new(secret: [u8; KEY_BYTES]) -> Self {
        let hash = digest(&SHA256, &secret);
        let id = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { id, secret }
    }

    fn parse(text: &str) -> Option<Self> {
        let secret = BASE64.decode(text).ok()?;
        secret.try_into().ok().map(Self::new)
    }

    /// Eight digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn to_text(&self) -> String {
        BASE64.encode(self.secret)
    }

    pub fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.secret).expect("the key has the length that is asked for");
        LessSafeKey::new(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The text of a new key, for who keeps keys in an environment variable.
pub fn new_key() -> String {
    Key::generate().to_text()
}

/// Where keys are kept.
pub enum Source {
    File(PathBuf),
    Variable { name: &'static str, text: String },
    Process(Key),
}

impl Source {
    /// All keys, in order; none if there is no file.
    pub fn read(&self) -> Result<Vec<Key>, Error> {
        match self {
            Self::File(path) => match read_file(path)? {
                Some(text) => self.parse(&text),
                None => Ok(Vec::new()),
            },
            Self::Variable { text, .. } => self.parse(text),
            Self::Process(key) => Ok(vec![key.clone()]),
        }
    }

    fn parse(&self, text: &str) -> Result<Vec<Key>, Error> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let keys: Option<Vec<Key>> = lines.flat_map(str::split_whitespace).map(Key::parse).collect();
        keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
            Error::new(
                Kind::Config,
                format!("{self} holds something else than keys, which are base64 of {KEY_BYTES} bytes"),
            )
            .with_hint("put the copy of it that you kept in its place; `busbar secrets new-key` prints a new key")
        })
    }

    /// What is to be done about a key that is not here.
    pub fn lacks(&self, id: &str) -> Error {
        let error = Error::new(
            Kind::Config,
            format!("the secrets in the ODB are encrypted with key {id}, which {self} does not hold"),
        );
        error.with_hint(match self {
            Self::File(_) => "copy that file from the server which uses the same ODB, or from where you kept it",
            _ => "add that key to it, after the others",
        })
    }

    /// Whether a new key can be put before the others.
    pub fn can_make_keys(&self) -> Result<(), Error> {
        let Self::Variable { name, .. } = self else {
            return Ok(());
        };
        Err(Error::new(
            Kind::BadRequest,
            format!("there is no new key to go over to: the first one in {self} is in use already"),
        )
        .with_hint(format!(
            "put a key from `busbar secrets new-key` before the others in `{name}`, start the server with that and try again"
        )))
    }

    /// Makes a file with these keys, or puts it in the place of the one that is there, at once.
    pub fn write(&self, keys: &[Key]) -> Result<(), Error> {
        let Self::File(path) = self else { return Ok(()) };
        let fail = |error| {
            Error::new(Kind::Config, format!("cannot write `{}`", path.display()))
                .with_hint("the user that runs the server needs to write this file and its directory")
                .with_source(error)
        };
        let mut text = HEADER.to_owned();
        for key in keys {
            text.push_str(&key.to_text());
            text.push('\n');
        }
        write_file(path, &text).map_err(fail)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Variable { name, .. } => write!(f, "the environment variable `{name}`"),
            Self::Process(_) => f.write_str("this process"),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// The text of a file that nobody else can read; `None` if there is no such file.
fn read_file(path: &Path) -> Result<Option<String>, Error> {
    let fail = |error: std::io::Error| {
        Error::new(Kind::Config, format!("cannot read `{}`", path.display()))
            .with_hint("the user that runs the server needs to read this file")
            .with_source(error)
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        let shown = path.display();
        return Err(Error::new(
            Kind::Config,
            format!("`{shown}` can be read or written by other users, and holds the keys of all secrets"),
        )
        .with_hint(format!("chmod 600 {shown}")));
    }
    std::fs::read_to_string(path).map(Some).map_err(fail)
}

/// Whoever reads the file sees either what was there or all of the new text, also after a power cut.
fn write_file(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &tempfile::TempDir) -> (PathBuf, Source) {
        let path = dir.path().join("odb.key");
        (path.clone(), Source::File(path))
    }

    fn ids(keys: &[Key]) -> Vec<String> {
        keys.iter().map(|key| key.id().to_owned()).collect()
    }

    #[test]
    fn a_file_reads_back_and_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, source) = file(&dir);
        assert_eq!(source.read().unwrap().len(), 0);
        let keys = [Key::generate(), Key::generate()];
        source.write(&keys).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(ids(&source.read().unwrap()), ids(&keys));
        source.write(&keys[1..]).unwrap();
        assert_eq!(ids(&source.read().unwrap()), ids(&keys[1..]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, source) = file(&dir);
        source.write(&[Key::generate()]).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = source.read().unwrap_err();
            assert!(error.hint().unwrap().starts_with("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_holds_no_keys_is_refused_and_its_text_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (path, source) = file(&dir);
        for text in ["", "# only this\n", "hunter2", "aGVsbG8="] {
            source.write(&[Key::generate()]).unwrap();
            std::fs::write(&path, text).unwrap();
            let error = source.read().unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_variable_holds_keys_between_blanks_or_lines() {
        let (one, two) = (new_key(), new_key());
        for text in [format!("{one} {two}"), format!("{one}\n{two}=  # old\n")] {
            let source = Source::Variable {
                name: "BUSBAR_ODB_KEY",
                text,
            };
            let keys = source.read().unwrap();
            assert_eq!(
                keys.iter().map(Key::to_text).collect::<Vec<_>>(),
                [one.clone(), two.clone()]
            );
            assert!(!format!("{source:?} {:?}", source.lacks("x")).contains(&one));
        }
    }
}
