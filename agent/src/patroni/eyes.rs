//! Looks at the member: its Patroni and its database, in one picture.

use super::changed::{Changed, OnItsWay};
use super::file::PatroniFile;
use super::local::{Local, LocalError, Seen, Session};
use super::rest::{Patroni, RestError};
use crate::tls::TlsError;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tandem_core::patroni::{Access, Change, Member, Picture, Settings, Standing, Wanted};

/// How old a look may be that answers `GET state`.
const FRESH: Duration = Duration::from_millis(100);
/// How old may be what Patroni said. Each question costs it a handshake, in the time that it has for its database; and what is changed
/// by a call is known from the answer.
const PATRONI: Duration = Duration::from_secs(1);

/// What Patroni said.
#[derive(Clone, Debug)]
struct Said {
    settings: Option<Settings>,
    members: Option<Vec<Member>>,
    pause_seen: bool,
    trouble: Option<String>,
    at: Instant,
}

/// A look.
#[derive(Clone, Debug)]
pub struct Look {
    /// What was seen, but for [`Picture::access_overdue`], [`Picture::gate_closed`] and [`Picture::standing`].
    pub picture: Picture,
    /// The database's file is the list that Patroni was told.
    pub written: bool,
    /// The sessions of those that may write.
    pub sessions: BTreeSet<Session>,
    /// What could not be seen, and why.
    pub trouble: Option<String>,
    said: Said,
    began: Instant,
}

impl Look {
    /// Patroni was asked so lately that it need not be again.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.said.settings.is_some() && self.said.members.is_some() && self.said.at.elapsed() < PATRONI
    }

    /// With what Patroni has just become.
    fn changed(&self, settings: Settings) -> Self {
        let said = Said { settings: Some(settings), pause_seen: false, at: Instant::now(), ..self.said.clone() };
        Self { said, ..self.clone() }
    }

    fn order(&self) -> (Instant, Instant) {
        (self.said.at, self.began)
    }
}

/// That a list was asked to be loaded, when another had been.
#[derive(Clone, Copy, Debug)]
struct Asked {
    access: Access,
    loaded_before: f64,
}

/// Patroni and the database of one member.
#[derive(Debug)]
pub struct Eyes {
    name: String,
    wanted: Wanted,
    /// Patroni.
    pub patroni: Patroni,
    changed: Mutex<Changed>,
    /// The database.
    pub local: Local,
    asked: Mutex<Option<Asked>>,
    last: Mutex<Option<Arc<Look>>>,
    /// Whoever looks for somebody who could do with a look that is under way.
    looking: tokio::sync::Mutex<()>,
}

impl Eyes {
    /// For the member of this file.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn open(file: &PatroniFile) -> Result<Self, TlsError> {
        let wanted = file.wanted();
        Ok(Self {
            name: file.patroni.name.clone(),
            patroni: Patroni::open(&file.patroni)?,
            changed: Mutex::default(),
            local: Local::new(file, wanted.clone()),
            wanted,
            asked: Mutex::new(None),
            last: Mutex::new(None),
            looking: tokio::sync::Mutex::new(()),
        })
    }

    /// Looks now. Whether Patroni has seen a pause is asked only where it matters: it takes long while the database goes down.
    pub async fn look(&self, pause: bool) -> Arc<Look> {
        let at = Instant::now();
        let (settings, members, pause_seen, seen) = tokio::join!(
            self.patroni.settings(&self.wanted),
            self.patroni.members(),
            self.pause_seen(pause),
            self.local.look()
        );
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = settings.map(|said| changed.holds(said, Instant::now()));
        drop(changed);
        let trouble = settings.as_ref().err().or(members.as_ref().err()).map(ToString::to_string);
        let said = Said { settings: settings.ok(), members: members.ok(), pause_seen, trouble, at };
        self.keep(said, seen, at)
    }

    /// Looks at the database again. What Patroni said is as it was, but for a pause that it has not seen yet.
    pub async fn again(&self, before: &Look, pause: bool) -> Arc<Look> {
        let began = Instant::now();
        let ask = pause && !before.said.pause_seen;
        let (pause_seen, seen) = tokio::join!(self.pause_seen(ask), self.local.look());
        let said = Said { pause_seen: pause_seen || before.said.pause_seen, ..before.said.clone() };
        self.keep(said, seen, began)
    }

    /// Looks, unless somebody did within this time. Patroni is not asked again that just was.
    pub async fn recent(&self, age: Duration) -> Arc<Look> {
        let fresh = |last: &Arc<Look>| last.began.elapsed() < age.max(FRESH);
        if let Some(last) = self.last().filter(fresh) {
            return last;
        }
        let _turn = self.looking.lock().await;
        match self.last() {
            Some(last) if fresh(&last) => last,
            Some(last) if last.holds() => self.again(&last, false).await,
            _ => self.look(false).await,
        }
    }

    fn last(&self) -> Option<Arc<Look>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes Patroni's configuration. What it is then, beside what was seen.
    ///
    /// # Errors
    /// [`RestError`]; then it may be changed or not.
    pub async fn change(&self, look: &Look, change: Change) -> Result<Arc<Look>, RestError> {
        let on_its_way = OnItsWay::begin(&self.changed);
        let settings = self.patroni.change(look.picture.leaders_url(), change, &self.wanted).await?;
        on_its_way.answered(look.said.settings, settings, Instant::now());
        Ok(Arc::new(look.changed(settings)))
    }

    async fn pause_seen(&self, ask: bool) -> bool {
        if ask { self.patroni.pause_seen().await.unwrap_or(false) } else { false }
    }

    /// In one picture. It takes the place of the last look, unless that has newer things from Patroni.
    fn keep(&self, said: Said, seen: Seen, began: Instant) -> Arc<Look> {
        let access_in_force = said.settings.is_some_and(|settings| self.in_force(settings.access, &seen));
        let look = Arc::new(Look {
            written: said.settings.is_some_and(|settings| settings.access == seen.access),
            picture: Picture {
                name: self.name.clone(),
                settings: said.settings,
                members: said.members.clone(),
                pause_seen: said.pause_seen,
                database: seen.database,
                access_in_force,
                followed: seen.followed,
                access_overdue: false,
                sessions: u32::try_from(seen.sessions.len()).unwrap_or(u32::MAX),
                gate_closed: false,
                standing: Standing::default(),
            },
            sessions: seen.sessions,
            trouble: said.trouble.clone().or(seen.trouble),
            said,
            began,
        });
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| last.order() < look.order()) {
            *last = Some(Arc::clone(&look));
        }
        look
    }

    /// Whether whoever connects from now on is judged by this list: the file is this list, and the database has loaded its
    /// configuration since that was so. Two readings of its clock are compared for being the same alone: it may be set.
    fn in_force(&self, access: Access, seen: &Seen) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        seen.access == access
            && asked
                .is_some_and(|asked| asked.access == access && asked.loaded_before.to_bits() != seen.loaded.to_bits())
    }

    /// Has the database load its list, once Patroni has written it.
    ///
    /// # Errors
    /// Where the database does not take it.
    pub async fn reload(&self, access: Access) -> Result<(), LocalError> {
        let seen = self.local.look().await;
        if seen.access != access {
            return Ok(());
        }
        let already = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let same = asked
                .is_some_and(|asked| asked.access == access && asked.loaded_before.to_bits() == seen.loaded.to_bits());
            *asked = Some(Asked { access, loaded_before: seen.loaded });
            same
        };
        if already { Ok(()) } else { self.local.reload().await }
    }
}
