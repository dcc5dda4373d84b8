//! What agencies ask for, and who decides: everything through the REST API of either site.
//!
//! The API says what may be and what is wrong with what was asked. Here it is sent, safely more than once, and shown.

pub mod access;
pub mod args;
pub mod body;
pub mod client;
pub mod https;
pub mod item;
pub mod problem;
pub mod sse;
mod text;
pub mod watch;
mod watch_text;
mod words;

use crate::exit::Exit;
use crate::failover::ask::{self, AskError};
use crate::language::Lang;
use crate::output;
use access::Access;
use args::{ApiArgs, CreateArgs, DecideArgs, GetArgs, ListArgs, RequestCommand, SendArgs, WatchArgs, WordArgs};
use body::FileError;
use client::{Call, Client, encoded};
use https::{NoAnswer, Unusable};
use item::{Against, EnvironmentItem, Item, Page, UnitItem};
use problem::Problem;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tandem_crds::{DecisionOutcome, DecisionRole, RequestPhase, RequestType};
use watch::{How, Pace, WatchError, follow};

pub use text::{became, list as list_text, shown};
pub use watch_text::transitions;

/// How many requests a page has.
const PAGE: usize = 200;

/// Why a command about requests did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is not said how the API is reached.
    #[error("{flag} is not given: give it, or set {variable}; `tandem request --help` shows how the API is reached")]
    NotGiven {
        /// The flag.
        flag: &'static str,
        /// What stands in for it in the environment.
        variable: &'static str,
    },
    /// The address is none.
    #[error(
        "'{0}' is no address of an API: give https://, a name and perhaps a port, such as https://api.dc-a.city.example"
    )]
    Address(String),
    /// It is not said who asks.
    #[error(
        "it is not said who you are: give --cert and --key, or --token-file; or set TANDEM_CERT and TANDEM_KEY, \
         TANDEM_TOKEN_FILE, or TANDEM_TOKEN"
    )]
    NobodySignsIn,
    /// It is said twice who asks.
    #[error(
        "the environment says twice who you are: of TANDEM_CERT with TANDEM_KEY, TANDEM_TOKEN_FILE and TANDEM_TOKEN leave one, \
         or give --cert and --key, or --token-file"
    )]
    TwoSignIns,
    /// A certificate without its key, or the other way round.
    #[error("{there} is set and {missing} is not: a certificate and its key belong together")]
    HalfACertificate {
        /// What is set.
        there: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is of no use for TLS.
    #[error("cannot use {}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Unusable,
    },
    /// There is no token where one should be.
    #[error("{whence} holds no token: one word on one line is wanted")]
    NoToken {
        /// Where it should be.
        whence: String,
    },
    /// The file does not say what is asked for.
    #[error(transparent)]
    Asked(#[from] FileError),
    /// The call cannot be put together.
    #[error("this cannot be sent: names and keys take visible characters only")]
    Request(#[source] http::Error),
    /// Nobody can be asked whether to go on.
    #[error("there is no terminal on which to ask whether to go on: look at `tandem request get`, then give --yes")]
    NoTerminal,
    /// The answer could not be read.
    #[error(transparent)]
    Ask(AskError),
    /// The API was not reached, or did not answer.
    #[error("no answer from {api}")]
    NoAnswer {
        /// Its address.
        api: String,
        /// Why not.
        source: NoAnswer,
    },
    /// The API says no.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The API answered something else than is understood.
    #[error(
        "{api} answered something that is no answer of Tandem's API, or of another version; is it the right address?"
    )]
    Answer {
        /// Its address.
        api: String,
        /// What was wrong.
        source: serde_json::Error,
    },
    /// A list does not end.
    #[error("{0} gives the same page of the list again and again; look at fewer requests, with --unit or --phase")]
    Circle(String),
    /// It could not be followed to its end.
    #[error(transparent)]
    Watch(#[from] WatchError),
}

impl RequestError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Problem(problem) => problem.exit(),
            Self::NoAnswer { .. } | Self::Answer { .. } | Self::Circle(_) => Exit::Cluster,
            Self::Watch(WatchError::TooLong { .. } | WatchError::Gone(_)) => Exit::Refused,
            Self::Watch(WatchError::Event(_) | WatchError::Unread(_)) => Exit::Cluster,
            _ => Exit::Usage,
        }
    }

    /// Whether something was sent, so that it may have been done.
    fn was_sent(&self) -> bool {
        matches!(self, Self::Problem(_) | Self::NoAnswer { .. } | Self::Answer { .. })
    }
}

/// `tandem request …`.
///
/// # Errors
/// Where it is not said how the API is reached, it does not answer, or it says no.
pub async fn run(command: RequestCommand, lang: Lang) -> Result<Exit, RequestError> {
    match command {
        RequestCommand::Create(args) => create(&args, lang).await,
        RequestCommand::List(args) => list(&args, lang).await,
        RequestCommand::Get(args) => get(&args, lang).await,
        RequestCommand::Approve(args) => decide(&args, DecisionOutcome::Approve, lang).await,
        RequestCommand::Reject(args) => decide(&args, DecisionOutcome::Reject, lang).await,
        RequestCommand::Withdraw(args) => word(&args, "withdraw", lang).await,
        RequestCommand::Undo(args) => word(&args, "undo", lang).await,
        RequestCommand::Watch(args) => watch(&args, lang).await,
    }
}

fn connect(args: &ApiArgs, lang: Lang) -> Result<Client, RequestError> {
    Ok(Client::new(Access::new(args, |name| std::env::var(name).ok())?, lang))
}

/// A look at one request.
pub(super) fn look(name: &str) -> Call {
    Call::look(format!("/v1/requests/{}", encoded(name)))
}

async fn create(args: &CreateArgs, lang: Lang) -> Result<Exit, RequestError> {
    let body = body::body(args)?;
    let mut client = connect(&args.send.api, lang)?;
    let item = send(&mut client, &args.send, "/v1/requests".to_owned(), &body, lang).await?;
    if !args.watch {
        return Ok(Exit::Ok);
    }
    let timeout = args.timeout.map(Duration::from_secs);
    follow(&mut client, &item.name, How { timeout, fresh: true, pace: Pace::default() }, lang).await
}

/// Sends what changes something, under one key however often, and shows what became of it.
async fn send(
    client: &mut Client,
    args: &SendArgs,
    path: String,
    body: &Value,
    lang: Lang,
) -> Result<Item, RequestError> {
    let key = args.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let answer = client.call::<Value>(&Call::change(path, &key, body)).await;
    let answer = answer.inspect_err(|error| {
        if error.was_sent() {
            output::note(&again(&key, lang));
        }
    })?;
    let item: Item = read(client, answer.clone())?;
    args.output.write(&answer, || became(&item, lang));
    Ok(item)
}

fn again(key: &str, lang: Lang) -> String {
    lang.say(
        format!("Idempotency-Key: {key}\nSent again with --idempotency-key {key}, it is done once, whatever became of it now."),
        format!("Idempotency-Key：{key}\n可用 --idempotency-key {key} 重新发送同一请求，无论本次结果如何，只执行一次。"),
    )
}

fn read<T: DeserializeOwned>(client: &Client, answer: Value) -> Result<T, RequestError> {
    serde_json::from_value(answer).map_err(|source| RequestError::Answer { api: client.base().to_owned(), source })
}

async fn list(args: &ListArgs, lang: Lang) -> Result<Exit, RequestError> {
    let mut client = connect(&args.api, lang)?;
    let mut query = format!("limit={PAGE}");
    for (name, value) in [
        ("unit", args.unit.clone()),
        ("environment", args.environment.clone()),
        ("type", args.kind.map(|kind| RequestType::from(kind).as_str().to_owned())),
        ("phase", args.phase.map(|phase| RequestPhase::from(phase).as_str().to_owned())),
    ] {
        query.extend(value.map(|value| format!("&{name}={}", encoded(&value))));
    }
    let mut items = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let from = next.as_deref().map(|next| format!("&continue={}", encoded(next))).unwrap_or_default();
        let page: Page = client.call(&Call::look(format!("/v1/requests?{query}{from}"))).await?;
        items.extend(page.items);
        if page.next.is_none() {
            break;
        }
        if page.next == next {
            return Err(RequestError::Circle(client.base().to_owned()));
        }
        next = page.next;
    }
    output::result(&match args.output.data(&items) {
        Some(text) => text,
        None => list_text(&read::<Vec<Item>>(&client, Value::Array(items))?, lang),
    });
    Ok(Exit::Ok)
}

async fn get(args: &GetArgs, lang: Lang) -> Result<Exit, RequestError> {
    let mut client = connect(&args.api, lang)?;
    let answer: Value = client.call(&look(&args.name)).await?;
    output::result(&match args.output.data(&answer) {
        Some(text) => text,
        None => {
            let item: Item = read(&client, answer)?;
            let against = against(&mut client, &item).await;
            shown(&item, &against, lang)
        }
    });
    Ok(Exit::Ok)
}

/// What a request is held against. What cannot be read is left out: the request itself is the point.
async fn against(client: &mut Client, item: &Item) -> Against {
    let environment = Call::look(format!("/v1/environments/{}", encoded(&item.spec.environment)));
    let environment: Option<EnvironmentItem> = match item.spec.kind {
        RequestType::Create => None,
        _ => client.call(&environment).await.ok(),
    };
    let unit = Call::look(format!("/v1/units/{}", encoded(&item.spec.unit)));
    let unit: Option<UnitItem> = match item.spec.quota {
        None => None,
        Some(_) => client.call(&unit).await.ok(),
    };
    Against::of(environment, unit)
}

async fn decide(args: &DecideArgs, outcome: DecisionOutcome, lang: Lang) -> Result<Exit, RequestError> {
    let mut client = connect(&args.send.api, lang)?;
    let answer: Value = client.call(&look(&args.name)).await?;
    let item: Item = read(&client, answer)?;
    let against = against(&mut client, &item).await;
    output::note(shown(&item, &against, lang).trim_end());
    output::note(match outcome {
        DecisionOutcome::Approve => lang.say("You are about to approve this.", "即将批准以上申请。"),
        DecisionOutcome::Reject => {
            lang.say("You are about to reject this, which ends it.", "即将驳回以上申请，申请将就此结束。")
        }
    });
    let going = ask::confirmed(args.yes, lang).map_err(|error| match error {
        AskError::NoTerminal => RequestError::NoTerminal,
        other => RequestError::Ask(other),
    })?;
    if !going {
        return Ok(Exit::Refused);
    }
    let mut body = json!({"outcome": outcome, "digest": item.digest});
    put(&mut body, "role", args.role.map(|role| json!(DecisionRole::from(role))));
    put(&mut body, "note", (!args.note.is_empty()).then(|| json!(args.note)));
    let path = format!("/v1/requests/{}/decisions", encoded(&args.name));
    send(&mut client, &args.send, path, &body, lang).await?;
    Ok(Exit::Ok)
}

async fn word(args: &WordArgs, verb: &str, lang: Lang) -> Result<Exit, RequestError> {
    let mut client = connect(&args.send.api, lang)?;
    let mut body = json!({});
    put(&mut body, "note", (!args.note.is_empty()).then(|| json!(args.note)));
    let path = format!("/v1/requests/{}/{verb}", encoded(&args.name));
    send(&mut client, &args.send, path, &body, lang).await?;
    Ok(Exit::Ok)
}

fn put(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (body.as_object_mut(), value) {
        fields.insert(name.to_owned(), value);
    }
}

async fn watch(args: &WatchArgs, lang: Lang) -> Result<Exit, RequestError> {
    let mut client = connect(&args.api, lang)?;
    let timeout = args.timeout.map(Duration::from_secs);
    follow(&mut client, &args.name, How { timeout, fresh: false, pace: Pace::default() }, lang).await
}

#[allow(clippy::disallowed_methods)] // an edge: the time is for people to read
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
