//! Where traffic goes while gates change their minds.

use super::stage::{CUT, Stage, certificate};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long anything may take that has no bound of its own.
const LONG: Duration = Duration::from_secs(30);
/// What a busy machine adds to a bound.
const SLACK: Duration = Duration::from_secs(2);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// A site answered.
    Site(String),
    /// The balancer says that it sent it to nobody.
    Refused,
    /// Anything else: nobody knows what became of it.
    Unknown(String),
}

/// A client that keeps its connection for as long as it is let.
struct Client {
    entry: SocketAddr,
    connection: Option<TcpStream>,
}

impl Client {
    fn new(entry: SocketAddr) -> Self {
        Self { entry, connection: None }
    }

    async fn ask(&mut self, request: &str) -> Answer {
        match timeout(LONG, self.answer(request)).await.unwrap() {
            Ok(text) => judge(&text),
            Err(error) => {
                self.connection = None;
                Answer::Unknown(error.to_string())
            }
        }
    }

    async fn answer(&mut self, request: &str) -> std::io::Result<String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => TcpStream::connect(self.entry).await?,
        };
        connection
            .write_all(format!("{request} HTTP/1.1\r\nhost: hall\r\ncontent-length: 0\r\n\r\n").as_bytes())
            .await?;
        let mut text = String::new();
        loop {
            let mut part = [0; 1024];
            let read = connection.read(&mut part).await?;
            text.push_str(&String::from_utf8_lossy(&part[..read]));
            if read == 0 {
                return Ok(text);
            }
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .to_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next()?.parse().ok());
                if length.is_some_and(|length: usize| body.len() >= length) {
                    if !head.to_lowercase().contains("connection: close") {
                        self.connection = Some(connection);
                    }
                    return Ok(text);
                }
            }
        }
    }

    /// Asks until this is the answer; gives back all answers before it.
    async fn until(&mut self, wanted: &Answer) -> Vec<Answer> {
        let (mut before, started) = (Vec::new(), Instant::now());
        loop {
            let answer = self.ask("POST /").await;
            if answer == *wanted {
                return before;
            }
            before.push(answer);
            assert!(started.elapsed() < LONG, "{wanted:?} never came: {before:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn judge(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    if head.starts_with("HTTP/1.1 200") {
        Answer::Site(body.to_owned())
    } else if head.starts_with("HTTP/1.1 503") && head.to_lowercase().contains("tandem-refused: balancer") {
        Answer::Refused
    } else {
        Answer::Unknown(head.lines().next().unwrap_or_default().to_owned())
    }
}

fn site(name: &str) -> Answer {
    Answer::Site(name.to_owned())
}

/// Reads until the connection ends.
async fn drain(mut connection: TcpStream) -> Instant {
    let mut part = [0; 1024];
    while !matches!(timeout(LONG, connection.read(&mut part)).await.unwrap(), Ok(0) | Err(_)) {}
    Instant::now()
}

/// Opens a response that does not end by itself.
async fn stream(entry: SocketAddr) -> TcpStream {
    let mut connection = TcpStream::connect(entry).await.unwrap();
    connection.write_all(b"GET /stream HTTP/1.1\r\nhost: hall\r\n\r\n").await.unwrap();
    let mut part = [0; 1024];
    let read = timeout(LONG, connection.read(&mut part)).await.unwrap().unwrap();
    assert!(part[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&part[..read]));
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_goes_to_the_holder_alone() {
    let stage = Stage::new().await;
    let [a, b] = &stage.sites;
    let [http, tcp] = stage.entries;
    let mut client = Client::new(http);

    // HAProxy believes every server up that it has not asked yet: nobody is let through for that.
    let before = client.until(&Answer::Refused).await;
    assert!(
        before.iter().all(|answer| matches!(answer, Answer::Unknown(error) if error.contains("refused"))),
        "{before:?}"
    );
    let mut nothing = String::new();
    let read = TcpStream::connect(tcp).await.unwrap().read_to_string(&mut nothing).await;
    assert!(nothing.is_empty(), "{read:?} {nothing}");
    let started = Instant::now();
    while started.elapsed() < CUT + SLACK {
        assert_eq!(client.ask("POST /").await, Answer::Refused);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((a.requests(), b.requests()), (0, 0));

    // One gate of the two is enough.
    a.gates[1].says(200);
    let before = client.until(&site("dc-a")).await;
    assert!(before.iter().all(|answer| *answer == Answer::Refused), "{before:?}");
    a.gates[0].says(200);
    assert_eq!(Client::new(tcp).ask("POST /").await, site("dc-a"));

    // What is open is cut by its time, whether HAProxy understands it or not; what was sent is sent to nobody else.
    let open = [stream(http).await, stream(tcp).await].map(|connection| tokio::spawn(drain(connection)));
    let mut waiting = Client::new(http);
    let waiting = tokio::spawn(async move { waiting.ask("POST /never").await });
    let sent = a.requests();
    let started = Instant::now();
    while a.requests() == sent {
        assert!(started.elapsed() < LONG, "the request never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    a.says(503);
    let closed = Instant::now();
    let before = client.until(&Answer::Refused).await;
    assert!(closed.elapsed() < CUT + SLACK, "refused after {:?}", closed.elapsed());
    assert!(!before.contains(&site("dc-b")), "{before:?}");
    for ended in open {
        let after = ended.await.unwrap() - closed;
        assert!(after < CUT + SLACK, "cut after {after:?}");
    }
    assert!(matches!(waiting.await.unwrap(), Answer::Unknown(_)), "nobody knows what became of it");
    assert_eq!(b.requests(), 0);

    // The client's own connection leads to the other site once that one says so, and never back.
    b.says(200);
    let before = client.until(&site("dc-b")).await;
    assert!(before.iter().all(|answer| *answer == Answer::Refused), "{before:?}");
    assert_eq!(Client::new(tcp).ask("POST /").await, site("dc-b"));

    // Where both say so, one of the answers is old: nobody is sent anywhere.
    a.says(200);
    let before = client.until(&Answer::Refused).await;
    assert!(!before.contains(&site("dc-a")), "{before:?}");
    b.says(503);
    let before = client.until(&site("dc-a")).await;
    assert!(!before.contains(&site("dc-b")), "{before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_does_not_outlive_a_reload_and_a_fence() {
    let stage = Stage::new().await;
    let mut client = Client::new(stage.entries[0]);
    stage.sites[0].says(200);
    client.until(&site("dc-a")).await;
    let open = tokio::spawn(drain(stream(stage.entries[0]).await));
    let _next = stage.reload();
    stage.sites[0].says(503);
    let closed = Instant::now();
    let after = open.await.unwrap() - closed;
    // The start of the new process is a part of it: until it has started, the old one still asks.
    assert!(after < CUT + CUT + SLACK, "cut after {after:?}");
    Client::new(stage.entries[0]).until(&Answer::Refused).await;
    assert_eq!(stage.sites[1].requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_of_another_authority_is_not_believed() {
    let stage = Stage::with(&certificate(), &certificate()).await;
    let mut client = Client::new(stage.entries[0]);
    stage.sites[0].says(200);
    client.until(&Answer::Refused).await;
    let started = Instant::now();
    while started.elapsed() < CUT + SLACK {
        assert_eq!(client.ask("POST /").await, Answer::Refused);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.sites[0].requests(), 0);
}
