//! The agent: keeps the gate file fresh while the site is active, and carries out fences.
//!
//! Whoever fences says so over a Unix socket, one JSON object a line, and is answered when the file is written:
//! `{"fence": {"generation": …, "epoch": …, "execution": …, "step": …}}` or `{"expire": true}`; `{"done": true}` or
//! `{"refused": "…"}`. The socket's folder says who may.

use crate::tls::{HttpsClient, NoAnswer};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_arbiter::deadman::{Agent, GateFile, Poll, Refused, parse_token, read_gate_file, write_gate_file};
use tandem_core::failover::Token;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 4096;

/// What is asked of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// Refuse writes, and every refresh that is not of a higher token.
    Fence(Token),
    /// Refuse writes until the next refresh.
    Expire(bool),
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// It is done: the file is written.
    Done(bool),
    /// It is not, since a higher token was seen.
    Refused(String),
    /// It is not, since the file could not be written.
    Failed(String),
}

/// The agent and its file. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Keeper {
    agent: Arc<Mutex<Agent>>,
    path: PathBuf,
}

impl Keeper {
    /// Takes up the file where it is of this boot; otherwise writes one that refuses.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn open(group: &str, boot_id: &str, path: &Path) -> io::Result<Self> {
        let agent = Agent::new(group, boot_id, read_gate_file(path)?);
        write_gate_file(path, agent.file())?;
        Ok(Self { agent: Arc::new(Mutex::new(agent)), path: path.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, Agent> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file holds.
    #[must_use]
    pub fn file(&self) -> GateFile {
        self.lock().file().clone()
    }

    /// Takes in a gate's answer to a question that was sent at this time of the boot clock.
    ///
    /// # Errors
    /// Where the file cannot be written. What it held runs out by itself.
    pub fn refresh(&self, sent: Duration, poll: &Poll) -> io::Result<Result<(), Refused>> {
        // Held while the file is written: a fence must not be overtaken by what was decided before it.
        let mut agent = self.lock();
        let before = agent.file().clone();
        match agent.refresh(sent, poll) {
            Ok(file) if *file == before => Ok(Ok(())),
            Ok(file) => write_gate_file(&self.path, file).map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Carries out what is asked.
    pub fn ask(&self, ask: Ask) -> Told {
        let mut agent = self.lock();
        let file = match ask {
            Ask::Fence(token) => match agent.fence(&token) {
                Ok(file) => file,
                Err(refused) => return Told::Refused(refused.to_string()),
            },
            Ask::Expire(_) => agent.expire(),
        };
        match write_gate_file(&self.path, file) {
            Ok(()) => Told::Done(true),
            Err(error) => Told::Failed(error.to_string()),
        }
    }
}

/// What a gate's answer says.
fn poll(status: u16, headers: &http::HeaderMap) -> Option<Poll> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = header("tandem-token").and_then(parse_token)?;
    let valid_for = header("tandem-valid-for-ms").and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
    Some(Poll { active: status == 200, token, valid_for: valid_for.unwrap_or_default() })
}

/// Asks one gate for ever, so often.
pub async fn follow<C: Clock>(keeper: Keeper, clock: C, client: HttpsClient, url: String, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before = String::new();
    loop {
        ticks.tick().await;
        let sent = clock.now();
        let now = match client.get(&url).await {
            Ok((status, headers, _)) => match poll(status, &headers).map(|poll| keeper.refresh(sent, &poll)) {
                Some(Ok(Ok(()))) => "refreshed".to_owned(),
                Some(Ok(Err(refused))) => refused.to_string(),
                Some(Err(error)) => format!("the gate file cannot be written: {error}"),
                None => format!("the gate knows no such group yet (status {status})"),
            },
            Err(error @ NoAnswer::TooLate(_)) => error.to_string(),
            Err(error) => format!("the gate {error}"),
        };
        // Told when it changes, not ten times a second.
        if now != before {
            tracing::info!(url, now, "asked the gate");
            before = now;
        }
    }
}

/// Answers over the socket for ever. A socket that an agent before has left behind is taken away.
///
/// # Errors
/// Where the socket cannot be opened.
pub async fn listen(keeper: Keeper, path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let keeper = keeper.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(&keeper, stream).await {
                tracing::debug!(%error, "somebody hung up");
            }
        });
    }
}

async fn answer(keeper: &Keeper, stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(tokio::io::AsyncReadExt::take(reader, LONGEST));
    reader.read_line(&mut line).await?;
    let told = match serde_json::from_str::<Ask>(&line) {
        Ok(ask) => {
            let told = keeper.ask(ask);
            tracing::info!(?ask, ?told, "asked");
            told
        }
        Err(error) => Told::Failed(format!("not a question: {error}")),
    };
    let mut text = serde_json::to_string(&told)?;
    text.push('\n');
    writer.write_all(text.as_bytes()).await
}

/// Asks an agent over its socket.
///
/// # Errors
/// Where it does not answer within the deadline.
pub async fn ask(socket: &Path, ask: Ask, timeout: Duration) -> io::Result<Told> {
    let whole = async {
        let (reader, mut writer) = UnixStream::connect(socket).await?.into_split();
        let mut text = serde_json::to_string(&ask)?;
        text.push('\n');
        writer.write_all(text.as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    };
    tokio::time::timeout(timeout, whole).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_arbiter::deadman::writable;

    fn token(epoch: u64, step: u32) -> Token {
        Token { generation: 1, epoch, execution: 7, step }
    }

    fn headers(token: &str, millis: &str) -> http::HeaderMap {
        let mut headers = http::HeaderMap::new();
        headers.insert("Tandem-Token", token.parse().unwrap());
        headers.insert("Tandem-Valid-For-Ms", millis.parse().unwrap());
        headers
    }

    #[test]
    fn what_a_gate_says_is_read_and_half_of_it_is_nothing() {
        let yes = poll(200, &headers("1.4.7.2", "5000")).unwrap();
        assert_eq!((yes.active, yes.token, yes.valid_for), (true, token(4, 2), Duration::from_secs(5)));
        assert!(!poll(503, &headers("1.4.7.2", "5000")).unwrap().active);
        assert_eq!(poll(200, &headers("1.4", "5000")), None);
        assert_eq!(poll(200, &http::HeaderMap::new()), None);
        assert_eq!(poll(200, &headers("1.4.7.2", "long")).unwrap().valid_for, Duration::ZERO);
    }

    #[tokio::test]
    async fn a_fence_is_done_when_the_file_is_written_and_outlives_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let (path, socket) = (folder.path().join("gate.json"), folder.path().join("agent.sock"));
        let keeper = Keeper::open("g", "boot", &path).unwrap();
        let now = Duration::from_secs(1);
        let may = || writable(read_gate_file(&path).unwrap().as_ref(), "g", now, "boot").is_ok();
        assert!(!may(), "it starts passive");
        let yes = poll(200, &headers("1.4.7.2", "5000")).unwrap();
        keeper.refresh(now, &yes).unwrap().unwrap();
        assert!(may());
        let (listening, at) = (keeper.clone(), socket.clone());
        let server = tokio::spawn(async move { listen(listening, &at).await });
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
        let patience = Duration::from_secs(5);
        assert_eq!(ask(&socket, Ask::Expire(true), patience).await.unwrap(), Told::Done(true));
        assert!(!may());
        keeper.refresh(now, &yes).unwrap().unwrap();
        assert!(may(), "nothing moved");
        assert_eq!(ask(&socket, Ask::Fence(token(4, 3)), patience).await.unwrap(), Told::Done(true));
        assert!(!may());
        assert!(matches!(ask(&socket, Ask::Fence(token(4, 1)), patience).await.unwrap(), Told::Refused(_)));
        server.abort();
        let again = Keeper::open("g", "boot", &path).unwrap();
        assert_eq!(again.refresh(now, &yes).unwrap(), Err(Refused::Fenced));
        assert!(!may());
        again.refresh(now, &poll(200, &headers("1.4.7.4", "5000")).unwrap()).unwrap().unwrap();
        assert!(may());
    }
}
