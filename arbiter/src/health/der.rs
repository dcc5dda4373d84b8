//! As much of DER (X.690) as it takes to read whom an X.509 certificate (RFC 5280) names and until when it is good. Whether it is
//! to be trusted is decided elsewhere: this is only read aloud.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Certificate;

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// One value after another, each with its tag.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // The length stands in so many bytes; more than four are no certificate.
            let count = usize::from(first & 0x7f);
            let (bytes, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
            (bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

/// Whom a certificate names, and until when it is good; `None` where the bytes are none.
pub(super) fn certificate(bytes: &[u8]) -> Option<Certificate> {
    let mut certificate = Reader(Reader(bytes).expect(SEQUENCE)?);
    let mut signed = Reader(certificate.expect(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.next()?;
    }
    let _serial = signed.expect(INTEGER)?;
    let _algorithm = signed.expect(SEQUENCE)?;
    let _issuer = signed.expect(SEQUENCE)?;
    let mut validity = Reader(signed.expect(SEQUENCE)?);
    let _not_before = validity.next()?;
    let (tag, not_after) = validity.next()?;
    let subject = Reader(signed.expect(SEQUENCE)?);
    Some(Certificate { name: common_name(subject).unwrap_or_default(), expires: time(tag, not_after)? })
}

fn common_name(mut subject: Reader<'_>) -> Option<String> {
    while let Some(set) = subject.expect(SET) {
        let mut attributes = Reader(set);
        while let Some(attribute) = attributes.expect(SEQUENCE) {
            let mut attribute = Reader(attribute);
            if attribute.expect(OBJECT_IDENTIFIER)? == COMMON_NAME {
                let (_, text) = attribute.next()?;
                return std::str::from_utf8(text).ok().map(str::to_owned);
            }
        }
    }
    None
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`; of two digits those below 50 are of this century (RFC 5280, 4.1.2.5.1).
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => text.split_at_checked(2).map(|(year, rest)| {
            let year: i16 = year.parse().ok()?;
            Some((if year < 50 { 2000 + year } else { 1900 + year }, rest))
        })?,
        GENERALIZED_TIME => text.split_at_checked(4).map(|(year, rest)| Some((year.parse().ok()?, rest)))?,
        _ => None,
    }?;
    let two = |place: usize| rest.get(place * 2..place * 2 + 2)?.parse::<i8>().ok();
    let civil = DateTime::new(year, two(0)?, two(1)?, two(2)?, two(3)?, two(4)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(civil).ok().filter(|_| rest.len() == 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_both_forms_are_read() {
        let read = |tag, text: &str| time(tag, text.as_bytes()).map(|time| time.to_string());
        assert_eq!(read(UTC_TIME, "300102030405Z").as_deref(), Some("2030-01-02T03:04:05Z"));
        assert_eq!(read(UTC_TIME, "990102030405Z").as_deref(), Some("1999-01-02T03:04:05Z"));
        assert_eq!(read(GENERALIZED_TIME, "20510102030405Z").as_deref(), Some("2051-01-02T03:04:05Z"));
        for nonsense in ["", "Z", "300102030405", "301302030405Z", "3001020304Z", "30010203040506Z"] {
            assert_eq!(read(UTC_TIME, nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused_and_never_read_past_their_end() {
        for bytes in
            [&b""[..], b"\x30", b"\x30\x82", b"\x30\x05\x30\x01", b"\x30\x84\xff\xff\xff\xff", b"\x30\x89123456789"]
        {
            assert!(certificate(bytes).is_none());
        }
    }
}
