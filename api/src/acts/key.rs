//! What comes with everything that is written: an `Idempotency-Key`, and a body that is read strictly.
//!
//! A question with a body, which changes nothing, has the body alone ([`Question`]).

use crate::identity::Principal;
use crate::limits::BodyLimit;
use crate::problem::{Fault, FieldFault, Problem, Refusal};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::json;
use tandem_arbiter::records::idempotency_id;
use tandem_core::sync::spec_hash;

/// The header by which a request that is sent again is known.
pub(crate) const HEADER: &str = "idempotency-key";
/// The longest key, in characters.
const LONGEST: usize = 255;

/// Something to be done: who asks, under which key, and what.
#[derive(Clone, Debug)]
pub(crate) struct Call<T> {
    /// Who asks.
    pub(crate) principal: Principal,
    /// Under what the answer is kept: of this person's key.
    pub(crate) id: String,
    /// Digest of method, path and body: the same key with another request is refused.
    pub(crate) digest: String,
    /// The body.
    pub(crate) body: T,
}

impl<T> Call<T> {
    /// The same call without its body, and the body.
    pub(crate) fn split(self) -> (Call<()>, T) {
        (Call { principal: self.principal, id: self.id, digest: self.digest, body: () }, self.body)
    }
}

/// A question: who asks, and what. It changes nothing, so that it needs no key.
#[derive(Clone, Debug)]
pub(crate) struct Question<T> {
    /// Who asks.
    pub(crate) principal: Principal,
    /// The body.
    pub(crate) body: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Question<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let principal = signed_in(&parts)?;
        Ok(Self { principal, body: strictly(&whole(&parts, body).await?)? })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Call<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let principal = signed_in(&parts)?;
        let key = key(&parts.headers)?;
        let bytes = whole(&parts, body).await?;
        let digest = spec_hash(&json!([parts.method.as_str(), parts.uri.path(), hex::encode(&bytes)]));
        let id = idempotency_id(&principal.name, &key);
        Ok(Self { principal, id, digest, body: strictly(&bytes)? })
    }
}

fn signed_in(parts: &Parts) -> Result<Principal, Problem> {
    parts.extensions.get::<Principal>().cloned().ok_or(Problem::Unauthenticated(Refusal::Nothing))
}

/// The body, where it is said to be JSON and not longer than is read. Where there is none, nothing need be said of it.
async fn whole(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    let most = parts.extensions.get::<BodyLimit>().map_or(0, |limit| limit.0);
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    is_json(&parts.headers)?;
    let bytes = Limited::new(body, most).collect().await.map(Collected::to_bytes);
    bytes.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Problem::TooLarge { most },
        None => Problem::Unfinished,
    })
}

fn one(field: &str, fault: Fault) -> Problem {
    Problem::Invalid(vec![FieldFault { field: field.to_owned(), fault }])
}

fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut given = headers.get_all(HEADER).iter();
    let fault = || one("Idempotency-Key", Fault::Key { longest: LONGEST });
    let value = given.next().ok_or_else(fault)?;
    if given.next().is_some() {
        return Err(one("Idempotency-Key", Fault::Twice));
    }
    let text = value.to_str().map_err(|_| fault())?;
    let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err(fault()) }
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Problem::NotJson) }
}

/// Reads a body. A field that is not known is refused rather than passed over, however deep it stands.
fn strictly<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = {
        let path = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
        serde_ignored::deserialize(path, |field| unknown.push(field.to_string()))
    };
    let value: T = read.map_err(|error: serde_json::Error| {
        let path = track.path().to_string();
        let field = if matches!(path.as_str(), "." | "?") { "body".to_owned() } else { path };
        one(&field, Fault::Shape(error.to_string()))
    })?;
    reader.end().map_err(|error| one("body", Fault::Shape(error.to_string())))?;
    if unknown.is_empty() {
        return Ok(value);
    }
    let fault = |field| FieldFault { field, fault: Fault::NoSuchField };
    Err(Problem::Invalid(unknown.into_iter().map(fault).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        cpu: u32,
    }

    fn read(text: &str) -> Result<Outer, Vec<(String, Fault)>> {
        match strictly::<Outer>(&Bytes::from(text.to_owned())) {
            Ok(outer) => Ok(outer),
            Err(Problem::Invalid(faults)) => Err(faults.into_iter().map(|f| (f.field, f.fault)).collect()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_is_read_and_what_is_wrong_is_named() {
        assert_eq!(read(r#"{"name": "a"}"#).unwrap(), Outer { name: "a".to_owned(), inner: None });
        let unknown = read(r#"{"name": "a", "nmae": 1, "inner": {"cpu": 1, "cup": 2}}"#).unwrap_err();
        let fields: Vec<&str> = unknown.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["nmae", "inner.?.cup"].map(|field| field));
        for (text, field) in [
            (r#"{"name": 5}"#, "name"),
            (r#"{"name": "a", "inner": {"cpu": "many"}}"#, "inner.cpu"),
            (r#"{"name": "a""#, "body"),
            (r#"{"name": "a"} x"#, "body"),
            (r#"[]"#, "body"),
            ("", "body"),
            (r#"{"name": "a", "inner": {"cpu": 99999999999}}"#, "inner.cpu"),
        ] {
            let wrong = read(text).unwrap_err();
            assert_eq!(wrong[0].0, field, "{text}: {wrong:?}");
        }
    }

    #[test]
    fn a_key_is_one_and_visible() {
        let given = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, value.parse().unwrap());
            }
            key(&headers).is_ok()
        };
        assert!(given(&["a"]) && given(&[&"a".repeat(255)]));
        assert!(!given(&[]) && !given(&[""]) && !given(&["a", "b"]) && !given(&["a b"]) && !given(&[&"a".repeat(256)]));
    }
}
