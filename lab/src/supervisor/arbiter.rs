//! The arbiter's members, lost and made anew.

use super::{Supervisor, SupervisorError, doing, lock};
use crate::arbiter::Root;
use crate::plan::Place;
use std::fs;
use std::io;
use std::time::Duration;

/// How long a member may take to end after SIGKILL, and all of them to be healthy after a restore.
const END: Duration = Duration::from_secs(10);
const HEALTHY: Duration = Duration::from_secs(60);

impl Supervisor {
    fn root(&self) -> Root {
        let super::Settings { plan, layout, programs, .. } = &self.settings;
        Root::new(plan, layout, programs)
    }

    fn end_member(&self, place: &Place) -> Result<(), SupervisorError> {
        let slot = self.slot(&format!("{}/arbiter", place.name))?;
        if !slot.end(END) {
            let source = io::Error::new(io::ErrorKind::TimedOut, "its process is still there");
            return Err(SupervisorError::Io { what: format!("ending the member at {}", place.name), source });
        }
        Ok(())
    }

    /// Ends a member and removes its data.
    fn clear_member(&self, place: &Place) -> Result<(), SupervisorError> {
        self.end_member(place)?;
        match fs::remove_dir_all(self.settings.layout.arbiter_data(&place.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(doing(format!("removing the data of the member at {}", place.name))(error))
            }
            _ => Ok(()),
        }
    }

    /// The loss of all members: each is ended and its data removed.
    pub(super) fn arbiter_lose(&self) -> Result<(), SupervisorError> {
        let places = self.settings.plan.places();
        // Before the first one's data go: two that still ran would vote without it.
        for place in &places {
            self.end_member(place)?;
        }
        places.iter().try_for_each(|place| self.clear_member(place))
    }

    /// Starts all members with the data that they find, and waits until they are healthy.
    pub(super) fn arbiter_start(&self) -> Result<(), SupervisorError> {
        for place in &self.settings.plan.places() {
            let data = self.settings.layout.arbiter_data(&place.name);
            fs::metadata(data.join("member")).map_err(doing(format!(
                "looking for a restored member at {} in {}",
                place.name,
                data.display()
            )))?;
        }
        for place in &self.settings.plan.places() {
            if !lock(&self.powered_off).contains(&place.name) {
                self.slot(&format!("{}/arbiter", place.name))?.want(true);
            }
        }
        Ok(self.root().wait_healthy(HEALTHY)?)
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
