//! Kubernetes quantities, as a type whose schema is a string with a pattern.
//!
//! The upstream type's schema is int-or-string, but its decoder takes strings only: one object with `cpu: 4` would break
//! every watch. With a string schema even an API server of 1.20 refuses such an object and says what it wants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount with an optional suffix: `m` (thousandths), `k M G T P` (powers of 1000), `Ki Mi Gi Ti Pi` (powers of 1024).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Quantity(
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"))]
    pub String,
);

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text has not the form of a quantity.
    #[error(
        "'{0}' is not a quantity: write a number with an optional suffix (m, k, M, G, T, P, Ki, Mi, Gi, Ti, Pi), such as 500m or 8Gi"
    )]
    Malformed(String),
    /// The amount does not fit the range that Kubernetes gives a quantity.
    #[error("'{0}' is too large: a quantity is at most 2^63-1")]
    TooLarge(String),
}

impl Quantity {
    /// The amount in thousandths, rounded up, as Kubernetes rounds: millicores for a processor, thousandths of a byte for
    /// memory.
    ///
    /// # Errors
    /// When the text is no quantity or is past 2^63-1.
    pub fn millis(&self) -> Result<i128, QuantityError> {
        let malformed = || QuantityError::Malformed(self.0.clone());
        let split = self.0.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.0.len());
        let (number, suffix) = self.0.split_at(split);
        // In thousandths of a thousandth, so that `0.5m` can be rounded up.
        let scale: i128 = match suffix {
            "m" => 1_000,
            "" => 1_000_000,
            "k" => 1_000_000_000,
            "M" => 1_000_000_000_000,
            "G" => 1_000_000_000_000_000,
            "T" => 1_000_000_000_000_000_000,
            "P" => 1_000_000_000_000_000_000_000,
            "Ki" => 1_000_000 << 10,
            "Mi" => 1_000_000 << 20,
            "Gi" => 1_000_000 << 30,
            "Ti" => 1_000_000 << 40,
            "Pi" => 1_000_000 << 50,
            _ => return Err(malformed()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let fraction_is_empty_after_dot = number.contains('.') && fraction.is_empty();
        if whole.is_empty() || fraction_is_empty_after_dot || fraction.len() > 3 || fraction.contains('.') {
            return Err(malformed());
        }
        if whole.len() > 19 {
            return Err(QuantityError::TooLarge(self.0.clone()));
        }
        let whole: i128 = whole.parse().map_err(|_| malformed())?;
        let thousandths: i128 = format!("{fraction:0<3}").parse().map_err(|_| malformed())?;
        let micros =
            (whole * 1_000 + thousandths).checked_mul(scale).ok_or_else(|| QuantityError::TooLarge(self.0.clone()))?
                / 1_000;
        let millis = (micros + 999) / 1_000;
        if millis > i128::from(i64::MAX) * 1_000 {
            return Err(QuantityError::TooLarge(self.0.clone()));
        }
        Ok(millis)
    }

    /// The amount in whole units, rounded up: bytes of memory, cores of a processor.
    ///
    /// # Errors
    /// As [`Self::millis`].
    pub fn units(&self) -> Result<i64, QuantityError> {
        let units = (self.millis()? + 999) / 1_000;
        i64::try_from(units).map_err(|_| QuantityError::TooLarge(self.0.clone()))
    }

    /// Processor time from millicores, in the canonical form that an API server answers with.
    #[must_use]
    pub fn from_millicores(millis: i64) -> Self {
        if millis % 1_000 == 0 { Self((millis / 1_000).to_string()) } else { Self(format!("{millis}m")) }
    }

    /// Memory or storage from bytes, in the canonical binary form that an API server answers with.
    #[must_use]
    pub fn from_bytes(bytes: i64) -> Self {
        let mut amount = bytes;
        let mut suffix = "";
        for next in ["Ki", "Mi", "Gi", "Ti", "Pi"] {
            if amount == 0 || amount % 1_024 != 0 {
                break;
            }
            amount /= 1_024;
            suffix = next;
        }
        Self(format!("{amount}{suffix}"))
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("4", 4_000),
            ("500m", 500),
            ("1.5", 1_500),
            ("0.5m", 1),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("2G", 2_000_000_000_000),
        ] {
            assert_eq!(Quantity::from(text).millis().unwrap(), millis, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in
            ["", "m", "-1", "1.", ".5", "1.2345", "4 cores", "1e3", "1KB", "99999999999999999999", "9999999999999P"]
        {
            assert!(Quantity::from(text).millis().is_err(), "{text}");
        }
    }

    #[test]
    fn canonical_forms_keep_the_amount() {
        assert_eq!(Quantity::from_millicores(1_500).0, "1500m");
        assert_eq!(Quantity::from_millicores(4_000).0, "4");
        assert_eq!(Quantity::from_bytes(1_610_612_736).0, "1536Mi");
        assert_eq!(Quantity::from_bytes(0).0, "0");
        assert_eq!(Quantity::from_bytes(1_000).0, "1000");
    }
}
