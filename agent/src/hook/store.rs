//! The data: numbers in the order in which they were written, each with the epoch under which that was; the role; the highest
//! token seen. All of it on disk before anything is said of it.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tandem_arbiter::hooks::{Call, Memory, Seen};
use tandem_core::failover::{Role, Token};

/// One number that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The epoch under which it was written. Each epoch is one site's, so that two entries of one epoch and place are the same.
    pub epoch: u64,
    /// The number.
    pub value: u64,
}

/// What is kept beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    role: Role,
    memory: Memory,
    /// The epoch of the last promotion here: what is written now is written under it.
    epoch: u64,
}

/// Why a call is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A higher token was seen.
    #[error("a higher token was seen")]
    Token(Seen),
    /// It makes no sense as the data stands.
    #[error("{call} makes no sense while the data is {role:?}")]
    Role {
        /// The call.
        call: &'static str,
        /// How the data stands.
        role: Role,
    },
    /// The disk did not take it.
    #[error("the disk did not take it")]
    Disk(#[from] io::Error),
}

/// The data of one site.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    entries: Vec<Entry>,
    file: File,
    standing: Standing,
}

impl Store {
    /// Opens the folder, or begins in it with this role.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn open(folder: &Path, first: Role) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("entries.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            read => read.unwrap_or_default(),
        };
        // What a loss of power left half written was never acknowledged.
        let entries: Vec<Entry> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        let standing = match std::fs::read(folder.join("standing.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Standing { role: first, memory: Memory::default(), epoch: u64::from(first == Role::Active) }
            }
            Err(error) => return Err(error),
        };
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut store = Self { folder: folder.to_owned(), entries, file, standing };
        store.rewrite()?;
        store.keep(store.standing)?;
        Ok(store)
    }

    fn keep(&mut self, standing: Standing) -> io::Result<()> {
        crate::disk::replace(&self.folder.join("standing.json"), &serde_json::to_vec(&standing)?)?;
        self.standing = standing;
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let (path, new) = (self.folder.join("entries.jsonl"), self.folder.join("entries.jsonl.new"));
        let mut text = Vec::new();
        for entry in &self.entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        std::fs::write(&new, text)?;
        std::fs::rename(new, &path)?;
        self.file = OpenOptions::new().append(true).open(&path)?;
        Ok(())
    }

    /// What the data is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.standing.role
    }

    /// The highest token seen.
    #[must_use]
    pub fn token(&self) -> Token {
        self.standing.memory.highest()
    }

    /// How many numbers there are: the position.
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    /// The numbers from a position on, so many at most.
    #[must_use]
    pub fn after(&self, position: u64, most: usize) -> &[Entry] {
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(self.entries.len());
        &self.entries[from..self.entries.len().min(from.saturating_add(most))]
    }

    /// The epoch under which is written now; `None` where the data does not take writes.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        (self.standing.role == Role::Active).then_some(self.standing.epoch)
    }

    /// Where each epoch began, the first first.
    #[must_use]
    pub fn history(&self) -> Vec<(u64, u64)> {
        let mut history: Vec<(u64, u64)> = Vec::new();
        for (at, entry) in (0u64..).zip(&self.entries) {
            if history.last().is_none_or(|(epoch, _)| *epoch != entry.epoch) {
                history.push((entry.epoch, at));
            }
        }
        history
    }

    /// Writes a number, and gives its position.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn write(&mut self, value: u64) -> io::Result<u64> {
        self.append(&[Entry { epoch: self.standing.epoch, value }])?;
        Ok(self.position())
    }

    /// Takes over what the active site has written.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.entries.extend_from_slice(entries);
        Ok(())
    }

    /// Drops what the active site does not have; says how many that were.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn agree_with(&mut self, history: &[(u64, u64)], position: u64, active: Option<u64>) -> io::Result<usize> {
        let epoch_there = |at: u64| history.iter().rev().find(|(_, from)| *from <= at).map(|(epoch, _)| *epoch);
        let last = self.entries.last().map_or(0, |entry| entry.epoch);
        // What is beyond the other's end is only ahead of it, unless the other is active under a later epoch.
        let end = if active.is_some_and(|active| active > last) { position } else { u64::MAX };
        let agree = (0u64..)
            .zip(&self.entries)
            .take_while(|(at, entry)| *at < end && (*at >= position || epoch_there(*at) == Some(entry.epoch)));
        let keep = agree.count();
        let dropped = self.entries.len() - keep;
        if dropped > 0 {
            self.entries.truncate(keep);
            self.rewrite()?;
        }
        Ok(dropped)
    }

    /// Takes in the token of a call, and where it may be carried out the role that it leads to. The token is on disk before
    /// anything is done, the role with it.
    ///
    /// # Errors
    /// [`Refusal`]; of [`Refusal::Token`] nothing is kept.
    pub fn take(&mut self, call: Call, token: Token, temporary: bool) -> Result<Role, Refusal> {
        let mut next = self.standing;
        next.memory.take(token).map_err(Refusal::Token)?;
        let role = self.standing.role;
        let to = match (call, role) {
            (Call::Quiesce, Role::Active | Role::Quiesced) => Role::Quiesced,
            (Call::FinalSync, Role::Quiesced) => Role::Quiesced,
            (Call::Demote, _) => Role::Standby,
            (Call::Fence, role) if temporary || role == Role::Standby => role,
            (Call::Fence, _) => Role::Fenced,
            (Call::Promote | Call::Resume, _) => Role::Active,
            (Call::Quiesce | Call::FinalSync, role) => {
                self.keep(next)?;
                return Err(Refusal::Role { call: call.name(), role });
            }
        };
        next.role = to;
        if to == Role::Active {
            next.epoch = token.epoch;
        }
        if next != self.standing {
            self.keep(next)?;
        }
        Ok(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(epoch: u64, step: u32) -> Token {
        Token { generation: 1, epoch, execution: 7, step }
    }

    fn open(folder: &Path, role: Role) -> Store {
        Store::open(folder, role).unwrap()
    }

    #[test]
    fn role_token_and_numbers_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path(), Role::Active);
        assert_eq!((store.write(5).unwrap(), store.write(6).unwrap()), (1, 2));
        store.take(Call::Quiesce, token(1, 3), false).unwrap();
        let mut again = open(folder.path(), Role::Active);
        assert_eq!((again.role(), again.position(), again.token()), (Role::Quiesced, 2, token(1, 3)));
        assert!(matches!(again.take(Call::Resume, token(1, 2), false), Err(Refusal::Token(_))));
        assert_eq!(again.role(), Role::Quiesced);
        assert_eq!(again.take(Call::Quiesce, token(1, 3), false).unwrap(), Role::Quiesced, "the same again");
        assert_eq!(again.take(Call::Resume, token(1, 4), false).unwrap(), Role::Active);
    }

    #[test]
    fn a_temporary_fence_leaves_the_role_and_a_standby_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path(), Role::Active);
        assert_eq!(store.take(Call::Fence, token(1, 0), true).unwrap(), Role::Active);
        assert_eq!(store.take(Call::Fence, token(1, 0), false).unwrap(), Role::Fenced);
        assert_eq!(store.take(Call::Demote, token(1, 1), false).unwrap(), Role::Standby);
        assert_eq!(store.take(Call::Fence, token(1, 2), false).unwrap(), Role::Standby);
        assert!(matches!(store.take(Call::Quiesce, token(1, 3), false), Err(Refusal::Role { .. })));
        assert_eq!(store.token(), token(1, 3));
    }

    #[test]
    fn a_former_active_drops_what_the_new_one_never_got() {
        let folder = tempfile::tempdir().unwrap();
        let mut old = open(folder.path(), Role::Active);
        for value in 0..5 {
            old.write(value).unwrap();
        }
        old.take(Call::Demote, token(2, 0), false).unwrap();
        // Another that is merely behind takes nothing away.
        assert_eq!(old.agree_with(&[(1, 0)], 3, None).unwrap(), 0);
        assert_eq!(old.agree_with(&[(1, 0)], 3, Some(1)).unwrap(), 0);
        // The new one got three, and has written nothing, or two, of its own.
        assert_eq!(old.agree_with(&[(1, 0)], 3, Some(2)).unwrap(), 2);
        old.append(&[Entry { epoch: 1, value: 3 }]).unwrap();
        assert_eq!(old.agree_with(&[(1, 0), (2, 3)], 5, Some(2)).unwrap(), 1);
        old.append(&[Entry { epoch: 2, value: 9 }]).unwrap();
        assert_eq!(old.agree_with(&[(1, 0), (2, 3)], 5, Some(2)).unwrap(), 0);
        assert_eq!((old.history(), old.position()), (vec![(1, 0), (2, 3)], 4));
        assert_eq!(open(folder.path(), Role::Active).after(3, 10), [Entry { epoch: 2, value: 9 }]);
    }
}
