//! Following a move until it ends: a table that is drawn anew on a terminal, lines of what changes elsewhere.

use super::api::{self, ApiError};
use super::watch_text::{board, transitions};
use crate::canvas::Canvas;
use crate::exit::Exit;
use crate::language::Lang;
use crate::output;
use console::Term;
use kube::api::Api;
use kube::{Client, Error, ResourceExt};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tandem_crds::{Failover, FailoverGroup, FailoverPhase};
use tandem_logs::Chain;

const POLL: Duration = Duration::from_millis(500);
/// How long one look may take. A site may be lost while one watches: then the next look comes soon.
const LOOK: Duration = Duration::from_secs(5);
/// How often lags are looked at.
const LAGS: Duration = Duration::from_secs(5);

/// How to follow.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Draw a table anew, instead of writing lines.
    pub terminal: bool,
    /// Give up after this time.
    pub timeout: Option<Duration>,
    /// How often to look.
    pub poll: Duration,
}

impl How {
    /// A table where there is a terminal, unless lines are asked for.
    #[must_use]
    pub fn new(plain: bool, timeout: Option<u64>) -> Self {
        Self { terminal: !plain && Term::stdout().is_term(), timeout: timeout.map(Duration::from_secs), poll: POLL }
    }
}

/// Why a move could not be followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is none.
    #[error("there has been no failover at this site: `tandem failover plan` shows what one would do")]
    None,
    /// It was deleted meanwhile.
    #[error("{0} was deleted at this site; `tandem groups` shows where the groups are")]
    Gone(String),
    /// It takes longer than one wanted to wait.
    #[error("{name} has not ended after {seconds} s; it goes on by itself: tandem failover watch {name}")]
    TooLong {
        /// The Failover.
        name: String,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// None began within the time that one wanted to wait.
    #[error("no move began within {seconds} s")]
    NoneBegan {
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// The name of the newest move that is under way, or else of the next that begins, once it has.
///
/// # Errors
/// When it takes longer than is to be waited, or the API server refuses to show moves.
pub async fn next(client: &Client, how: How, lang: Lang) -> Result<String, WatchError> {
    let begun = Instant::now();
    // The first look says clearly what is wrong; later ones go on as long as it takes.
    let mut all: Vec<Failover> = api::list(client).await?;
    let mut screen = Screen::new(false);
    output::note(match lang {
        Lang::En => "waiting for a move to begin",
        Lang::Zh => "等待切换开始",
    });
    loop {
        if let Some(found) = newest(all.iter().filter(|failover| is_under_way(failover))) {
            return Ok(found);
        }
        if let Some(limit) = how.timeout.filter(|limit| begun.elapsed() >= *limit) {
            return Err(WatchError::NoneBegan { seconds: limit.as_secs() });
        }
        tokio::time::sleep(how.poll).await;
        let asked = tokio::time::timeout(LOOK, api::list(client)).await;
        let answer = match asked {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(Chain(&error).to_string()),
            Err(_) => Err(no_answer()),
        };
        all = screen.answered(answer, lang).unwrap_or_default();
    }
}

fn is_under_way(failover: &Failover) -> bool {
    !failover.status.as_ref().is_some_and(|status| status.phase.ended())
}

fn newest<'a>(all: impl Iterator<Item = &'a Failover>) -> Option<String> {
    all.max_by_key(|failover| (failover.creation_timestamp().map(|time| time.0), failover.name_any()))
        .map(ResourceExt::name_any)
}

fn no_answer() -> String {
    format!("no answer within {} s", LOOK.as_secs())
}

/// The name of the newest move.
///
/// # Errors
/// When there is none, or the cluster cannot be read.
pub async fn latest(client: &Client) -> Result<String, WatchError> {
    let all: Vec<Failover> = api::list(client).await?;
    newest(all.iter()).ok_or(WatchError::None)
}

/// Follows a move. `Ok(Exit::Ok)`: it is completed; `Ok(Exit::Refused)`: it ended otherwise, or without a terminal needs a
/// person.
///
/// # Errors
/// When it is not there, takes longer than is to be waited, or the API server refuses to show it.
pub async fn follow(client: &Client, name: &str, how: How, lang: Lang) -> Result<Exit, WatchError> {
    let begun = Instant::now();
    // The first look says clearly what is wrong; later ones go on as long as it takes.
    let mut seen: Failover = api::get(client, name).await?;
    let mut screen = Screen::new(how.terminal);
    let mut lags = Lags::default();
    let mut before: Option<Failover> = None;
    loop {
        let now = super::now();
        if how.terminal {
            lags.refresh(client).await;
            screen.draw(&seen, &lags.known, now, lang);
        } else {
            for line in transitions(before.as_ref(), &seen, now, lang) {
                output::result(&format!("{line}\n"));
            }
        }
        let phase = seen.status.as_ref().map(|status| status.phase).unwrap_or_default();
        match phase {
            FailoverPhase::Completed => return Ok(Exit::Ok),
            phase if phase.ended() => return Ok(Exit::Refused),
            // A person at a terminal sees it and may mend it; a script would wait for ever.
            FailoverPhase::NeedsHuman if !how.terminal => return Ok(Exit::Refused),
            _ => {}
        }
        before = Some(seen.clone());
        loop {
            if let Some(limit) = how.timeout.filter(|limit| begun.elapsed() >= *limit) {
                return Err(WatchError::TooLong { name: name.to_owned(), seconds: limit.as_secs() });
            }
            tokio::time::sleep(how.poll).await;
            if let Some(found) = screen.answered(look(client, name).await?, lang) {
                seen = found;
                break;
            }
        }
    }
}

/// One look; `Ok(Err(why))` where another may have another answer.
async fn look(client: &Client, name: &str) -> Result<Result<Failover, String>, WatchError> {
    let api: Api<Failover> = Api::all(client.clone());
    match tokio::time::timeout(LOOK, api.get(name)).await {
        Ok(Ok(found)) => Ok(Ok(found)),
        Ok(Err(Error::Api(status))) if status.code == 404 => Err(WatchError::Gone(name.to_owned())),
        Ok(Err(Error::Api(status))) => Ok(Err(format!("{} {}", status.code, status.message))),
        Ok(Err(error)) => Ok(Err(Chain(&error).to_string())),
        Err(_) => Ok(Err(no_answer())),
    }
}

/// How far standbys are behind, in seconds, as the groups' status says.
#[derive(Default)]
struct Lags {
    known: BTreeMap<String, i64>,
    looked: Option<Instant>,
}

impl Lags {
    /// Looks again where that was long ago. What cannot be read is left as it is: the move itself is the point.
    async fn refresh(&mut self, client: &Client) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LAGS) {
            return;
        }
        self.looked = Some(Instant::now());
        let api: Api<FailoverGroup> = Api::all(client.clone());
        if let Ok(Ok(groups)) = tokio::time::timeout(LOOK, api.list(&kube::api::ListParams::default())).await {
            let lag = |group: &FailoverGroup| Some((group.name_any(), group.status.as_ref()?.lag_seconds?));
            self.known = groups.iter().filter_map(lag).collect();
        }
    }
}

/// What is on the terminal.
struct Screen {
    canvas: Option<Canvas>,
    /// That the API server does not answer was told.
    told: bool,
}

impl Screen {
    fn new(terminal: bool) -> Self {
        Self { canvas: terminal.then(Canvas::of_stdout).flatten(), told: false }
    }

    fn draw(&mut self, failover: &Failover, lags: &BTreeMap<String, i64>, now: jiff::Timestamp, lang: Lang) {
        let Some(canvas) = &mut self.canvas else { return };
        canvas.draw(&board(failover, lags, now, canvas.room().0, lang));
    }

    /// What was seen; where nothing was, that is told once.
    fn answered<T>(&mut self, answer: Result<T, String>, lang: Lang) -> Option<T> {
        match answer {
            Ok(found) => {
                self.told = false;
                Some(found)
            }
            Err(why) => {
                if !std::mem::replace(&mut self.told, true) {
                    output::note(&match lang {
                        Lang::En => format!(
                            "this site's API does not answer ({why}); trying again. The other site shows the groups as well: tandem groups --context SITE"
                        ),
                        Lang::Zh => format!(
                            "本站点 API 无应答（{why}），正在重试。也可在另一站点查看：tandem groups --context SITE"
                        ),
                    });
                    self.canvas.iter_mut().for_each(Canvas::leave);
                }
                None
            }
        }
    }
}
