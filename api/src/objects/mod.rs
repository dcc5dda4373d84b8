//! The site's objects, as the site's own Kubernetes API has them. Never another site's.

mod cluster;
mod ownership;
mod scene;
#[cfg(test)]
pub(crate) mod site;
#[cfg(test)]
pub(crate) mod testing;
pub mod writer;

pub use cluster::Cluster;
pub use ownership::Owned;
pub(crate) use ownership::group_of;
pub(crate) use scene::Scene;
pub use writer::{ApiServer, ObjectRef, Writer};

use crate::problem::Problem;
use std::sync::Arc;
use tandem_crds::{
    Application, DataCentre, Environment, EnvironmentRequest, Failover, FailoverGroup, SecurityProfile, Unit,
};

/// All objects of a kind, or [`Problem::NotRead`] until they have been read once.
pub type Read<K> = Result<Vec<Arc<K>>, Problem>;

/// The site's objects, from memory. What cannot be known yet is an error, never an empty list.
pub trait Objects: Send + Sync {
    /// Changes with every change of an object: for those who wait for one.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;
    /// The units.
    ///
    /// # Errors
    /// [`Problem::NotRead`] until they have been read once; so it is with every kind.
    fn units(&self) -> Read<Unit>;
    /// The environments.
    ///
    /// # Errors
    /// As [`Objects::units`].
    fn environments(&self) -> Read<Environment>;
    /// What agencies asked for.
    ///
    /// # Errors
    /// As [`Objects::units`].
    fn requests(&self) -> Read<EnvironmentRequest>;
    /// The applications.
    ///
    /// # Errors
    /// As [`Objects::units`].
    fn applications(&self) -> Read<Application>;
    /// The sites.
    ///
    /// # Errors
    /// As [`Objects::units`].
    fn data_centres(&self) -> Read<DataCentre>;
    /// The failover groups.
    ///
    /// # Errors
    /// As [`Objects::units`].
    fn failover_groups(&self) -> Read<FailoverGroup>;
    /// The failovers asked for or begun at this site.
    ///
    /// # Errors
    /// As [`Objects::units`].
    fn failovers(&self) -> Read<Failover>;
    /// The security profiles.
    ///
    /// # Errors
    /// As [`Objects::units`].
    fn security_profiles(&self) -> Read<SecurityProfile>;
}
