//! `FailoverGroup`: in order once the arbiter has the record of who is active, and what moves its data here is of
//! use.

use crate::context::Context;
use crate::status::Report;
use tandem_arbiter::records::Phase;
use tandem_core::failover::{Language, Reason as Trouble};
use tandem_crds::status::Reason;

/// Says how a group stands here.
pub(super) fn reconcile(context: &Context, name: &str) -> Report {
    match context.index.group(name) {
        None => Report::not_ready(Reason::Progressing, "the arbiter's record of the group has not been seen yet"),
        Some(group) => match group.value.phase {
            Phase::Held => match context.providers.data(&context.config.site, name).1 {
                None => Report::ready(),
                Some(trouble) => {
                    let reason = match trouble {
                        Trouble::SecretMissing { .. } => Reason::SecretMissing,
                        Trouble::NoEndpoint { .. } => Reason::NotFound,
                        _ => Reason::SiteNotReady,
                    };
                    Report::not_ready(reason, trouble.sentence(Language::English))
                }
            },
            Phase::Released { .. } | Phase::Unconfirmed => {
                Report::not_ready(Reason::Progressing, "no site holds the group at this moment")
            }
        },
    }
}
