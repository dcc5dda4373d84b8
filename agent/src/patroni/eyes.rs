//! Looks at the member: its Patroni and its database, in one picture.

use super::file::PatroniFile;
use super::local::{Local, LocalError, Seen, Session};
use super::rest::{Patroni, RestError};
use crate::tls::TlsError;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tandem_core::patroni::{Access, Picture, Standing, Wanted};

/// How old a look may be that answers `GET state`.
const FRESH: Duration = Duration::from_millis(50);

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
    /// The database.
    pub local: Local,
    asked: Mutex<Option<Asked>>,
    last: tokio::sync::Mutex<Option<(Instant, Arc<Look>)>>,
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
            local: Local::new(file.postgresql.clone(), wanted.clone(), file.watch.user.clone()),
            wanted,
            asked: Mutex::new(None),
            last: tokio::sync::Mutex::new(None),
        })
    }

    /// What the configuration is to become.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Looks now. Whether Patroni has seen a pause is asked only where it matters: it takes long while the database goes down.
    pub async fn look(&self, pause: bool) -> Look {
        let seeing = async { if pause { self.patroni.pause_seen().await.unwrap_or(false) } else { false } };
        let (settings, members, pause_seen, seen) =
            tokio::join!(self.patroni.settings(&self.wanted), self.patroni.members(), seeing, self.local.look());
        let unanswered: Option<&RestError> = settings.as_ref().err().or(members.as_ref().err());
        let trouble = unanswered.map(ToString::to_string).or_else(|| seen.trouble.clone());
        let settings = settings.ok();
        let access_in_force = settings.is_some_and(|settings| self.in_force(settings.access, &seen));
        let written = settings.is_some_and(|settings| settings.access == seen.access);
        Look {
            written,
            picture: Picture {
                name: self.name.clone(),
                settings,
                members: members.ok(),
                pause_seen,
                database: seen.database,
                access_in_force,
                access_overdue: false,
                sessions: u32::try_from(seen.sessions.len()).unwrap_or(u32::MAX),
                gate_closed: false,
                standing: Standing::default(),
            },
            sessions: seen.sessions,
            trouble,
        }
    }

    /// Looks, unless somebody just did.
    pub async fn recent(&self, age: Duration) -> Arc<Look> {
        let mut last = self.last.lock().await;
        if let Some((at, look)) = &*last
            && at.elapsed() < age.max(FRESH)
        {
            return Arc::clone(look);
        }
        let look = Arc::new(self.look(false).await);
        *last = Some((Instant::now(), Arc::clone(&look)));
        look
    }

    /// The next look is one of its own.
    pub async fn forget(&self) {
        *self.last.lock().await = None;
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
