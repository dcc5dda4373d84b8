//! A person's word, at this site, that a restored arbiter is to be followed: from the mark on the site's own data centre to the
//! file beside this replica's pins, where the heartbeat finds it.
//!
//! The site is fenced all the while and nobody leads it, so every replica does this for itself. Nothing is decided here: the
//! heartbeat compares the word with the arbiter that answers, and begins anew.

use crate::cluster::ObjectName;
use crate::context::Context;
use std::path::Path;
use std::time::Duration;
use tandem_arbiter::pins::{Acceptance, read_acceptance, write_acceptance};
use tandem_crds::{ARBITER, Kind};
use tandem_logs::Chain;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the word beside the pins as people have it, for ever.
pub(crate) async fn run_acceptance(context: Context) {
    let mut told: Option<String> = None;
    loop {
        if let Some(text) = mark(&context)
            && told.as_ref() != Some(&text)
        {
            match take(&context.config.pins_file, &text).await {
                Ok(true) => tracing::warn!(arbiter = text, "a person has accepted this arbiter"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(arbiter = text, error, "the mark that accepts an arbiter is not followed")
                }
            }
            told = Some(text);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The mark on this site's own data centre.
fn mark(context: &Context) -> Option<String> {
    let name =
        ObjectName { kind: Kind::DataCentre.name().to_owned(), namespace: None, name: context.config.site.clone() };
    context.cluster.own.get(&name)?.metadata.annotations.as_ref()?.get(ARBITER).cloned()
}

/// Writes the word where it is news; says whether it was.
async fn take(pins: &Path, text: &str) -> Result<bool, String> {
    let word: Acceptance = text.parse().map_err(|error| Chain(&error).to_string())?;
    let pins = pins.to_owned();
    let kept = tokio::task::spawn_blocking(move || {
        // What cannot be read is written over: it is no word at all.
        if read_acceptance(&pins).ok().flatten().as_ref() == Some(&word) {
            return Ok(false);
        }
        write_acceptance(&pins, &word).map(|()| true)
    });
    kept.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_is_written_once_and_nonsense_never() {
        let directory = std::env::temp_dir().join(format!("tandem-accept-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let pins = directory.join("pins.json");
        assert!(take(&pins, "yes please").await.unwrap_err().contains("names no arbiter"));
        assert_eq!(read_acceptance(&pins).unwrap(), None);
        assert_eq!(take(&pins, "2:8:4,5,6").await, Ok(true));
        assert_eq!(take(&pins, "2:8:4,5,6").await, Ok(false));
        assert_eq!(read_acceptance(&pins).unwrap().unwrap().to_string(), "2:8:4,5,6");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
