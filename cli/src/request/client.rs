//! Calls to the API: sent on once to the site with authority, tried again while it asks to wait, under one key all the time.

use super::RequestError;
use super::access::{Access, Shown, address};
use super::https::{Answer, NoAnswer, Stream};
use super::problem::Problem;
use crate::language::Lang;
use crate::output;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, Method, Request};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// By what the API knows a call that is sent again.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// That an answer was given before, under the same key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What a stream goes on after.
const LAST: HeaderName = HeaderName::from_static("last-event-id");
/// The shortest pause before something is sent again.
const SHORTEST: Duration = Duration::from_millis(200);

/// Something to be asked or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    method: Method,
    path: String,
    /// The key and the body of what changes something.
    sends: Option<(String, String)>,
}

impl Call {
    /// Looks at something.
    #[must_use]
    pub fn look(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), sends: None }
    }

    /// Has something done, once for this key.
    #[must_use]
    pub fn change(path: impl Into<String>, key: &str, body: &Value) -> Self {
        Self { method: Method::POST, path: path.into(), sends: Some((key.to_owned(), body.to_string())) }
    }
}

/// What comes after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// It is sent to this address.
    Follow(String),
    /// It is sent again after this time.
    Again(Duration),
    /// It is given up.
    GiveUp,
}

/// What comes after a problem. `followed`: it was sent on before. `left`: how long may still be waited.
fn next(problem: &Problem, followed: bool, left: Duration) -> Next {
    if let Some(to) = problem.address().and_then(address).filter(|_| !followed) {
        return Next::Follow(to);
    }
    match problem.again_after().map(|after| after.max(SHORTEST)) {
        Some(after) if after <= left => Next::Again(after),
        _ => Next::GiveUp,
    }
}

/// An API, and who asks it.
#[derive(Debug)]
pub struct Client {
    access: Access,
    lang: Lang,
}

impl Client {
    /// Asks in this language.
    #[must_use]
    pub fn new(access: Access, lang: Lang) -> Self {
        Self { access, lang }
    }

    /// Where the API is: the address that was given, or that of the site to which a call was sent on.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.access.base
    }

    /// Sends a call, until it is answered or given up. What is answered is read as `T`.
    ///
    /// # Errors
    /// Where the API cannot be reached, says no, or answers something else.
    pub async fn call<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, RequestError> {
        let begun = Instant::now();
        let mut followed = false;
        loop {
            let shown = self.access.shown()?;
            let request = self.request(call, shown.as_ref(), "application/json", None)?;
            let Answer { status, headers, body } =
                self.access.https.send(request).await.map_err(|why| self.no_answer(why))?;
            if (200..300).contains(&status) {
                if headers.contains_key(REPLAYED) {
                    output::note(self.lang.say(
                        "it was done before under this key: this is the answer of then",
                        "此前已用同一 Idempotency-Key 执行过，以下为当时的应答",
                    ));
                }
                return serde_json::from_slice(&body)
                    .map_err(|source| RequestError::Answer { api: self.access.base.clone(), source });
            }
            let mut problem = Problem::read(status, &headers, &harmless(shown.as_ref(), &body), self.lang);
            problem.waited = begun.elapsed();
            match next(&problem, followed, self.access.wait.saturating_sub(begun.elapsed())) {
                Next::Follow(to) => {
                    output::note(&following(&to, call.sends.is_some(), self.lang));
                    self.access.base = to;
                    followed = true;
                }
                Next::Again(after) => {
                    output::note(&waiting(&problem, after, self.lang));
                    tokio::time::sleep(after).await;
                }
                Next::GiveUp => return Err(problem.into()),
            }
        }
    }

    /// Opens a stream of events, those after `last`; one attempt.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn open(&self, path: &str, last: Option<&str>) -> Result<Stream, RequestError> {
        let shown = self.access.shown()?;
        let request = self.request(&Call::look(path), shown.as_ref(), "text/event-stream", last)?;
        let stream = self.access.https.open(request).await.map_err(|why| self.no_answer(why))?;
        if stream.status == 200 {
            return Ok(stream);
        }
        let body = start(stream.pieces).await;
        Err(Problem::read(stream.status, &stream.headers, &harmless(shown.as_ref(), &body), self.lang).into())
    }

    fn request(
        &self,
        call: &Call,
        shown: Option<&Shown>,
        accept: &str,
        last: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, RequestError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.access.base, call.path))
            .header(ACCEPT, accept)
            .header(ACCEPT_LANGUAGE, self.lang.say("en", "zh"))
            .header(USER_AGENT, concat!("tandem/", env!("CARGO_PKG_VERSION")));
        if let Some(shown) = shown {
            request = request.header(AUTHORIZATION, &shown.header);
        }
        if let Some(last) = last {
            request = request.header(LAST, last);
        }
        let mut bytes = Bytes::new();
        if let Some((key, body)) = &call.sends {
            request = request.header(CONTENT_TYPE, "application/json").header(KEY, key);
            bytes = Bytes::from(body.clone());
        }
        request.body(Full::new(bytes)).map_err(RequestError::Request)
    }

    fn no_answer(&self, source: NoAnswer) -> RequestError {
        RequestError::NoAnswer { api: self.access.base.clone(), source }
    }
}

/// The first piece of what is no stream: a problem is short.
async fn start(mut pieces: futures::stream::BoxStream<'static, Result<Bytes, NoAnswer>>) -> Bytes {
    use futures::StreamExt;
    let first = tokio::time::timeout(Duration::from_secs(5), pieces.next()).await;
    first.ok().flatten().and_then(Result::ok).unwrap_or_default()
}

fn harmless(shown: Option<&Shown>, body: &Bytes) -> String {
    let text = String::from_utf8_lossy(body);
    shown.map_or_else(|| text.to_string(), |shown| shown.harmless(&text))
}

fn following(to: &str, keyed: bool, lang: Lang) -> String {
    let key = if keyed { lang.say(" with the same Idempotency-Key", "（沿用同一 Idempotency-Key）") } else { "" };
    lang.say(
        format!("another site has authority: sending it to {to}{key}"),
        format!("另一站点拥有主控权，转发至 {to}{key}"),
    )
}

fn waiting(problem: &Problem, after: Duration, lang: Lang) -> String {
    let (line, seconds) = (problem.line(), after.as_secs_f64());
    lang.say(format!("{line}; trying again in {seconds:.0} s"), format!("{line}；{seconds:.0} 秒后重试"))
}

/// A part of a path or query, with nothing in it that has a meaning there.
#[must_use]
pub fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};

    fn problem(status: u16, after: Option<&'static str>, address: Option<&str>) -> Problem {
        let mut headers = HeaderMap::new();
        headers.extend(after.map(|after| (RETRY_AFTER, HeaderValue::from_static(after))));
        Problem::read(status, &headers, &serde_json::json!({"address": address}).to_string(), Lang::En)
    }

    #[test]
    fn it_is_sent_on_once_and_only_over_tls() {
        let elsewhere = problem(421, None, Some("https://api.dc-b.example/"));
        assert_eq!(next(&elsewhere, false, Duration::ZERO), Next::Follow("https://api.dc-b.example".to_owned()));
        assert_eq!(next(&elsewhere, true, Duration::MAX), Next::GiveUp);
        assert_eq!(next(&problem(421, None, Some("http://api.dc-b.example")), false, Duration::MAX), Next::GiveUp);
        assert_eq!(next(&problem(421, None, None), false, Duration::MAX), Next::GiveUp);
        assert_eq!(next(&problem(403, None, Some("https://api.dc-b.example")), false, Duration::MAX), Next::GiveUp);
    }

    #[test]
    fn it_is_sent_again_while_there_is_time() {
        let left = Duration::from_secs(5);
        for (problem, wanted) in [
            (problem(503, Some("5"), None), Next::Again(left)),
            (problem(429, Some("0"), None), Next::Again(SHORTEST)),
            (problem(503, Some("6"), None), Next::GiveUp),
            (problem(503, None, None), Next::GiveUp),
            (problem(400, Some("1"), None), Next::GiveUp),
        ] {
            assert_eq!(next(&problem, false, left), wanted, "{problem}");
        }
    }

    #[test]
    fn what_is_said_meanwhile() {
        let told = waiting(&problem(503, Some("3"), None), Duration::from_secs(3), Lang::En);
        assert_eq!(told, "Not available (503): the API cannot do it now; trying again in 3 s");
        assert_eq!(
            following("https://b", true, Lang::En),
            "another site has authority: sending it to https://b with the same Idempotency-Key"
        );
        assert!(following("https://b", true, Lang::Zh).contains("同一 Idempotency-Key"));
    }

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(encoded("health-3f9a"), "health-3f9a");
        assert_eq!(encoded("../units?a=b&c"), "..%2Funits%3Fa%3Db%26c");
        assert_eq!(encoded("卫"), "%E5%8D%AB");
    }
}
