//! One id for everything that is done because of one request, from the API to both sites: W3C Trace Context, version 00
//! (<https://www.w3.org/TR/trace-context/>).
//!
//! It is for people who search logs, and decides nothing: what cannot be read is replaced, never refused.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::sync::{Kind, Origin, Record, SpecRecord};

/// The header, and the form in which a trace stands in annotations and records.
pub const HEADER: &str = "traceparent";

/// The bit of the flags that says that somebody keeps the trace. The others are not handed on, as version 00 asks.
const SAMPLED: u8 = 1;

/// A place in a trace: which trace, and which step of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl Trace {
    /// A trace that begins here, made from a random number.
    #[must_use]
    pub fn begun(random: u128) -> Self {
        let id = if random == 0 { [1; 16] } else { random.to_be_bytes() };
        Self { id, span: hashed(&[&id]), flags: SAMPLED }
    }

    /// What stands in a `traceparent`; `None` where it is none. One of a later version is read as far as it is known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fields = text.get(..55)?;
        let rest = &text[55..];
        let version = digits::<1>(fields, 0, 2)?;
        let known = if version == [0] { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        let dashes = [2, 35, 52].iter().all(|at| fields.as_bytes()[*at] == b'-');
        let (id, span) = (digits::<16>(fields, 3, 35)?, digits::<8>(fields, 36, 52)?);
        let [flags] = digits::<1>(fields, 53, 55)?;
        let sound = version != [0xff] && known && dashes && id != [0; 16] && span != [0; 8];
        sound.then_some(Self { id, span, flags: flags & SAMPLED })
    }

    /// The trace of what nobody gave one: made from the object's durable id and what was published of it, so that both sites
    /// come to the same one.
    fn derived(id: &str, origin: &Origin) -> Self {
        let about = [id.as_bytes(), origin.site.as_bytes(), origin.uid.as_bytes(), &origin.generation.to_be_bytes()];
        let (high, low) = (hashed(&[b"trace" as &[u8]].into_iter().chain(about).collect::<Vec<_>>()), hashed(&about));
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&high);
        trace[8..].copy_from_slice(&low);
        Self { id: trace, span: hashed(&[&trace]), flags: SAMPLED }
    }

    /// A later step of the same trace: of the caller's making, so that the same step has the same id each time.
    #[must_use]
    pub fn step(&self, about: &[&str]) -> Self {
        let parts: Vec<&[u8]> =
            [&self.id as &[u8], &self.span].into_iter().chain(about.iter().map(|a| a.as_bytes())).collect();
        Self { span: hashed(&parts), ..*self }
    }

    /// A later step of the same trace, made from a random number.
    #[must_use]
    pub fn next(&self, random: u128) -> Self {
        Self { span: hashed(&[&random.to_be_bytes()]), ..*self }
    }

    /// The trace's id: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::encode(self.id)
    }

    /// The step's id: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        hex::encode(self.span)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id(), self.span_id(), self.flags)
    }
}

impl SpecRecord {
    /// The trace that the record belongs to. One that says none, of an older release, has one of its own.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let said = self.trace.as_deref().and_then(Trace::parse);
        said.unwrap_or_else(|| Trace::derived(&self.id, &self.origin))
    }
}

impl Record {
    /// The trace that the record belongs to; a deletion has one of its own.
    #[must_use]
    pub fn trace(&self) -> Trace {
        match self {
            Self::Live(live) => live.trace(),
            Self::Tombstone(tombstone) => Trace::derived(&tombstone.id, &tombstone.origin),
        }
    }
}

/// Which trace a publication belongs to. `said` stands on the object, `before` is what is published so far.
///
/// What stands on an object counts once: where the record says the same, it was of an earlier change, and somebody else has
/// made this one. A request of an agency is one trace for its life, whoever decides on it.
#[must_use]
pub fn of_publication(candidate: &SpecRecord, said: Option<&str>, before: Option<&SpecRecord>) -> Trace {
    let published = before.and_then(|before| before.trace.as_deref());
    if candidate.key.kind == Kind::EnvironmentRequest
        && let Some(whole_life) = published.and_then(Trace::parse)
    {
        return whole_life;
    }
    let news = said.filter(|said| published != Some(*said)).and_then(Trace::parse);
    news.unwrap_or_else(|| Trace::derived(&candidate.id, &candidate.origin))
}

/// The digits of a field, which are lower-case.
fn digits<const N: usize>(text: &str, from: usize, to: usize) -> Option<[u8; N]> {
    let field = text.get(from..to)?;
    let mut bytes = [0; N];
    let lower = field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (lower && hex::decode_to_slice(field, &mut bytes).is_ok()).then_some(bytes)
}

/// Eight bytes that are hardly ever made from anything else, and never all zero.
fn hashed(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.finalize()[..8]);
    if bytes == [0; 8] { [1; 8] } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{ObjectKey, Tombstone};
    use proptest::prelude::*;
    use serde_json::json;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn record(kind: Kind, generation: i64, trace: Option<&str>) -> SpecRecord {
        SpecRecord {
            id: "one".into(),
            key: ObjectKey::cluster(kind, "health"),
            labels: [].into(),
            annotations: [].into(),
            spec: json!({}),
            origin: Origin { site: "dc-a".into(), uid: "u".into(), generation },
            published_at: jiff::Timestamp::UNIX_EPOCH,
            trace: trace.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_a_traceparent_is_read_and_nothing_else() {
        let trace = Trace::parse(GIVEN).unwrap();
        assert_eq!(trace.to_string(), GIVEN);
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.span_id(), "00f067aa0ba902b7");
        let later = GIVEN.replacen("00-", "cc-", 1);
        assert_eq!(Trace::parse(&format!("{later}-more")), Some(trace));
        assert_eq!(Trace::parse(&GIVEN.replace("-01", "-ff")).unwrap().to_string(), GIVEN, "of the flags one is known");
        for bad in [
            "",
            "00",
            &GIVEN[..54],
            &format!("{GIVEN}-more"),
            &format!("{later}more"),
            &GIVEN.replacen("00-", "ff-", 1),
            &GIVEN.to_uppercase(),
            &GIVEN.replace('-', "_"),
            &GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GIVEN.replace("4bf9", "4bg9"),
            &GIVEN.replace("4bf9", "统9"),
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not_and_what_is_made_is_read(text in ".{0,80}", random: u128) {
            let _ = Trace::parse(&text);
            for made in [Trace::begun(random), Trace::parse(GIVEN).unwrap().next(random)] {
                prop_assert_eq!(Trace::parse(&made.to_string()), Some(made));
            }
        }
    }

    #[test]
    fn a_step_is_of_the_same_trace_and_the_same_each_time() {
        let trace = Trace::begun(7);
        let (a, b) = (trace.step(&["dc-a", "follow"]), trace.step(&["dc-b", "follow"]));
        assert_eq!((a.trace_id(), a), (trace.trace_id(), trace.step(&["dc-a", "follow"])));
        assert_ne!((a.span_id(), trace.step(&["dc-af", "ollow"]).span_id()), (b.span_id(), a.span_id()));
        assert_ne!(trace.next(1).span_id(), trace.next(2).span_id());
    }

    #[test]
    fn both_sites_come_to_the_same_trace_of_what_has_none() {
        let plain = Record::Live(record(Kind::Unit, 3, None));
        assert_eq!(plain.trace(), Record::Live(record(Kind::Unit, 3, Some("nonsense"))).trace());
        assert_ne!(plain.trace().trace_id(), Record::Live(record(Kind::Unit, 4, None)).trace().trace_id());
        assert_eq!(Record::Live(record(Kind::Unit, 3, Some(GIVEN))).trace().to_string(), GIVEN);
        let SpecRecord { id, key, origin, published_at: deleted_at, .. } = record(Kind::Unit, 5, None);
        let buried = Record::Tombstone(Tombstone { id, key, origin, deleted_at });
        assert_ne!(buried.trace().trace_id(), plain.trace().trace_id());
    }

    #[test]
    fn what_stands_on_an_object_counts_once() {
        let first = record(Kind::Unit, 1, None);
        let asked = of_publication(&first, Some(GIVEN), None);
        assert_eq!(asked.to_string(), GIVEN);
        let published = record(Kind::Unit, 1, Some(GIVEN));
        let edited = record(Kind::Unit, 2, None);
        let by_hand = of_publication(&edited, Some(GIVEN), Some(&published));
        assert_eq!(by_hand, Record::Live(edited.clone()).trace(), "somebody else's edit has a trace of its own");
        let same_trace = Trace::parse(GIVEN).unwrap().next(1).to_string();
        assert_eq!(of_publication(&edited, Some(&same_trace), Some(&published)).to_string(), same_trace);
        for said in [None, Some("nonsense")] {
            assert_eq!(of_publication(&edited, said, Some(&published)), by_hand);
        }
    }

    #[test]
    fn a_request_is_one_trace_for_its_life() {
        let decision = Trace::begun(9).to_string();
        let (before, after) =
            (record(Kind::EnvironmentRequest, 1, Some(GIVEN)), record(Kind::EnvironmentRequest, 2, None));
        for said in [None, Some(GIVEN), Some(decision.as_str())] {
            assert_eq!(of_publication(&after, said, Some(&before)).to_string(), GIVEN);
        }
        assert_eq!(of_publication(&after, Some(&decision), None).to_string(), decision);
    }
}
