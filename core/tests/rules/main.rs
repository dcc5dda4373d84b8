//! Rendering, checks and drift, each as a whole.
#![allow(clippy::unwrap_used)]

mod applications;
mod deletions;
mod fixtures;
mod governance;
mod properties;
mod rendering;
mod requests;
