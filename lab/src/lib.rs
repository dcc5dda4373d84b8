//! The lab: two real Kubernetes control planes and a three-member arbiter on one machine, and the small nodes in them.
//!
//! Each place is a network namespace of its own; nothing of them is routed on the host. One supervisor runs the programs,
//! stages faults, and leaves nothing behind when it goes: not even when it is killed, because all that must be removed is on
//! disk before it is made.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod apart;
pub mod api;
pub mod arbiter;
pub mod city;
pub mod claim;
pub mod clock;
pub mod command;
pub mod control;
pub mod entry;
pub mod flags;
pub mod forward;
pub mod images;
pub mod install;
pub mod kubeconfig;
pub mod layout;
pub mod ledger;
pub mod network;
pub mod node;
pub mod people;
pub mod pki;
pub mod plan;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod progress;
pub mod site;
pub mod state;
pub mod status;
pub mod supervisor;
