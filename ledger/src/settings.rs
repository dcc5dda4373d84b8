//! How the database is reached: a folder with a file for each value, as a mounted Secret is, or the same values as environment
//! variables, as an Application's pods see a Secret.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// How the database is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name or address; its certificate must bear it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database's name.
    pub dbname: String,
    /// As whom.
    pub user: String,
    /// With which password.
    pub password: String,
    /// The authority of the server's certificate, PEM.
    pub authority: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, dbname, user, password: _, authority: _ } = self;
        write!(f, "{user} at {host}:{port}/{dbname}")
    }
}

/// Why it is not known how the database is reached.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value is not there.
    #[error("{0} is not there; give the Secret's folder with --database, or its keys as environment variables")]
    Missing(String),
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    File {
        /// The file.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// The port is no number.
    #[error("port is '{0}'; write a number from 1 to 65535")]
    Port(String),
}

impl Settings {
    /// Reads the files of a folder: `host`, `port`, `dbname`, `user`, `password`, `ca.crt`.
    ///
    /// # Errors
    /// When one is missing or makes no sense.
    pub fn from_folder(folder: &Path) -> Result<Self, SettingsError> {
        Self::read(|key| {
            let path = folder.join(key);
            let shown = path.display().to_string();
            match fs::read_to_string(&path) {
                Ok(text) => Ok(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SettingsError::Missing(shown)),
                Err(source) => Err(SettingsError::File { file: shown, source }),
            }
        })
    }

    /// Takes the same keys from the environment.
    ///
    /// # Errors
    /// When one is missing or makes no sense.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        Self::read(|key| variable(key).ok_or_else(|| SettingsError::Missing(format!("the environment variable {key}"))))
    }

    fn read(value: impl Fn(&str) -> Result<String, SettingsError>) -> Result<Self, SettingsError> {
        // An editor's last line end is nobody's password.
        let line = |key: &str| value(key).map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        let port = line("port")?;
        Ok(Self {
            host: line("host")?,
            port: port.parse().ok().filter(|port| *port != 0).ok_or(SettingsError::Port(port))?,
            dbname: line("dbname")?,
            user: line("user")?,
            password: line("password")?,
            authority: value("ca.crt")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 6] = [
        ("host", "10.90.0.11"),
        ("port", "5432"),
        ("dbname", "app"),
        ("user", "ledger"),
        ("password", "secret"),
        ("ca.crt", "PEM"),
    ];

    fn environment(key: &str) -> Option<String> {
        KEYS.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_folder_and_the_environment_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for (key, value) in KEYS {
            fs::write(folder.path().join(key), format!("{value}\n")).unwrap();
        }
        let mut read = Settings::from_folder(folder.path()).unwrap();
        read.authority = read.authority.trim().to_owned();
        assert_eq!(read, Settings::from_environment(environment).unwrap());
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn what_is_missing_or_no_port_is_named() {
        for (missing, _) in KEYS {
            let error = Settings::from_environment(|key| environment(key).filter(|_| key != missing)).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
        let error = Settings::from_environment(|key| if key == "port" { Some("pg".into()) } else { environment(key) });
        assert_eq!(error.unwrap_err().to_string(), "port is 'pg'; write a number from 1 to 65535");
    }
}
