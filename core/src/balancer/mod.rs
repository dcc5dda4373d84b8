//! The balancer before both sites: from a description of gates and endpoints, the configuration of HAProxy.
//!
//! Traffic goes to the site whose gate says that it holds the group, and to no other. How soon the balancer turns away from a site
//! is a part of what fences it (`T_f + cut + drift < T`), so the times of its checks are worked out here and bounded, not left to
//! whoever writes a configuration.

mod check;
mod description;
mod haproxy;
#[cfg(test)]
mod tests;

pub use check::{Problem, check};
pub use description::{Description, Entry, Mode, Site, Times};
pub use haproxy::haproxy;
