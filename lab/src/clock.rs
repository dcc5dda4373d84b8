//! Wall clocks that are wrong: Debian's libfaketime, before a program's own `clock_gettime`. Boot clocks stay as they are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How far a wall clock is off, and what makes it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongClock {
    seconds: i64,
    library: PathBuf,
}

impl WrongClock {
    /// A clock that is off by so many seconds.
    ///
    /// # Errors
    /// When the library is not installed.
    pub fn new(seconds: i64) -> io::Result<Self> {
        let found = fs::read_dir("/usr/lib")?
            .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketime.so.1")))
            .find(|library| library.is_file());
        let missing = || io::Error::new(io::ErrorKind::NotFound, "libfaketime is missing; apt-get install libfaketime");
        Ok(Self { seconds, library: found.ok_or_else(missing)? })
    }

    /// The clock of a place's operators, as it was last set; `None` where it is right.
    ///
    /// # Errors
    /// When it is wrong and the library is not installed, or the file cannot be read.
    pub fn read(file: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(file) {
            Ok(text) => text.trim().parse().map_err(io::Error::other).and_then(Self::new).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the clock of a place's operators, for when they are started next; 0 sets it right.
    ///
    /// # Errors
    /// When the library is not installed, or the file cannot be written.
    pub fn write(file: &Path, seconds: i64) -> io::Result<()> {
        if seconds != 0 {
            Self::new(seconds)?;
            return fs::write(file, seconds.to_string());
        }
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What a program is started with.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME", format!("{:+}", self.seconds)),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_right() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("clock");
        assert_eq!(WrongClock::read(&file).unwrap(), None);
        WrongClock::write(&file, 0).unwrap();
        fs::write(&file, "an hour").unwrap();
        assert!(WrongClock::read(&file).is_err(), "nonsense is not taken for a right clock");
    }

    #[test]
    fn only_the_wall_clock_is_moved() {
        let clock = WrongClock { seconds: -3600, library: "/l".into() };
        let environment = clock.environment();
        assert!(environment.contains(&("FAKETIME", "-3600".to_owned())));
        assert!(environment.contains(&("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())));
    }
}
