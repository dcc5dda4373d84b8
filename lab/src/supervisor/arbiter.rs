//! The arbiter's backups, and its members made anew.

use super::{Supervisor, SupervisorError, doing, lock};
use crate::arbiter::Root;
use crate::plan::Place;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a member may take to end after SIGKILL, and all of them to be healthy after a restore.
const END: Duration = Duration::from_secs(10);
const HEALTHY: Duration = Duration::from_secs(60);

impl Supervisor {
    fn root(&self) -> Root {
        let super::Settings { plan, layout, programs, .. } = &self.settings;
        Root::new(plan, layout, programs)
    }

    pub(super) fn arbiter_snapshot(&self, file: &Path) -> Result<(), SupervisorError> {
        Ok(self.root().snapshot(file)?)
    }

    /// Ends a member and removes its data.
    fn clear_member(&self, place: &Place) -> Result<(), SupervisorError> {
        let slot = self.slot(&format!("{}/arbiter", place.name))?;
        if !slot.end(END) {
            let source = io::Error::new(io::ErrorKind::TimedOut, "its process is still there");
            return Err(SupervisorError::Io { what: format!("ending the member at {}", place.name), source });
        }
        match fs::remove_dir_all(self.settings.layout.arbiter_data(&place.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(doing(format!("removing the data of the member at {}", place.name))(error))
            }
            _ => Ok(()),
        }
    }

    /// Starts all members from a snapshot, under a token that was never used before: with the old one the cluster would keep
    /// its id, and nobody could tell it from the one before.
    pub(super) fn arbiter_restore(&self, file: &Path) -> Result<(), SupervisorError> {
        fs::metadata(file).map_err(doing(format!("reading the snapshot {}", file.display())))?;
        let super::Settings { plan, layout, .. } = &self.settings;
        #[allow(clippy::disallowed_methods)] // an edge: the time makes the token a new one and decides nothing
        let token = format!("{}-arbiter-{}", plan.prefix, OffsetDateTime::now_utc().unix_timestamp_nanos());
        let (root, places) = (self.root(), plan.places());
        // All ended first: two that still run would go on as the old cluster.
        for place in &places {
            self.clear_member(place)?;
        }
        for place in &places {
            root.restore_member(plan, place, (file, &layout.arbiter_data(&place.name)), &token)?;
        }
        for place in &places {
            if !lock(&self.powered_off).contains(&place.name) {
                self.slot(&format!("{}/arbiter", place.name))?.want(true);
            }
        }
        Ok(root.wait_healthy(HEALTHY)?)
    }

    /// Starts a member without data; it joins the cluster that runs, where it was added.
    pub(super) fn arbiter_rejoin(&self, name: &str) -> Result<(), SupervisorError> {
        let place = self.place(name)?;
        self.clear_member(&place)?;
        let slot = self.slot(&format!("{}/arbiter", place.name))?;
        slot.add_arguments(&["--initial-cluster-state=existing".to_owned()]);
        slot.want(true);
        Ok(())
    }
}
