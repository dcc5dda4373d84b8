//! What Patroni was told, until it says so itself.

use std::sync::{Mutex, PoisonError};
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

    /// Forgets it all: what Patroni says is all that is known.
    fn forget(&mut self) {
        *self = Self::default();
    }

    fn lately(&self, at: Instant) -> Option<Settings> {
        let (is, since) = self.is?;
        (at.saturating_duration_since(since) < TURN).then_some(is)
    }
}

/// A change that is on its way. Where its answer does not come, it may have been made or not, and what was told before holds no more.
#[derive(Debug)]
pub(super) struct OnItsWay<'a>(Option<&'a Mutex<Changed>>);

impl<'a> OnItsWay<'a> {
    pub(super) fn begin(changed: &'a Mutex<Changed>) -> Self {
        Self(Some(changed))
    }

    /// It was answered.
    pub(super) fn answered(mut self, was: Option<Settings>, is: Settings, at: Instant) {
        if let Some(changed) = self.0.take() {
            changed.lock().unwrap_or_else(PoisonError::into_inner).told(was, is, at);
        }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(changed) = self.0.take() {
            changed.lock().unwrap_or_else(PoisonError::into_inner).forget();
        }
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

    #[test]
    fn a_change_whose_answer_does_not_come_leaves_nothing_to_go_by() {
        let began = Instant::now();
        let changed = Mutex::new(Changed::default());
        OnItsWay::begin(&changed).answered(Some(OPEN), CLOSED, began);
        assert_eq!(changed.lock().unwrap().holds(OPEN, began), CLOSED);
        drop(OnItsWay::begin(&changed));
        assert_eq!(changed.lock().unwrap().holds(OPEN, began), OPEN);
    }
}
