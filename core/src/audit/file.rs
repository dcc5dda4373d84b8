//! A chain, or a part of it, as a file: JSON lines, to be verified offline.
//!
//! ```text
//! {"audit":"tandem","first":1,"previous":"…","site":"dc-a","version":1}
//! {"entry":{…},"hash":"…"}
//! {"head":{"hash":"…","seq":1}}
//! ```
//! Each line is canonical (sorted keys, no white space) and ends in a line feed: there is one way to write a file, so that
//! no byte of it can be changed unseen.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::chain::{Broken, Flaw, link};
use super::entry::{Entry, Head, VERSION};
use crate::sync::canonical;

const MARK: &str = "tandem";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beginning {
    audit: String,
    first: u64,
    previous: String,
    site: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    entry: Entry,
    hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    head: Head,
}

/// The file of these entries, which follow `start`.
///
/// # Errors
/// [`Broken`]: they are not a chain, or there are none.
pub fn to_file(start: &Head, site: &str, entries: &[Entry]) -> Result<String, Broken> {
    let (mut writing, mut text) = Writing::begin(start, site);
    for entry in entries {
        text.push_str(&writing.entry(entry)?);
    }
    if entries.is_empty() {
        return Err(Broken { seq: start.seq + 1, why: Flaw::Empty });
    }
    text.push_str(&writing.end().1);
    Ok(text)
}

/// A file that is written piece by piece, for chains that do not fit into memory. Each step gives the text that comes next.
#[derive(Clone, Debug)]
pub struct Writing {
    head: Head,
    site: String,
}

impl Writing {
    /// Begins the file of the entries that follow `start`.
    #[must_use]
    pub fn begin(start: &Head, site: &str) -> (Self, String) {
        let beginning = Beginning {
            audit: MARK.to_owned(),
            first: start.seq + 1,
            previous: start.hash.clone(),
            site: site.to_owned(),
            version: VERSION,
        };
        (Self { head: start.clone(), site: site.to_owned() }, written(&beginning))
    }

    /// Goes on with an entry.
    ///
    /// # Errors
    /// [`Broken`]: it does not follow the one before.
    pub fn entry(&mut self, entry: &Entry) -> Result<String, Broken> {
        self.head = link(&self.head, &self.site, entry)?;
        Ok(written(&Line { entry: entry.clone(), hash: self.head.hash.clone() }))
    }

    /// Ends the file; beside its text, the head that it ends with.
    #[must_use]
    pub fn end(self) -> (Head, String) {
        let text = written(&End { head: self.head.clone() });
        (self.head, text)
    }
}

fn written<T: Serialize>(line: &T) -> String {
    // Cannot fail: maps with string keys.
    let mut text = canonical(&serde_json::to_value(line).unwrap_or_default());
    text.push('\n');
    text
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The site whose chain it is.
    pub site: String,
    /// The number of the first entry.
    pub first: u64,
    /// The head of the chain up to the last.
    pub head: Head,
    /// How many of the heads that were known from elsewhere it passes. With none, it hangs together, and might be another
    /// chain that somebody wrote anew.
    pub anchors: usize,
}

/// Verifies a file line by line. Lines are given without their line feed.
#[derive(Debug)]
pub struct Checker {
    anchors: Vec<Head>,
    passed: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Nothing,
    Entries { site: String, first: u64, head: Head },
    Over(Verified),
}

impl Checker {
    /// A checker that also compares with heads that are known from elsewhere.
    #[must_use]
    pub fn new(anchors: Vec<Head>) -> Self {
        Self { anchors, passed: 0, state: State::Nothing }
    }

    /// Looks at the next line.
    ///
    /// # Errors
    /// [`Broken`]: the first broken link. What follows tells nothing any more.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Broken> {
        let seq = self.next();
        let broken = |why| Broken { seq, why };
        let value: Value = serde_json::from_slice(line).map_err(|_| broken(Flaw::Unreadable))?;
        if canonical(&value).as_bytes() != line {
            return Err(broken(Flaw::NotCanonical));
        }
        self.state = match std::mem::replace(&mut self.state, State::Nothing) {
            State::Nothing => {
                let beginning: Beginning = typed(&value, seq)?;
                if beginning.audit != MARK {
                    return Err(broken(Flaw::Unreadable));
                }
                if beginning.version != VERSION {
                    return Err(broken(Flaw::Version { found: beginning.version.to_string() }));
                }
                let Beginning { site, first, previous, .. } = beginning;
                let head = Head { seq: first.checked_sub(1).ok_or_else(|| broken(Flaw::Unreadable))?, hash: previous };
                if first == 1 && head != Head::genesis(&site) {
                    return Err(Broken { seq: first, why: Flaw::Previous });
                }
                self.passed += anchored(&self.anchors, &head)?;
                State::Entries { site, first, head }
            }
            State::Entries { site, first, head } if value.get("head").is_some() => {
                let end: End = typed(&value, seq)?;
                if head.seq < first {
                    return Err(broken(Flaw::Empty));
                }
                if end.head.seq != head.seq {
                    return Err(broken(Flaw::Truncated));
                }
                if end.head.hash != head.hash {
                    return Err(Broken { seq: head.seq, why: Flaw::Hash });
                }
                State::Over(Verified { site, first, head, anchors: self.passed })
            }
            State::Entries { site, first, head } => {
                let Line { entry, hash } = typed(&value, seq)?;
                let head = link(&head, &site, &entry)?;
                if head.hash != hash {
                    return Err(broken(Flaw::Hash));
                }
                self.passed += anchored(&self.anchors, &head)?;
                State::Entries { site, first, head }
            }
            State::Over(_) => return Err(broken(Flaw::BehindTheEnd)),
        };
        Ok(())
    }

    /// What is wrong with a file that ends in the middle of the next line.
    #[must_use]
    pub fn truncated(&self) -> Broken {
        Broken { seq: self.next(), why: Flaw::Truncated }
    }

    /// What the file is, once its last line was looked at.
    ///
    /// # Errors
    /// [`Broken`]: the end is missing.
    pub fn finish(self) -> Result<Verified, Broken> {
        let seq = self.next();
        match self.state {
            State::Over(verified) => Ok(verified),
            State::Nothing | State::Entries { .. } => Err(Broken { seq, why: Flaw::Truncated }),
        }
    }

    /// The number of the entry that should stand next.
    fn next(&self) -> u64 {
        match &self.state {
            State::Nothing => 0,
            State::Entries { head, .. } | State::Over(Verified { head, .. }) => head.seq + 1,
        }
    }
}

/// How many of the known heads this is.
fn anchored(anchors: &[Head], head: &Head) -> Result<usize, Broken> {
    let here = || anchors.iter().filter(|anchor| anchor.seq == head.seq);
    if here().any(|anchor| anchor.hash != head.hash) {
        return Err(Broken { seq: head.seq, why: Flaw::Anchor });
    }
    Ok(here().count())
}

fn typed<T: DeserializeOwned + Serialize>(value: &Value, seq: u64) -> Result<T, Broken> {
    // A version that is not known is said to be so before it is said to be unreadable.
    let version = value.get("entry").and_then(|entry| entry.get("version")).or_else(|| value.get("version")).cloned();
    if let Some(found) = version.filter(|version| *version != VERSION) {
        return Err(Broken { seq, why: Flaw::Version { found: found.to_string() } });
    }
    let typed: T = serde_json::from_value(value.clone()).map_err(|_| Broken { seq, why: Flaw::Unreadable })?;
    // A field that is not known would be left out of the hash.
    let same = serde_json::to_value(&typed).is_ok_and(|again| canonical(&again) == canonical(value));
    if same { Ok(typed) } else { Err(Broken { seq, why: Flaw::NotCanonical }) }
}

/// Verifies a whole file, also against heads that are known from elsewhere.
///
/// # Errors
/// [`Broken`]: the first broken link.
pub fn verify_file(bytes: &[u8], anchors: Vec<Head>) -> Result<Verified, Broken> {
    let mut checker = Checker::new(anchors);
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return Err(checker.truncated());
        };
        checker.line(&rest[..end])?;
        rest = &rest[end + 1..];
    }
    checker.finish()
}
