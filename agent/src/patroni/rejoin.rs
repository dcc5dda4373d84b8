//! A member that only follows, and was left on an old timeline, is made anew.
//!
//! After an unplanned move the former primary is rewound by Patroni. Whoever followed it inside its site may have got what the
//! rewind takes away, and Patroni 3.0 rewinds no replica whose leader is in recovery itself: it would stay behind for good, and the
//! site would never be ready again. What it throws away then, its leader has thrown away before.

use super::service::Service;
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_core::patroni::{left_behind, position};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// For how long it has to stand still, so that one that still replays up to the parting is left alone.
const STILL: Duration = Duration::from_secs(15);

/// Looks for ever.
pub(super) async fn keep<C: Clock>(service: &Service<C>) {
    let mut stands: Option<(Option<u64>, Duration)> = None;
    loop {
        tokio::time::sleep(EVERY).await;
        let look = service.eyes().recent(EVERY).await;
        if !left_behind(&look.picture) {
            stands = None;
            continue;
        }
        let (now, at) = (service.clock().now(), position(&look.picture));
        let since = stands.filter(|(before, _)| *before == at).map_or(now, |(_, since)| since);
        stands = Some((at, since));
        if now.saturating_sub(since) < STILL {
            continue;
        }
        match service.eyes().patroni.make_anew().await {
            Ok(()) => tracing::warn!("this member was left on an old timeline: it is copied from its leader anew"),
            Err(error) => tracing::warn!(%error, "this member was left on an old timeline, and cannot be made anew"),
        }
        stands = None;
    }
}
