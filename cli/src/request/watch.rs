//! Following a request until it ends: by Server-Sent Events, and again from where they stopped.

use super::RequestError;
use super::client::{Client, encoded};
use super::https::NoAnswer;
use super::item::Item;
use super::sse::{Event, Parser, TooLong};
use super::watch_text::{silent, transitions};
use crate::exit::Exit;
use crate::language::Lang;
use crate::output;
use futures::StreamExt;
use std::time::Duration;
use tandem_crds::RequestPhase;
use tandem_logs::Chain;
use tokio::time::{Instant, sleep, timeout};

/// How to follow.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Give up after this time.
    pub timeout: Option<Duration>,
    /// The request was made just now: the API may not show it yet.
    pub fresh: bool,
    /// How fast it is tried again.
    pub pace: Pace,
}

/// How fast it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The first pause, where the stream does not say.
    pub first: Duration,
    /// The longest pause, unless the API asks for a longer one.
    pub longest: Duration,
    /// After how long without a byte the other end is taken for lost. The API sends something every 15 s.
    pub silence: Duration,
    /// How long a request that was made just now may not be there yet.
    pub appears: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            longest: Duration::from_secs(30),
            silence: Duration::from_secs(45),
            appears: Duration::from_secs(15),
        }
    }
}

/// Why a request could not be followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It takes longer than one wanted to wait.
    #[error("{name} has not ended after {seconds} s; it goes on by itself: tandem request watch {name}")]
    TooLong {
        /// The request.
        name: String,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// It was deleted meanwhile.
    #[error("{0} is no longer there: it was deleted; tandem request list shows what there is")]
    Gone(String),
    /// The stream is none of Tandem's.
    #[error(transparent)]
    Event(#[from] TooLong),
    /// An event is none of Tandem's.
    #[error("an event says what this program does not understand; is it older than the API?")]
    Unread(#[source] serde_json::Error),
}

/// How a stream ended.
enum Ended {
    /// The request has.
    Over(Exit),
    /// The stream has, and the request goes on.
    Open,
}

/// Follows a request. `Ok(Exit::Ok)`: it is provisioned; `Ok(Exit::Refused)`: it was rejected or withdrawn.
///
/// # Errors
/// Where it is not there, takes longer than is to be waited, or the API says that it may not be seen.
pub async fn follow(client: &mut Client, name: &str, how: How, lang: Lang) -> Result<Exit, RequestError> {
    let following = Follower { name, how, lang, parser: Parser::default(), seen: None, told: false, fails: 0 };
    match how.timeout {
        None => following.run(client).await,
        Some(limit) => timeout(limit, following.run(client))
            .await
            .unwrap_or_else(|_| Err(WatchError::TooLong { name: name.to_owned(), seconds: limit.as_secs() }.into())),
    }
}

struct Follower<'a> {
    name: &'a str,
    how: How,
    lang: Lang,
    parser: Parser,
    seen: Option<Item>,
    /// That the API is silent was said.
    told: bool,
    /// How often in a row nothing was heard.
    fails: u32,
}

impl Follower<'_> {
    async fn run(mut self, client: &mut Client) -> Result<Exit, RequestError> {
        let begun = Instant::now();
        let path = format!("/v1/requests/{}/events", encoded(self.name));
        // The first look says clearly what is wrong, after it was tried again as long as all calls are.
        if !self.how.fresh {
            let _: serde_json::Value = client.call(&super::look(self.name)).await?;
        }
        loop {
            let asked = match client.open(&path, self.parser.last_id()).await {
                Ok(stream) => self.read(stream.pieces).await,
                Err(error) => Err(error),
            };
            let least = match asked {
                Ok(Ended::Over(exit)) => return Ok(exit),
                Ok(Ended::Open) => None,
                Err(error) => match self.passing(&error, begun) {
                    Some(after) => {
                        self.silent(&error);
                        after
                    }
                    None if self.seen.is_some() && not_found(&error) => {
                        return Err(WatchError::Gone(self.name.to_owned()).into());
                    }
                    None => return Err(error),
                },
            };
            self.fails += 1;
            let pause = pause(self.how.pace, self.parser.retry(), self.fails, least);
            sleep(pause + pause.mul_f64(jitter() / 4.0)).await;
        }
    }

    /// Reads a stream to its end.
    async fn read(
        &mut self,
        mut pieces: futures::stream::BoxStream<'static, Result<bytes::Bytes, NoAnswer>>,
    ) -> Result<Ended, RequestError> {
        // What the last stream left unfinished is no part of this one.
        self.parser = std::mem::take(&mut self.parser).anew();
        loop {
            let Ok(Some(Ok(piece))) = timeout(self.how.pace.silence, pieces.next()).await else {
                return Ok(Ended::Open);
            };
            (self.told, self.fails) = (false, 0);
            for event in self.parser.push(&piece).map_err(WatchError::from)? {
                if let Some(exit) = self.event(&event)? {
                    return Ok(Ended::Over(exit));
                }
            }
        }
    }

    /// Tells of an event; the exit code where nothing comes after it.
    fn event(&mut self, event: &Event) -> Result<Option<Exit>, WatchError> {
        match event.kind.as_str() {
            "request" => {
                let item: Item = serde_json::from_str(&event.data).map_err(WatchError::Unread)?;
                for line in transitions(self.seen.as_ref(), &item, super::now(), self.lang) {
                    output::result(&format!("{line}\n"));
                }
                let exit = exit(item.phase());
                self.seen = Some(item);
                Ok(exit)
            }
            "end" => match self.seen.as_ref().and_then(|seen| exit(seen.phase())) {
                Some(exit) => Ok(Some(exit)),
                None => Err(WatchError::Gone(self.name.to_owned())),
            },
            // Of a later time.
            _ => Ok(None),
        }
    }

    /// After how long at least to try again, where what went wrong may pass.
    fn passing(&self, error: &RequestError, begun: Instant) -> Option<Option<Duration>> {
        match error {
            RequestError::NoAnswer { source: NoAnswer::Certificate(_), .. } => None,
            RequestError::NoAnswer { .. } => Some(None),
            RequestError::Problem(problem) if matches!(problem.status, 408 | 421 | 429 | 500..) => {
                Some(problem.retry_after)
            }
            RequestError::Problem(problem) => {
                let appears = self.how.fresh && self.seen.is_none() && begun.elapsed() < self.how.pace.appears;
                (problem.status == 404 && appears).then_some(None)
            }
            // Whoever keeps the file fresh may be about to.
            RequestError::File { .. } | RequestError::NoToken { .. } if self.seen.is_some() => Some(None),
            _ => None,
        }
    }

    fn silent(&mut self, error: &RequestError) {
        // That what was made just now is not there yet is no news.
        if not_found(error) || std::mem::replace(&mut self.told, true) {
            return;
        }
        let why = match error {
            RequestError::Problem(problem) => problem.line(),
            other => Chain(other).to_string(),
        };
        output::note(&silent(&why, self.lang));
    }
}

fn not_found(error: &RequestError) -> bool {
    matches!(error, RequestError::Problem(problem) if problem.status == 404)
}

/// The exit code of a request that has ended.
#[must_use]
pub fn exit(phase: RequestPhase) -> Option<Exit> {
    match phase {
        RequestPhase::Provisioned => Some(Exit::Ok),
        RequestPhase::Rejected | RequestPhase::Withdrawn => Some(Exit::Refused),
        RequestPhase::Pending
        | RequestPhase::Approved
        | RequestPhase::Provisioning
        | RequestPhase::PartiallyProvisioned => None,
    }
}

/// The shortest pause, whatever the API says.
const SHORTEST: Duration = Duration::from_millis(100);

/// How long to wait before it is tried again: doubled each time, never less than the API asks for.
fn pause(pace: Pace, retry: Option<u64>, fails: u32, least: Option<Duration>) -> Duration {
    let first = retry.map_or(pace.first, Duration::from_millis).clamp(SHORTEST, pace.longest);
    let doubled = first.saturating_mul(2_u32.saturating_pow(fails.saturating_sub(1).min(16)));
    doubled.min(pace.longest).max(least.unwrap_or_default())
}

/// A number from 0 to 1, so that all who were cut off at once do not come back at once.
fn jitter() -> f64 {
    let [first, ..] = *uuid::Uuid::new_v4().as_bytes();
    f64::from(first) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_never_fall_below_what_is_asked() {
        let seconds = Duration::from_secs;
        let of = |retry, fails, least| pause(Pace::default(), retry, fails, least);
        let grown: Vec<Duration> = (1..=6).map(|fails| of(None, fails, None)).collect();
        assert_eq!(grown, [2, 4, 8, 16, 30, 30].map(seconds));
        assert_eq!(of(Some(500), 1, None), Duration::from_millis(500));
        assert_eq!(of(Some(0), 1, None), SHORTEST, "no storm, whatever the API says");
        assert_eq!(of(Some(u64::MAX), u32::MAX, None), seconds(30));
        assert_eq!(of(None, 1, Some(seconds(90))), seconds(90));
        assert!((0.0..=1.0).contains(&jitter()));
    }

    #[test]
    fn exit_codes_of_requests_that_ended() {
        assert_eq!(exit(RequestPhase::Provisioned), Some(Exit::Ok));
        assert_eq!(exit(RequestPhase::Rejected), Some(Exit::Refused));
        assert_eq!(exit(RequestPhase::Withdrawn), Some(Exit::Refused));
        for phase in [
            RequestPhase::Pending,
            RequestPhase::Approved,
            RequestPhase::Provisioning,
            RequestPhase::PartiallyProvisioned,
        ] {
            assert_eq!((exit(phase), phase.ended()), (None, false));
        }
    }
}
