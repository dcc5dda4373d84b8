//! How every program logs: one line an event on standard error, as JSON for machines or plain for people, with the same field
//! names everywhere; docs/logs.md lists them.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chain;
mod json;

pub use chain::Chain;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged where nothing is said.
pub const USUAL_LEVELS: &str = "info";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    #[serde(alias = "text")]
    #[value(alias = "text")]
    Plain,
}

/// Options of programs that have no configuration file.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How log lines look.
    #[arg(long, value_enum, default_value = "json")]
    pub log_format: Format,
    /// What is logged: a level, and levels of single parts, such as info,tandem_agent=debug.
    #[arg(long, value_name = "LEVELS", default_value = USUAL_LEVELS)]
    pub log_levels: String,
}

impl Options {
    /// Begins to log. `always` is on every JSON line.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn begin(&self, always: &[(&'static str, &str)]) -> Result<(), LogError> {
        begin_by(self.log_format, (&self.log_levels, "--log-levels"), always)
    }
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The levels make no sense.
    #[error(
        "'{levels}' of {place} are no log levels; write a level, and levels of single parts: info,tandem_operator::sync=debug"
    )]
    Levels {
        /// What was said.
        levels: String,
        /// Where.
        place: &'static str,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging was begun before.
    #[error("logging was begun before")]
    Begun(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins to log. `always` is on every JSON line: which program it is, and where. The environment's `RUST_LOG` stands above
/// `levels`.
///
/// # Errors
/// [`LogError`].
pub fn begin(format: Format, levels: &str, always: &[(&'static str, &str)]) -> Result<(), LogError> {
    begin_by(format, (levels, "logLevels"), always)
}

fn begin_by(
    format: Format,
    (levels, place): (&str, &'static str),
    always: &[(&'static str, &str)],
) -> Result<(), LogError> {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|given| !given.is_empty());
    let filter = match &given {
        Some(given) => filter(given, EnvFilter::DEFAULT_ENV)?,
        None => filter(levels, place)?,
    };
    Ok(subscriber(format, filter, always, std::io::stderr).try_init()?)
}

fn filter(levels: &str, place: &'static str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(levels).map_err(|source| LogError::Levels { levels: levels.to_owned(), place, source })
}

fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    always: &[(&'static str, &str)],
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        Format::Json => Box::new(lines.fmt_fields(JsonFields::new()).event_format(json::Lines::new(always)).finish()),
        Format::Plain => Box::new(lines.with_ansi(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// What was written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, levels: &str, says: impl FnOnce()) -> Vec<String> {
        let kept = Kept::default();
        let writer = kept.clone();
        let always = [("program", "tandem-test"), ("site", "dc-a")];
        let subscriber = subscriber(format, filter(levels, "logLevels").unwrap(), &always, move || writer.clone());
        tracing::subscriber::with_default(subscriber, says);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn objects(levels: &str, says: impl FnOnce()) -> Vec<Value> {
        let mut objects: Vec<Value> =
            logged(Format::Json, levels, says).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        for object in &mut objects {
            let time = object.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        }
        objects
    }

    #[derive(Debug)]
    struct Outer(std::fmt::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_line_is_one_flat_object_and_begins_with_when_and_how_bad() {
        let says = || {
            let outer = tracing::error_span!("work", kind = "Unit", name = "health", trace_id = tracing::field::Empty);
            let _outer = outer.enter();
            outer.record("trace_id", "4b");
            let inner = tracing::error_span!("write", name = "water", step = 2_u64);
            let _inner = inner.enter();
            tracing::info!(revision = 7, late = true, seconds = 0.5, who = ?"li", "said \"so\"\nand more");
        };
        let lines = logged(Format::Json, "info", says);
        assert!(lines[0].starts_with("{\"timestamp\":\"20") && lines[0].contains("\"level\":\"INFO\""), "{lines:?}");
        let wanted = json!({
            "level": "INFO", "program": "tandem-test", "site": "dc-a", "target": "tandem_logs::tests", "kind": "Unit",
            "name": "water", "step": 2, "trace_id": "4b", "revision": 7, "late": true, "seconds": 0.5, "who": "\"li\"",
            "message": "said \"so\"\nand more",
        });
        assert_eq!(objects("info", says), [wanted]);
    }

    #[test]
    fn what_an_event_says_stands_above_its_surroundings_and_no_name_stands_twice() {
        let lines = logged(Format::Json, "info", || {
            let _span = tracing::error_span!("work", name = "health").entered();
            tracing::warn!(name = "water", site = "dc-b", "m");
        });
        assert_eq!((lines[0].matches("\"name\"").count(), lines[0].matches("\"site\"").count()), (1, 1), "{lines:?}");
        assert!(lines[0].contains("\"name\":\"water\"") && lines[0].contains("\"site\":\"dc-b\""), "{lines:?}");
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let error = Outer(std::fmt::Error);
        let said = objects("info", || tracing::error!(error = &error as &dyn std::error::Error, "m"));
        assert_eq!(said[0]["error"], format!("outer: {}", std::fmt::Error));
    }

    #[test]
    fn levels_are_of_single_parts() {
        let says = || {
            tracing::info!("usual");
            tracing::debug!("not here");
            tracing::debug!(target: "tandem_operator::sync", "here");
            tracing::info!(target: "loud", "not here");
        };
        let messages: Vec<Value> = objects("info,tandem_operator::sync=debug,loud=error", says)
            .into_iter()
            .map(|object| object["message"].clone())
            .collect();
        assert_eq!(messages, ["usual", "here"]);
        let error = filter("info,tandem_operator=loud", "logLevels").unwrap_err().to_string();
        assert!(error.contains("tandem_operator=loud") && error.contains("logLevels"), "{error}");
    }

    #[test]
    fn surroundings_count_where_only_errors_are_logged() {
        let said = objects("error", || {
            let _span = tracing::error_span!("work", trace_id = "4b").entered();
            tracing::error!("m");
        });
        assert_eq!(said[0]["trace_id"], "4b");
    }

    #[test]
    fn plain_lines_have_the_same_fields() {
        let lines = logged(Format::Plain, "info", || {
            let _span = tracing::error_span!("work", trace_id = "4b").entered();
            tracing::info!(revision = 7, "published");
        });
        assert!(lines[0].contains("published revision=7") && lines[0].contains("trace_id=\"4b\""), "{lines:?}");
    }

    #[test]
    fn formats_have_names() {
        let format = |name: &str| serde_json::from_value::<Format>(json!(name)).ok();
        let found = ["json", "plain", "text", "xml"].map(format);
        assert_eq!(found, [Some(Format::Json), Some(Format::Plain), Some(Format::Plain), None]);
        assert_eq!(Format::default(), Format::Json);
    }
}
