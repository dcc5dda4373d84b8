//! `Unit`: nothing runs for a unit itself; what it names must be there.

use crate::context::Context;
use crate::status::Report;
use tandem_crds::Unit;
use tandem_crds::status::Reason;

/// Says how a unit stands here.
pub(super) fn reconcile(context: &Context, unit: &Unit) -> Report {
    let profile = &unit.spec.security_profile;
    let known = context.index.with_world(|world| world.profiles.contains_key(profile));
    if known {
        Report::ready()
    } else {
        let message =
            format!("spec.securityProfile: there is no security profile {profile}; create it, or name another");
        Report::not_ready(Reason::NotFound, message)
    }
}
