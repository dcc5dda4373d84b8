//! Text that others wrote, rid of what looks like a credential. It may take too much; it must not leave one.

use regex::{Captures, Regex};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What stands in the place of what was removed.
pub(super) const GONE: &str = "[removed]";

/// What a rule finds, by name. Each keeps its first group and removes the rest.
static RULES: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let key = r"[\w.\-]*(?:password|passwd|passphrase|pwd|secret|token|api[_\-]?key|private[_\-]?key|access[_\-]?key|credential|signature|session[_\-]?id|authorization|cookie)[\w.\-]*";
    let of = |name, text: &str| Regex::new(text).ok().map(|rule| (name, rule));
    [
        of("pem", r"(?s)()-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)"),
        of("url-credentials", r#"(?i)(\b[a-z][a-z0-9+.\-]*://)[^/\s@"'<>]+@"#),
        of("authorization", r"(?i)(\b(?:bearer|basic|digest|negotiate)\s+)[A-Za-z0-9._~+/=\-]{6,}"),
        of("jwt", r"()\beyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*){1,4}"),
        // In JSON, also in JSON that is a string in JSON.
        of("credential", &format!(r#"(?i)(\\?["']{key}\\?["']\s*[:=]\s*)(?:\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}}\])]+)"#)),
        of("header", r"(?i)(\b(?:proxy-)?authorization\s*[:=]\s*|\b(?:set-)?cookie\s*[:=]\s*)[^\r\n]+"),
        of("credential", &format!(r#"(?i)(\b{key}\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}}\])]+)"#)),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// A word that is long and mixed enough to be a key; digests in hexadecimal and ids are not.
static LONG: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/_\-]{32,}={0,2}").ok());

fn is_random(word: &str) -> bool {
    let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
    has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit)
}

/// How often each rule removed something.
pub(super) type Removed = BTreeMap<String, usize>;

/// Cleans text, and counts.
#[derive(Debug, Default)]
pub(super) struct Scrubber {
    /// What was removed so far.
    pub(super) removed: Removed,
}

impl Scrubber {
    fn count(&mut self, rule: &str, times: usize) {
        if times > 0 {
            *self.removed.entry(rule.to_owned()).or_default() += times;
        }
    }

    /// The text without what looks like a credential. A PEM block goes as a whole, over all its lines.
    pub(super) fn clean(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, rule) in RULES.iter() {
            let mut times = 0;
            let cleaned = rule.replace_all(&text, |found: &Captures<'_>| {
                let kept = found.get(1).map(|kept| kept.as_str()).unwrap_or_default();
                let all = found.get(0).map(|all| all.as_str()).unwrap_or_default();
                let rest = &all[kept.len()..];
                // Another rule was here before.
                if rest.trim_matches(['"', '\'', '\\', '[', ']']) == "removed" && rest.contains("[removed") {
                    return all.to_owned();
                }
                times += 1;
                // What was quoted stays quoted: JSON stays JSON.
                let quote = ["\\\"", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote)).unwrap_or_default();
                let at = if *name == "url-credentials" { "@" } else { "" };
                format!("{kept}{quote}{GONE}{quote}{at}")
            });
            let cleaned = cleaned.into_owned();
            text = cleaned;
            self.count(name, times);
        }
        let Some(long) = LONG.as_ref() else { return GONE.to_owned() };
        let mut times = 0;
        let cleaned = long.replace_all(&text, |found: &Captures<'_>| {
            let word = found.get(0).map(|word| word.as_str()).unwrap_or_default();
            if is_random(word) {
                times += 1;
                return GONE.to_owned();
            }
            word.to_owned()
        });
        let cleaned = cleaned.into_owned();
        self.count("long-random-word", times);
        cleaned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_a_rule() {
        assert_eq!(RULES.len(), 7);
        assert!(LONG.is_some());
    }

    #[test]
    fn credentials_go_and_the_rest_stays() {
        let mut scrubber = Scrubber::default();
        for (text, cleaned) in [
            ("GET / Authorization: Bearer abc.def-123", "GET / Authorization: [removed]"),
            ("got bearer abcdef123456 from x", "got bearer [removed] from x"),
            ("postgres://hall:hunter2@db.example:5432/x", "postgres://[removed]@db.example:5432/x"),
            ("password=hunter2 user=wang", "password=[removed] user=wang"),
            (r#"{"db_password":"hun\"ter2","n":1}"#, r#"{"db_password":"[removed]","n":1}"#),
            (r#"{"fields":"{\"token\":\"hunter2\",\"n\":1}"}"#, r#"{"fields":"{\"token\":\"[removed]\",\"n\":1}"}"#),
            ("?access_token=hunter2&page=2", "?access_token=[removed]&page=2"),
            ("client-secret: 'hunter 2' next", "client-secret: '[removed]' next"),
            ("jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ3YW5nIn0.c2lnbmF0dXJl end", "jwt [removed] end"),
            ("Set-Cookie: sid=hunter2; Path=/", "Set-Cookie: [removed]"),
            ("key AKIAIOSFODNN7EXAMPLEwJalrXUtnFEMIK7MDENG", "key [removed]"),
        ] {
            assert_eq!(scrubber.clean(text), cleaned);
        }
        for text in [
            "image registry.example/x@sha256:7186b6e1e13844499594bc935ee9f1091d59093bcb00eca31c3d563c5bb86f7d",
            "spec.id 2f1f5f2e-58f6-4d7c-9d3b-3f8a4a1c9a11 of alpha-prod-records",
            "the group alpha-prod-web is active at dc-a under epoch 3",
            "reconciled environment in 0.42 s",
        ] {
            assert_eq!(scrubber.clean(text), text);
        }
        assert!(scrubber.removed["credential"] >= 4 && scrubber.removed["url-credentials"] == 1);
    }

    #[test]
    fn a_pem_block_goes_as_a_whole_also_where_its_end_is_cut_off() {
        let mut scrubber = Scrubber::default();
        let block = "before\n-----BEGIN PRIVATE KEY-----\nhunter2\nhunter3\n-----END PRIVATE KEY-----\nafter";
        assert_eq!(scrubber.clean(block), "before\n[removed]\nafter");
        assert_eq!(scrubber.clean("x -----BEGIN EC PRIVATE KEY-----\nhunter2\nmore"), "x [removed]");
        let one_line = r"key=-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----";
        assert!(!scrubber.clean(one_line).contains("hunter2"));
    }
}
