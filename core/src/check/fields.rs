//! Checks of single fields.

use tandem_crds::Quantity;
use tandem_crds::status::Reason;

use super::Problem;
use crate::names;

/// Whether zero will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Allowed,
    Refused,
}

/// The amount in thousandths, or a problem.
pub(super) fn millis(path: &str, quantity: &Quantity, zero: Zero, problems: &mut Vec<Problem>) -> Option<u64> {
    let amount = match quantity.millis() {
        Ok(amount) => amount,
        Err(error) => {
            problems.push(Problem::new(Reason::Invalid, path, error.to_string()));
            return None;
        }
    };
    if amount == 0 && zero == Zero::Refused {
        let message = format!("'{quantity}' is nothing: give an amount above zero");
        problems.push(Problem::new(Reason::Invalid, path, message));
        return None;
    }
    // Past 2^63 thousandths no budget reaches; a saturated amount then does not fit.
    Some(u64::try_from(amount).unwrap_or(u64::MAX))
}

/// The amount in whole units, rounded up, or a problem.
pub(super) fn units(path: &str, quantity: &Quantity, zero: Zero, problems: &mut Vec<Problem>) -> Option<u64> {
    millis(path, quantity, zero, problems)?;
    quantity.units().ok().and_then(|units| u64::try_from(units).ok())
}

/// A name that becomes a label's value, a part of other names or a namespace.
pub(super) fn name(name: Option<&str>, problems: &mut Vec<Problem>) {
    let name = name.unwrap_or_default();
    if !names::is_dns_label(name) {
        let message = format!(
            "'{name}' cannot be used: take at most 63 lower-case letters, digits and dashes, beginning and ending with a \
             letter or digit (no dots: the name becomes part of other names)"
        );
        problems.push(Problem::new(Reason::Invalid, "metadata.name", message));
    }
}

/// Groups of the identity provider; those that Kubernetes and Tandem give a meaning of their own are nobody's to name.
pub(super) fn group(path: &str, group: &str, problems: &mut Vec<Problem>) {
    if group.starts_with("system:") || group.starts_with("tandem:") {
        let message = format!(
            "'{group}' is no group of the identity provider: names that begin with system: or tandem: are Kubernetes' and \
             Tandem's own; name a group of the agency"
        );
        problems.push(Problem::new(Reason::PolicyViolation, path, message));
    }
}

/// Whether a text is a label's key: an optional DNS name and a slash, then up to 63 characters.
pub(super) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(names::is_dns_label)) && is_label_part(name)
}

/// Whether a text is a label's value.
pub(super) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_label_part(value)
}

fn is_label_part(text: &str) -> bool {
    let alphanumeric = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && alphanumeric(text.chars().next())
        && alphanumeric(text.chars().last())
}

/// The indices of items that some earlier item equals, with the earlier one's index.
pub(super) fn repeated<T, K: PartialEq>(items: &[T], key: impl Fn(&T) -> K) -> Vec<(usize, usize)> {
    let keys: Vec<K> = items.iter().map(key).collect();
    let earlier = |n: usize| keys[..n].iter().position(|before| *before == keys[n]);
    (0..keys.len()).filter_map(|n| earlier(n).map(|before| (n, before))).collect()
}
