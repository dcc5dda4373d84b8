//! Segments, sealed for long retention, and proofs that an entry is in a chain.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chain::{Broken, Flaw, link, verify};
use super::entry::{Entry, Head};

/// How many entries a segment has where nothing else is configured. A proof has one digest for each entry after its own.
pub const SEGMENT_ENTRIES: u64 = 1_000;

/// A part of a site's chain that is sealed: what is known of it, wherever its entries are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditSegment")]
pub struct Segment {
    /// The site.
    pub site: String,
    /// The number of its first entry.
    pub first: u64,
    /// The number of its last entry.
    pub last: u64,
    /// The hash of the chain before its first entry.
    pub previous: String,
    /// The hash of the chain up to its last entry.
    pub hash: String,
    /// When it was sealed, by the wall clock of whoever did.
    #[schemars(with = "String")]
    pub sealed_at: Timestamp,
}

impl Segment {
    /// Seals the entries that follow `start`.
    ///
    /// # Errors
    /// [`Broken`]: they are not a chain, or there are none.
    pub fn seal(start: &Head, site: &str, entries: &[Entry], at: Timestamp) -> Result<Self, Broken> {
        let first = start.seq + 1;
        if entries.is_empty() {
            return Err(Broken { seq: first, why: Flaw::Empty });
        }
        let head = verify(start, site, entries)?;
        let (site, previous) = (site.to_owned(), start.hash.clone());
        Ok(Self { site, first, last: head.seq, previous, hash: head.hash, sealed_at: at })
    }

    /// The head of the chain before it.
    #[must_use]
    pub fn start(&self) -> Head {
        Head { seq: self.first.saturating_sub(1), hash: self.previous.clone() }
    }

    /// The head of the chain up to its end.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.last, hash: self.hash.clone() }
    }

    /// Whether these are its entries.
    ///
    /// # Errors
    /// [`Broken`]: the first that is not.
    pub fn verify(&self, entries: &[Entry]) -> Result<(), Broken> {
        let head = verify(&self.start(), &self.site, entries)?;
        if head.seq < self.last {
            return Err(Broken { seq: head.seq + 1, why: Flaw::Truncated });
        }
        if head.seq > self.last {
            return Err(Broken { seq: self.last + 1, why: Flaw::BehindTheEnd });
        }
        if head.hash == self.hash { Ok(()) } else { Err(Broken { seq: self.last, why: Flaw::Anchor }) }
    }
}

/// A site's segments follow each other without a gap, from the first entry on; returns the head of the last.
///
/// # Errors
/// [`Broken`] with the first entry of the segment that does not follow.
pub fn verify_segments<'a>(site: &str, segments: impl IntoIterator<Item = &'a Segment>) -> Result<Head, Broken> {
    segments.into_iter().try_fold(Head::genesis(site), |head, segment| {
        let broken = |why| Err(Broken { seq: head.seq + 1, why });
        if segment.site != site {
            return broken(Flaw::Site { found: segment.site.clone() });
        }
        if segment.first != head.seq + 1 || segment.last < segment.first {
            return broken(Flaw::Number { found: segment.first });
        }
        if segment.previous != head.hash {
            return broken(Flaw::Previous);
        }
        Ok(segment.head())
    })
}

/// That an entry is in a chain: the entry, and the digests of what follows it up to a head. It gives away nothing of other
/// entries, so that an agency can be shown its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditProof")]
pub struct Proof {
    /// The entry.
    pub entry: Entry,
    /// The digests of the entries that follow, in order.
    pub following: Vec<String>,
    /// The head that they lead to.
    pub head: Head,
}

impl Proof {
    /// The proof for the entry of this number, from entries that follow each other and begin at it or before; `None` where
    /// it is not among them.
    #[must_use]
    pub fn of(seq: u64, entries: &[Entry]) -> Option<Self> {
        let at = entries.iter().position(|entry| entry.seq == seq)?;
        let (entry, following) = entries.get(at..)?.split_first()?;
        let head = following.last().unwrap_or(entry).head();
        Some(Self { entry: entry.clone(), following: following.iter().map(Entry::digest).collect(), head })
    }

    /// Whether the entry is in the chain of this site and of this head, which the caller knows from elsewhere, such as a
    /// sealed [`Segment`].
    ///
    /// # Errors
    /// [`Broken`].
    pub fn verify(&self, site: &str, known: &Head) -> Result<(), Broken> {
        let seq = self.entry.seq;
        let start = Head { seq: seq.saturating_sub(1), hash: self.entry.previous.clone() };
        if seq == 1 && start != Head::genesis(site) {
            return Err(Broken { seq, why: Flaw::Previous });
        }
        let head = link(&start, site, &self.entry)?;
        let head = self.following.iter().fold(head, |head, digest| head.after(digest));
        if head == *known && head == self.head { Ok(()) } else { Err(Broken { seq, why: Flaw::Anchor }) }
    }
}
