//! From bytes to text: which encoding a spreadsheet program wrote.

use super::problem::{Place, Problem};
use encoding_rs::GB18030;
use std::fmt;

/// The encoding that was found, or assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-8 that begins with a byte order mark, as Excel writes it.
    Utf8WithMark,
    /// GB18030 (and so GBK and GB 2312), assumed because the bytes are not UTF-8.
    Gb18030,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf8WithMark => "UTF-8 with byte order mark",
            Self::Gb18030 => "not UTF-8, read as GB18030",
        })
    }
}

const SAVE_AS: &str = "In Excel or WPS choose \"Save as\" and the type \"CSV UTF-8 (comma delimited)\".";

/// Reads bytes as text.
///
/// # Errors
/// For bytes that are no text in UTF-8 or GB18030: UTF-16, an Excel workbook, something else, or nothing at all.
pub fn decode(bytes: &[u8]) -> Result<(String, Encoding), Problem> {
    let refuse = |what: &str| Err(Problem::fatal(Place::file(), what, SAVE_AS));
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xD0\xCF\x11\xE0") {
        return refuse("this is an Excel workbook, not a CSV file.");
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") || bytes.contains(&0) {
        return refuse("this is UTF-16 (\"Unicode text\") or no text at all; UTF-8 or GB18030 is expected.");
    }
    let (rest, with_mark) = match bytes.strip_prefix(b"\xEF\xBB\xBF") {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    if rest.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::fatal(
            Place::file(),
            "the file is empty.",
            "Give a header line and a line for each application system.",
        ));
    }
    let invalid_at = match std::str::from_utf8(rest) {
        Ok(text) => {
            return Ok((text.to_owned(), if with_mark { Encoding::Utf8WithMark } else { Encoding::Utf8 }));
        }
        Err(error) => error.valid_up_to(),
    };
    let line = 1 + rest.iter().take(invalid_at).filter(|byte| **byte == b'\n').count() as u64;
    let broken = |text: &str| Err(Problem::fatal(Place::line(line), text, SAVE_AS));
    if with_mark {
        return broken("the file begins with the mark of UTF-8, but here are bytes that are not UTF-8.");
    }
    match GB18030.decode_without_bom_handling_and_without_replacement(rest) {
        Some(text) => Ok((text.into_owned(), Encoding::Gb18030)),
        None => broken("here are bytes that are neither UTF-8 nor GB18030."),
    }
}

/// Full-width letters, digits, signs and spaces as their ASCII counterparts; what input methods leave in spreadsheets.
#[must_use]
pub fn half_width(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{3000}' | '\u{a0}' => ' ',
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            _ => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        assert_eq!(decode("单位".as_bytes()).unwrap(), ("单位".to_owned(), Encoding::Utf8));
        assert_eq!(decode("\u{feff}单位".as_bytes()).unwrap(), ("单位".to_owned(), Encoding::Utf8WithMark));
        let (gb, _, _) = GB18030.encode("单位代码,𠮷");
        assert_eq!(decode(&gb).unwrap(), ("单位代码,𠮷".to_owned(), Encoding::Gb18030));
    }

    #[test]
    fn what_is_no_text_is_refused_with_the_way_to_save_it() {
        let utf16: Vec<u8> = "unit".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let with_mark = [b"\xFF\xFE".as_slice(), &utf16].concat();
        for bytes in [utf16.as_slice(), &with_mark, b"PK\x03\x04....", b"\xEF\xBB\xBF\xB5\xA5", b"a\n\xFF\xFF"] {
            let problem = decode(bytes).unwrap_err();
            assert!(problem.remedy.contains("CSV UTF-8"), "{problem}");
        }
        assert_eq!(decode(b"a\nb\xFF\xFF").unwrap_err().place, Place::line(2));
        assert!(decode(b"\xEF\xBB\xBF \r\n").unwrap_err().what.contains("empty"));
    }

    #[test]
    fn full_width_signs_become_half_width() {
        assert_eq!(half_width("４Ｃ　（ＣＰＵ）；"), "4C (CPU);");
    }
}
