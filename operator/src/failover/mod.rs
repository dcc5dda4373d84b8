//! Moving groups: what is known goes into the machine of [`tandem_core::failover`], and what that decides is carried out.
//!
//! Nothing is decided here. [`Board`] and [`Peers`] are fed from the arbiter alone and kept by every replica; the rest is the
//! work of whoever leads its site:
//!
//! - `requests` brings `Failover` objects and the arbiter's requests together, and `shown` folds journals into status;
//! - `unasked` shows what begins by itself in the same way;
//! - `orders` says which executions there are to be, and whose turn it is;
//! - `picture` puts what is known together, `driver` asks the machine, `carry` sends transactions, `effects` makes calls;
//! - `holds` brings annotations and the arbiter's holds together;
//! - `reports` keeps a report on what has ended;
//! - `collect` removes what is over and old;
//! - `said` keeps what is said of each group.

mod board;
mod carry;
mod collect;
mod config;
mod driver;
mod effects;
mod groups;
mod holds;
mod orders;
mod peers;
mod picture;
mod reports;
mod requests;
mod room;
mod said;
mod shown;
mod strengths;
mod unasked;

pub use board::{Board, DataHeld, GroupHeld, JournalHeld, JournalKey};
pub use collect::run_collection;
pub use config::FailoverConfig;
pub use driver::run_driver;
pub use groups::run_groups;
pub use holds::run_holds;
pub use orders::is_automatic;
pub use peers::{Peers, run_peers};
pub(crate) use picture::{Picture, ReadySince, wall};
pub use reports::run_reports;
pub(crate) use requests::{KIND as FAILOVER, resource as failovers};
pub use requests::{run_requests, watch_requests};
pub use said::{GroupNote, GroupNotes};
pub use strengths::{Provisioned, Strengths};
