//! `FailoverGroup`: in order once the arbiter has the record of who is active.

use crate::context::Context;
use crate::status::Report;
use tandem_arbiter::records::Phase;
use tandem_crds::status::Reason;

/// Says how a group stands here.
pub(super) fn reconcile(context: &Context, name: &str) -> Report {
    match context.index.group(name) {
        None => Report::not_ready(Reason::Progressing, "the arbiter's record of the group has not been seen yet"),
        Some(group) => match group.value.phase {
            Phase::Held => Report::ready(),
            Phase::Released { .. } | Phase::Unconfirmed => {
                Report::not_ready(Reason::Progressing, "no site holds the group at this moment")
            }
        },
    }
}
