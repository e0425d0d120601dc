//! What a Redis says of itself: its version, and whether what is in it survives.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::Error;
use redis::{RedisError, cmd};

use crate::line::{Line, failed};

/// The oldest version that has the commands of the queue.
pub const OLDEST: (u32, u32) = (6, 2);

/// A Redis.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedisAbout {
    /// Its version: `7.0.15`.
    pub version: String,
    /// Every change is written to a file of its own kind.
    pub is_append_only: bool,
    /// When it writes a snapshot: `3600 1 300 100`; empty: never. `None`: it does not say.
    pub save: Option<String>,
    /// Whether it could write the last time.
    pub wrote_well: bool,
    /// Bytes that it may use; 0: no limit.
    pub max_memory: u64,
    /// What it does when it has used them: `noeviction`, `allkeys-lru`...
    pub eviction: String,
    /// How far its clock is from the one of this machine.
    pub clock_difference: Duration,
    /// `master`, or `slave`, which cannot be written to.
    pub role: String,
}

impl RedisAbout {
    /// Whether it is at least [`OLDEST`]. One that does not say is taken for new.
    pub fn is_new_enough(&self) -> bool {
        let mut parts = self.version.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
            _ => true,
        }
    }

    /// Whether what is in it is there again after a restart.
    pub fn is_persistent(&self) -> bool {
        self.is_append_only || self.save.as_deref() != Some("")
    }
}

/// Asks the Redis at `url`.
///
/// # Errors
/// [`busbar_model::Kind::Config`]: the URL is none. Else it cannot be reached, or refuses the credentials.
pub async fn about(url: &str) -> Result<RedisAbout, Error> {
    let line = Line::new(url)?;
    let asked = async {
        let info: String = line.run(&cmd("INFO")).await?;
        let fields = fields(&info);
        let text = |name: &str| fields.get(name).copied().unwrap_or_default();
        let is_ok = |name: &str| matches!(text(name), "" | "ok");
        let mut get = cmd("CONFIG");
        get.arg("GET").arg("save");
        // hosted ones forbid it
        let save: Option<Vec<String>> = line.run(&get).await.ok();
        let time: Result<(u64, u64), RedisError> = line.run(&cmd("TIME")).await;
        let (secs, micros) = time?;
        let theirs = UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_micros(micros);
        let ours = SystemTime::now();
        Ok(RedisAbout {
            version: text("redis_version").to_owned(),
            is_append_only: text("aof_enabled") == "1",
            save: save.and_then(|pair| pair.into_iter().nth(1)),
            wrote_well: is_ok("rdb_last_bgsave_status") && is_ok("aof_last_write_status"),
            max_memory: text("maxmemory").parse().unwrap_or_default(),
            eviction: text("maxmemory_policy").to_owned(),
            clock_difference: ours.duration_since(theirs).unwrap_or_else(|error| error.duration()),
            role: text("role").to_owned(),
        })
    };
    asked
        .await
        .map_err(|error: RedisError| failed("cannot ask Redis", error))
}

/// `name:value` lines.
fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, is_new) in [
            ("6.2.0", true),
            ("7.0", true),
            ("10.1.2", true),
            ("6.0.16", false),
            ("5.0.7", false),
            ("", true),
        ] {
            let about = RedisAbout {
                version: version.into(),
                ..RedisAbout::default()
            };
            assert_eq!(about.is_new_enough(), is_new, "{version}");
        }
    }

    #[test]
    fn a_redis_that_writes_nothing_down_is_not_persistent() {
        let with = |is_append_only, save: Option<&str>| {
            let about = RedisAbout {
                is_append_only,
                save: save.map(str::to_owned),
                ..RedisAbout::default()
            };
            about.is_persistent()
        };
        assert!(with(true, Some("")) && with(false, Some("3600 1")) && with(false, None));
        assert!(!with(false, Some("")));
    }
}
