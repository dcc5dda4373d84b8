//! What Patroni was told, until it says so itself.

use std::time::{Duration, Instant};
use tandem_core::patroni::Settings;

/// How long `GET /config` may answer what was before: a turn of Patroni's loop, which hangs where its etcd is slow.
const TURN: Duration = Duration::from_secs(10);

/// The last change, and what it took the place of.
#[derive(Debug, Default)]
pub(super) struct Changed {
    is: Option<(Settings, Instant)>,
    was: Vec<Settings>,
}

impl Changed {
    /// Takes in that a change was made.
    pub(super) fn told(&mut self, was: Option<Settings>, is: Settings, at: Instant) {
        let last = self.lately(at);
        if last.is_none() {
            self.was.clear();
        }
        self.was.extend(was.into_iter().chain(last));
        self.is = Some((is, at));
    }

    /// What holds, where Patroni answers this. Somebody else's change to just what was before is seen a turn later.
    pub(super) fn holds(&self, said: Settings, at: Instant) -> Settings {
        match self.lately(at) {
            Some(is) if self.was.contains(&said) => is,
            _ => said,
        }
    }

    fn lately(&self, at: Instant) -> Option<Settings> {
        let (is, since) = self.is?;
        (at.saturating_duration_since(since) < TURN).then_some(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::patroni::Access;

    const OPEN: Settings = Settings { paused: false, standby: false, access: Access::Open, marked: false };
    const CLOSED: Settings = Settings { paused: true, access: Access::Closed, ..OPEN };
    const FOLLOWS: Settings = Settings { standby: true, access: Access::Closed, ..OPEN };

    #[test]
    fn an_answer_of_before_the_change_does_not_undo_it() {
        let began = Instant::now();
        let mut changed = Changed::default();
        assert_eq!(changed.holds(OPEN, began), OPEN);
        changed.told(Some(OPEN), CLOSED, began);
        changed.told(Some(CLOSED), FOLLOWS, began + TURN / 2);
        for said in [OPEN, CLOSED, FOLLOWS] {
            assert_eq!(changed.holds(said, began + TURN), FOLLOWS);
        }
        let other = Settings { access: Access::Other, ..OPEN };
        assert_eq!(changed.holds(other, began + TURN), other, "somebody else changed it");
        assert_eq!(changed.holds(OPEN, began + TURN * 2), OPEN, "and changed it back, long ago");
    }

    #[test]
    fn a_change_that_is_taken_back_holds() {
        let began = Instant::now();
        let mut changed = Changed::default();
        changed.told(Some(OPEN), CLOSED, began);
        changed.told(Some(CLOSED), OPEN, began);
        assert_eq!(changed.holds(CLOSED, began), OPEN);
        assert_eq!(changed.holds(OPEN, began), OPEN);
        changed.told(Some(OPEN), FOLLOWS, began + TURN);
        assert_eq!(changed.holds(CLOSED, began + TURN), CLOSED, "what was before is forgotten");
    }
}
