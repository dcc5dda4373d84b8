//! Tables for single looks, and a small cluster that takes each step for the whole.

mod cluster;
mod table;
