//! What has to be published and what has to be followed.
//!
//! The authority's objects become records in the arbiter ([`plan_publish`]); the other site's objects are made from the
//! records ([`plan_follow`]). Both are decisions over what was seen; the caller carries them out and looks again. Three
//! rules keep that safe in any order, with any loss and any repetition of events:
//!
//! - nothing is deleted because something is missing: a deletion needs a tombstone, or a record that proves there was one;
//! - whatever is overwritten and was not published is kept first, as a conflict ([`ConflictSeed`]);
//! - a view that is older than another is left alone until it has caught up.
//!
//! The caller enters what the arbiter answered to its own publications into its copy of the records at once, not only when
//! the watch repeats it: a decision is as good as the older of the two views.

mod brake;
mod follow;
mod hash;
mod id;
mod publish;
mod record;
#[cfg(test)]
mod tests;
mod view;

pub use brake::{Brake, BrakeLimits, Tripped};
pub use follow::{FollowPlan, plan_follow};
pub use hash::{canonical, spec_hash};
pub use id::{conflict_id, mint_id, with_id};
pub use publish::{PublishPlan, Restraint, plan_publish};
pub use record::{ObjectKey, Origin, Record, SpecRecord, Tombstone, Versioned};
pub use tandem_crds::{Kind, UnknownKind};
pub use view::{ConflictSeed, LocalView, travelling};
