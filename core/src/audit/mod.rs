//! The audit chain: one a site, each entry holding the hash of what came before it.
//!
//! An entry is written before an action (`Begun`) and another one after it (`Done` or `Failed`, with the number of the
//! first): a chain is only ever added to. The hash of the chain up to an entry is SHA-256 over the hash before and the
//! digest of what the entry says, so that a proof needs the digests of what follows and nothing of its content.
//!
//! A chain that hangs together tells that nothing in it was changed. That it is not another one, written anew from the
//! start, tells a head that is kept elsewhere: sealed segments ([`Segment`]), or the head at the other site.

mod chain;
mod entry;
mod file;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use chain::{Broken, Flaw, link, unfinished, verify};
pub use entry::{Actor, Draft, ENTRY_BYTES, Entry, Head, Outcome, TooLarge, VERSION};
pub use file::{Checker, Verified, Writing, to_file, verify_file};
pub use segment::{Proof, SEGMENT_ENTRIES, Segment, verify_segments};
pub use writer::{API_MANAGER, CARRIES_OUT_MANAGER, Writer, operator};
