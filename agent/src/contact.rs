//! What a standby knows of how far it is behind, and since when.

use std::time::Duration;

/// When a standby last heard of the active site, and last had everything that it had.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Contact {
    heard: Option<Duration>,
    whole: Option<Duration>,
}

impl Contact {
    /// Takes in an answer to a question sent at this time.
    pub(crate) fn met(&mut self, sent: Duration, whole: bool) {
        self.heard = Some(sent);
        if whole {
            self.whole = Some(sent);
        }
    }

    /// Takes in that everything is here that the active site had at this time.
    pub(crate) fn reached(&mut self, sent: Duration) {
        self.whole = self.whole.max(Some(sent));
    }

    /// Lag, and how long ago it was that, in milliseconds.
    pub(crate) fn lag(&self, now: Duration) -> (Option<u64>, u64) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match (self.heard, self.whole) {
            (Some(heard), Some(whole)) => {
                (Some(millis(heard.saturating_sub(whole))), millis(now.saturating_sub(heard)))
            }
            _ => (None, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_that_hears_nothing_says_what_it_last_knew() {
        let second = Duration::from_secs;
        let mut contact = Contact::default();
        assert_eq!(contact.lag(second(9)), (None, 0));
        contact.met(second(10), false);
        assert_eq!(contact.lag(second(11)), (None, 0), "it never had everything");
        contact.met(second(11), true);
        contact.met(second(14), false);
        assert_eq!(contact.lag(second(20)), (Some(3_000), 6_000));
        contact.reached(second(13));
        contact.reached(second(12));
        assert_eq!(contact.lag(second(20)), (Some(1_000), 6_000));
    }
}
