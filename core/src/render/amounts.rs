//! Quantities in the form in which an API server gives them back, so that what was applied reads as it was written.

use serde_json::{Value, json};
use tandem_crds::Quantity;

use super::RenderError;

/// Processor time, canonical: `2`, `1500m`, `2k`.
pub(crate) fn cpu(path: &str, quantity: &Quantity) -> Result<Value, RenderError> {
    let millis = quantity.millis().map_err(|source| RenderError::quantity(path, source))?;
    Ok(json!(decimal(millis)))
}

/// Memory or storage, canonical: `512Mi`, `1500k`.
pub(crate) fn bytes(path: &str, quantity: &Quantity) -> Result<Value, RenderError> {
    let bytes = quantity.units().map_err(|source| RenderError::quantity(path, source))?;
    Ok(json!(binary(bytes)))
}

/// A count, canonical: `200`, `2k`.
pub(crate) fn count(count: i64) -> Value {
    json!(decimal(i128::from(count) * 1_000))
}

/// Kubernetes' canonical decimal form: a whole number with the largest suffix that keeps it whole.
fn decimal(millis: i128) -> String {
    if millis == 0 {
        return "0".to_owned();
    }
    let mut amount = millis;
    let mut suffix = "m";
    for next in ["", "k", "M", "G", "T", "P", "E"] {
        if amount % 1_000 != 0 {
            break;
        }
        amount /= 1_000;
        suffix = next;
    }
    format!("{amount}{suffix}")
}

/// Kubernetes' canonical binary form; amounts that are no multiple of 1024 are read as decimal ones, and given back so.
fn binary(bytes: i64) -> String {
    if bytes % 1_024 != 0 {
        return decimal(i128::from(bytes) * 1_000);
    }
    let mut amount = bytes;
    let mut suffix = "";
    for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if amount == 0 || amount % 1_024 != 0 {
            break;
        }
        amount /= 1_024;
        suffix = next;
    }
    format!("{amount}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_as_an_api_server_gives_them_back() {
        for (text, canonical) in [("0", "0"), ("4.0", "4"), ("0.5", "500m"), ("1500m", "1500m"), ("2000", "2k")] {
            assert_eq!(cpu("", &Quantity::from(text)).unwrap(), json!(canonical), "{text}");
        }
        for (text, canonical) in [
            ("0", "0"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("1500000", "1500k"),
            ("1G", "1G"),
            ("1025", "1025"),
            ("1024Pi", "1Ei"),
        ] {
            assert_eq!(bytes("", &Quantity::from(text)).unwrap(), json!(canonical), "{text}");
        }
        assert_eq!(count(200), json!("200"));
        assert_eq!(count(3_000), json!("3k"));
    }
}
