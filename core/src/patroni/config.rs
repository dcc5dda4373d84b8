//! Patroni's dynamic configuration, as far as it matters here: what is read of it, and the four changes that are made to it.

use super::{Member, Rank};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Who may connect, by the list `pg_hba`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// The list is the open one.
    Open,
    /// The list is the closed one: no application gets in.
    Closed,
    /// The list is another, or there is none.
    Other,
}

/// What the dynamic configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Patroni leaves the database alone.
    pub paused: bool,
    /// The cluster follows another.
    pub standby: bool,
    /// Who may connect.
    pub access: Access,
    /// The list bears the mark of [`Change::Rewrite`].
    pub marked: bool,
}

/// What the dynamic configuration is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The lines of `pg_hba` that are always there.
    pub always: Vec<String>,
    /// The lines that let the applications in.
    pub open: Vec<String>,
    /// The body of `standby_cluster`.
    pub standby: Value,
    /// `maximum_lag_on_failover` of a cluster that takes writes, in bytes.
    pub most_lag: u64,
}

/// That of a cluster that follows: any. Its members are compared with where the cluster's own leader once was; a former primary that
/// was rewound is behind that, could not lead, and so would never be sent what it lacks.
const ANY_LAG: u64 = (1 << 53) - 1;

/// What is said to everybody else while the list is closed.
const CLOSED: [&str; 2] = ["local all all reject", "host all all all reject"];

/// One change of the dynamic configuration. Each is one body of `PATCH /config`, and may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Patroni leaves the database alone.
    Pause,
    /// No application gets in any more.
    Close,
    /// Follow the other site, and let Patroni see to it.
    Follow,
    /// Be a primary, let the applications in, and let Patroni see to it.
    Serve,
    /// The same list in another text. Patroni (3.0.2) that is told of a list while it starts its database takes it in and does not
    /// write it; only another text makes it write.
    Rewrite {
        /// It is the closed list.
        closed: bool,
        /// It bears a mark, or bears none.
        marked: bool,
    },
}

/// The mark: a comment, which says nothing to PostgreSQL.
const MARK: &str = "# again";

/// The configuration is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not what Patroni's REST API answers with")]
pub struct NotConfig(&'static str);

impl Wanted {
    /// The open list.
    #[must_use]
    pub fn opened(&self) -> Vec<String> {
        self.always.iter().chain(&self.open).cloned().collect()
    }

    /// The closed list. It is replaced whole, so that nothing of the open one stays.
    #[must_use]
    pub fn closed(&self) -> Vec<String> {
        self.always.iter().cloned().chain(CLOSED.map(str::to_owned)).collect()
    }

    /// Which of the two a list is. Spaces do not matter.
    #[must_use]
    pub fn access<S: AsRef<str>>(&self, lines: &[S]) -> Access {
        let lines: Vec<&str> =
            lines.iter().map(AsRef::as_ref).filter(|line| !line.trim_start().starts_with('#')).collect();
        let same = |list: &[String]| {
            lines.len() == list.len()
                && lines.iter().zip(list).all(|(a, b)| a.split_whitespace().eq(b.split_whitespace()))
        };
        match () {
            () if same(&self.closed()) => Access::Closed,
            () if same(&self.opened()) => Access::Open,
            () => Access::Other,
        }
    }

    /// The body of a change.
    #[must_use]
    pub fn body(&self, change: Change) -> Value {
        match change {
            Change::Pause => json!({"pause": true}),
            Change::Close => json!({"postgresql": {"pg_hba": self.closed()}}),
            Change::Follow => {
                json!({"pause": null, "standby_cluster": self.standby, "maximum_lag_on_failover": ANY_LAG})
            }
            Change::Serve => json!({
                "pause": null,
                "standby_cluster": null,
                "postgresql": {"pg_hba": self.opened()},
                "maximum_lag_on_failover": self.most_lag,
            }),
            Change::Rewrite { closed, marked } => {
                let mut lines = if closed { self.closed() } else { self.opened() };
                lines.extend(marked.then(|| MARK.to_owned()));
                json!({"postgresql": {"pg_hba": lines}})
            }
        }
    }

    /// Reads the answer to `GET /config`.
    ///
    /// # Errors
    /// [`NotConfig`].
    pub fn settings(&self, config: &Value) -> Result<Settings, NotConfig> {
        let config = config.as_object().ok_or(NotConfig("GET /config"))?;
        let set = |name: &str| config.get(name).is_some_and(|value| !value.is_null());
        let paused = match config.get("pause") {
            None | Some(Value::Null) => false,
            Some(value) => value.as_bool().ok_or(NotConfig("pause in GET /config"))?,
        };
        let list = config.get("postgresql").and_then(|part| part.get("pg_hba")).and_then(Value::as_array);
        let lines: Option<Vec<&str>> = list.map(|list| list.iter().map(|line| line.as_str().unwrap_or("?")).collect());
        let marked = lines.as_ref().is_some_and(|lines| lines.contains(&MARK));
        let access = lines.map_or(Access::Other, |lines| self.access(&lines));
        Ok(Settings { paused, standby: set("standby_cluster"), access, marked })
    }
}

/// A short mark of a text: another text has another.
#[must_use]
pub fn mark(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

/// Reads the answer to `GET /cluster`.
///
/// # Errors
/// [`NotConfig`].
pub fn members(cluster: &Value) -> Result<Vec<Member>, NotConfig> {
    let text = |member: &Value, field: &str| member.get(field).and_then(Value::as_str).map(str::to_owned);
    let one = |member: &Value| {
        let role = text(member, "role").ok_or(NotConfig("a member's role in GET /cluster"))?;
        let state = text(member, "state").unwrap_or_default();
        let url = text(member, "api_url").ok_or(NotConfig("a member's api_url in GET /cluster"))?;
        Ok(Member {
            name: text(member, "name").ok_or(NotConfig("a member's name in GET /cluster"))?,
            rank: if matches!(role.as_str(), "leader" | "standby_leader") { Rank::Leader } else { Rank::Replica },
            // Releases after 3.0.3 say of a replica how it gets its log.
            running: matches!(state.as_str(), "running" | "streaming" | "in archive recovery"),
            timeline: member.get("timeline").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok()),
            url: url.trim_end_matches("/patroni").to_owned(),
        })
    };
    let list = cluster.get("members").and_then(Value::as_array).ok_or(NotConfig("GET /cluster"))?;
    list.iter().map(one).collect()
}
