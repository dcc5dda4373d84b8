//! What a member's agent keeps on disk: the highest token seen, and what it was told.

use crate::disk;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use tandem_arbiter::hooks::{Memory, Seen};
use tandem_core::failover::{Dropped, Token};
use tandem_core::patroni::Standing;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    memory: Memory,
    standing: Standing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dropped: Option<Dropped>,
}

/// The file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    kept: Kept,
}

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A higher one was seen.
    #[error("a higher token was seen")]
    Token(Seen),
    /// The disk did not take it.
    #[error("the disk did not take it")]
    Disk(#[from] io::Error),
}

impl Store {
    /// Opens the folder, or begins in it.
    ///
    /// # Errors
    /// Where it cannot be read or written. What is there and cannot be read is never begun anew: it has the highest token.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("standing.json");
        let kept = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, kept })
    }

    fn keep(&mut self, kept: Kept) -> io::Result<()> {
        if kept != self.kept {
            disk::replace(&self.path, &serde_json::to_vec(&kept)?)?;
            self.kept = kept;
        }
        Ok(())
    }

    /// Takes in a token: on disk before anything is done under it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn take(&mut self, token: Token) -> Result<(), Refusal> {
        let mut kept = self.kept.clone();
        kept.memory.take(token).map_err(Refusal::Token)?;
        Ok(self.keep(kept)?)
    }

    /// The highest token seen.
    #[must_use]
    pub fn token(&self) -> Token {
        self.kept.memory.highest()
    }

    /// What it was told.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.kept.standing
    }

    /// Is told something else.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn stand(&mut self, standing: Standing) -> io::Result<()> {
        self.keep(Kept { standing, ..self.kept.clone() })
    }

    /// What the database threw away when it last became a standby.
    #[must_use]
    pub fn dropped(&self) -> Option<Dropped> {
        self.kept.dropped
    }

    /// Keeps what the database throws away.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn drop(&mut self, dropped: Option<Dropped>) -> io::Result<()> {
        self.keep(Kept { dropped, ..self.kept.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_and_what_was_told_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let token = |step| Token { generation: 1, epoch: 2, execution: 7, step };
        let mut store = Store::open(folder.path()).unwrap();
        store.take(token(4)).unwrap();
        store.stand(Standing { stopped: true, ..Standing::default() }).unwrap();
        let mut again = Store::open(folder.path()).unwrap();
        assert!(again.standing().stopped);
        assert!(matches!(again.take(token(3)), Err(Refusal::Token(_))));
        assert_eq!(again.token(), token(4));
        std::fs::write(folder.path().join("standing.json"), "half").unwrap();
        assert!(Store::open(folder.path()).is_err());
    }
}
