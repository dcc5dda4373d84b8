//! Labels that several subjects share.

use tandem_core::failover::Step;
use tandem_core::metrics::{Label, Named};
use tandem_crds::Kind;

pub(super) const GROUP: Label = Label::names("group", Named::Groups);
pub(super) const SITE: Label = Label::names("site", Named::Sites);
pub(super) const UNIT: Label = Label::names("unit", Named::Units);
pub(super) const KIND: Label = Label::closed("kind", || Kind::ALL.map(Kind::name).to_vec());
pub(super) const STEP: Label = Label::closed("step", || Step::ALL.map(Step::code).to_vec());

/// Upper bounds for what takes milliseconds, in seconds.
pub(super) const SHORT: &[f64] = &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
