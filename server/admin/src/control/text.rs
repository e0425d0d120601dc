//! Answers as people read them on a terminal.

use std::fmt;

use crate::changes::{Applied, Renamed, RestorePlan};
use crate::control::{Failure, ServiceEntry, Status};
use crate::statistics::Summary;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.node;
        writeln!(
            f,
            "{} runs (pid {}), busbar {}, up {}",
            node.name,
            node.pid,
            node.version,
            duration(node.uptime_secs)
        )?;
        // a server that speaks TLS says so itself
        let scheme = if node.address.contains("://") { "" } else { "http://" };
        writeln!(f, "address   {scheme}{}", node.address)?;
        if !node.admin_address.is_empty() {
            writeln!(f, "admin     {}", node.admin_address)?;
        }
        writeln!(f, "services  {}", self.services)?;
        writeln!(f, "objects   {} (revision {})", self.objects, self.revision)?;
        if node.redis.is_private {
            writeln!(f, "redis     {} (its own)", node.redis.state)?;
        } else {
            writeln!(f, "redis     {} ({})", node.redis.state, node.redis.url)?;
        }
        if node.workers.is_empty() {
            writeln!(f, "workers   none, services run in the server's process")?;
        }
        for worker in &node.workers {
            let pid = worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            write!(
                f,
                "worker {}  {}, pid {pid}, {} calls",
                worker.number, worker.state, worker.calls
            )?;
            if worker.memory_bytes > 0 {
                write!(f, ", {} MB", worker.memory_bytes >> 20)?;
            }
            if worker.restarts > 0 {
                write!(f, ", replaced {} times", worker.restarts)?;
            }
            writeln!(f)?;
        }
        for pool in &node.pools {
            write!(
                f,
                "{} `{}`  {} of {} connections in use, {} idle",
                pool.kind, pool.name, pool.in_use, pool.limit, pool.idle
            )?;
            for (number, what) in [
                (pool.waiting, "calls wait for one"),
                (pool.waited, "had to wait so far"),
                (pool.timed_out, "waited in vain"),
            ] {
                if number > 0 {
                    write!(f, ", {number} {what}")?;
                }
            }
            writeln!(f)?;
        }
        for failure in &self.failures {
            let module = if failure.module.is_empty() {
                "deployment"
            } else {
                &failure.module
            };
            writeln!(
                f,
                "! {} {module}: {} (generation {})",
                failure.failed_at, failure.message, failure.generation
            )?;
        }
        Ok(())
    }
}

/// `1d 2h`, `2h 3m`, `3m 4s`, `4s`.
fn duration(secs: u64) -> String {
    let (days, hours, minutes, seconds) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

impl ServiceEntry {
    /// A table of services, a line each under a headline.
    pub fn table(services: &[Self]) -> String {
        let name = services
            .iter()
            .map(|it| it.name.chars().count())
            .chain(["name".len()])
            .max()
            .unwrap_or_default();
        let mut table = format!("{:name$}  {:>10}  {:<24}  summary\n", "name", "generation", "file");
        for it in services {
            let file = format!("{}.py", it.module);
            let state = if it.is_active { "" } else { "(inactive) " };
            let line = format!(
                "{:name$}  {:>10}  {file:<24}  {state}{}",
                it.name, it.generation, it.summary
            );
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.services.iter().map(|it| it.service.chars().count());
        let name = names.chain(["service".len()]).max().unwrap_or_default();
        let ms = |micros: u64| format!("{:.3}", micros as f64 / 1_000.0);
        writeln!(
            f,
            "{:name$}  {:>10}  {:>8}  {:>10}  {:>10}  {:>10}  {:>7}  {:>6}",
            "service", "calls", "a second", "mean ms", "min ms", "max ms", "% calls", "% time"
        )?;
        for it in &self.services {
            writeln!(
                f,
                "{:name$}  {:>10}  {:>8.2}  {:>10}  {:>10}  {:>10}  {:>7.2}  {:>6.2}",
                it.service,
                it.calls,
                it.rate,
                ms(it.mean_us),
                ms(it.min_us),
                ms(it.max_us),
                it.calls_share,
                it.time_share
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            created,
            changed,
            deleted,
            renamed,
            unchanged,
            ..
        } = self;
        for Renamed { kind, name, new_name } in renamed {
            writeln!(f, "> {kind} `{name}` is `{new_name}` now")?;
        }
        for (mark, objects) in [("+", created), ("~", changed), ("-", deleted)] {
            for object in objects {
                writeln!(f, "{mark} {object}")?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "! {warning}")?;
        }
        write!(f, "{} created, {} changed, ", created.len(), changed.len())?;
        if !deleted.is_empty() {
            write!(f, "{} deleted, ", deleted.len())?;
        }
        writeln!(f, "{} unchanged", unchanged.len())
    }
}

impl fmt::Display for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, applied } = self;
        write!(f, "{applied}")?;
        if !applied.deleted.is_empty() {
            writeln!(f, "do exactly this with --confirm {id}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    /// The message, the traceback if there is one, and the way out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.traceback.is_empty() {
            write!(f, "\n{}", self.traceback.trim_end())?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
