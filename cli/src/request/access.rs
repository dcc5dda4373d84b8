//! How the API is reached, and as whom.

use super::RequestError;
use super::args::ApiArgs;
use super::https::{Https, Unusable};
use http::header::HeaderValue;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest file that is read for a sign-in, in bytes: no token or chain comes near it.
const LONGEST: u64 = 1024 * 1024;

/// A token, and where it comes from. What it is stays out of every text.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// In this file, read anew for every call: tokens are short-lived, and something else keeps the file fresh.
    File(PathBuf),
    /// In the environment.
    Environment(String),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "a token in {}", path.display()),
            Self::Environment(_) => f.write_str("a token"),
        }
    }
}

/// How somebody signs in, as the arguments and the environment have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// By a client certificate.
    Certificate {
        /// The chain, PEM.
        cert: PathBuf,
        /// The key, PEM.
        key: PathBuf,
    },
    /// By a token.
    Token(Token),
}

impl SignIn {
    /// What is given: an argument comes before the environment, and there is one way only.
    ///
    /// # Errors
    /// Where nothing is given, or two ways at once.
    pub fn pick(args: &ApiArgs, environment: impl Fn(&str) -> Option<String>) -> Result<Self, RequestError> {
        if let (Some(cert), Some(key)) = (&args.cert, &args.key) {
            return Ok(Self::Certificate { cert: cert.clone(), key: key.clone() });
        }
        if let Some(path) = &args.token_file {
            return Ok(Self::Token(Token::File(path.clone())));
        }
        let given = |name: &str| environment(name).filter(|value| !value.is_empty());
        let names = ["TANDEM_CERT", "TANDEM_KEY", "TANDEM_TOKEN_FILE", "TANDEM_TOKEN"];
        match names.map(given) {
            [Some(cert), Some(key), None, None] => Ok(Self::Certificate { cert: cert.into(), key: key.into() }),
            [None, None, Some(path), None] => Ok(Self::Token(Token::File(path.into()))),
            [None, None, None, Some(token)] => Ok(Self::Token(Token::Environment(token))),
            [None, None, None, None] => Err(RequestError::NobodySignsIn),
            [Some(_), None, None, None] => {
                Err(RequestError::HalfACertificate { there: "TANDEM_CERT", missing: "TANDEM_KEY" })
            }
            [None, Some(_), None, None] => {
                Err(RequestError::HalfACertificate { there: "TANDEM_KEY", missing: "TANDEM_CERT" })
            }
            _ => Err(RequestError::TwoSignIns),
        }
    }
}

/// The way to the API.
#[derive(Debug)]
pub struct Access {
    /// The address, without a slash at its end.
    pub base: String,
    /// TLS with that authority alone.
    pub https: Https,
    /// The token, where one is shown.
    pub token: Option<Token>,
    /// How long to try again while the API asks to wait.
    pub wait: Duration,
}

impl Access {
    /// Reads what is needed. Whether the API answers is seen with the first call.
    ///
    /// # Errors
    /// Where something is not given, a file cannot be read, or TLS cannot use what is in it.
    pub fn new(args: &ApiArgs, environment: impl Fn(&str) -> Option<String>) -> Result<Self, RequestError> {
        let api = args.api.as_deref().filter(|api| !api.is_empty());
        let api = api.ok_or(RequestError::NotGiven { flag: "--api", variable: "TANDEM_API" })?;
        let base = address(api).ok_or_else(|| RequestError::Address(api.to_owned()))?;
        let ca_file = args.ca.as_ref().ok_or(RequestError::NotGiven { flag: "--ca", variable: "TANDEM_API_CA" })?;
        let ca = read(ca_file)?;
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source: Unusable| RequestError::Unusable { path, source }
        };
        let (https, token) = match SignIn::pick(args, environment)? {
            SignIn::Certificate { cert, key } => {
                let shown = (read(&cert)?, read(&key)?);
                let path = |error: &Unusable| match error {
                    Unusable::Authority => ca_file.clone(),
                    Unusable::Key => key.clone(),
                    Unusable::Certificate | Unusable::Tls(_) => cert.clone(),
                };
                let https = Https::new(&ca, Some((&shown.0, &shown.1)));
                (https.map_err(|error| RequestError::Unusable { path: path(&error), source: error })?, None)
            }
            SignIn::Token(token) => (Https::new(&ca, None).map_err(unusable(ca_file))?, Some(token)),
        };
        let access = Self { base, https, token, wait: Duration::from_secs(args.wait) };
        // Said now, and not only after a request was put together.
        access.shown()?;
        Ok(access)
    }

    /// The token as it is now; nothing where a certificate is shown instead.
    ///
    /// # Errors
    /// Where its file cannot be read, or it holds none.
    pub fn shown(&self) -> Result<Option<Shown>, RequestError> {
        let (text, whence) = match &self.token {
            None => return Ok(None),
            Some(Token::File(path)) => {
                let bytes = read(path)?;
                (String::from_utf8(bytes).unwrap_or_default(), path.display().to_string())
            }
            Some(Token::Environment(text)) => (text.clone(), "TANDEM_TOKEN".to_owned()),
        };
        let text = text.trim();
        let one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::try_from(format!("Bearer {text}")).ok().filter(|_| one);
        let mut value = value.ok_or(RequestError::NoToken { whence })?;
        value.set_sensitive(true);
        Ok(Some(Shown { header: value, text: text.to_owned() }))
    }
}

/// A token that is shown with a call.
#[derive(Clone)]
pub struct Shown {
    /// As a header.
    pub header: HeaderValue,
    text: String,
}

impl Shown {
    /// Others' words without the token in them: an API, or what stands in for it, that answers with what it was sent must not
    /// bring it onto a screen.
    #[must_use]
    pub fn harmless(&self, said: &str) -> String {
        said.replace(&self.text, "…")
    }
}

/// An `https://` address without what comes after its path, and without a slash at its end.
#[must_use]
pub fn address(text: &str) -> Option<String> {
    let uri: http::Uri = text.trim().parse().ok()?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let plain = uri.scheme_str() == Some("https") && uri.query().is_none();
    plain.then(|| format!("https://{authority}{}", uri.path().trim_end_matches('/')))
}

fn read(path: &Path) -> Result<Vec<u8>, RequestError> {
    use std::io::Read;
    let failed = |source| RequestError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn arguments_come_before_the_environment() {
        let token = ApiArgs { token_file: Some("t".into()), ..ApiArgs::default() };
        let certificate = ApiArgs { cert: Some("c".into()), key: Some("k".into()), ..ApiArgs::default() };
        let all = set(&[("TANDEM_CERT", "x"), ("TANDEM_KEY", "y"), ("TANDEM_TOKEN", "z")]);
        assert_eq!(SignIn::pick(&token, &all).unwrap(), SignIn::Token(Token::File("t".into())));
        assert!(
            matches!(SignIn::pick(&certificate, &all).unwrap(), SignIn::Certificate { cert, .. } if cert.as_os_str() == "c")
        );
        assert!(matches!(SignIn::pick(&ApiArgs::default(), &all), Err(RequestError::TwoSignIns)));
    }

    #[test]
    fn the_environment_has_one_way_or_says_what_is_missing() {
        let none = ApiArgs::default();
        assert!(matches!(SignIn::pick(&none, set(&[])), Err(RequestError::NobodySignsIn)));
        assert!(matches!(SignIn::pick(&none, set(&[("TANDEM_TOKEN", "")])), Err(RequestError::NobodySignsIn)));
        let half = SignIn::pick(&none, set(&[("TANDEM_KEY", "k")])).unwrap_err();
        assert!(half.to_string().contains("TANDEM_CERT"), "{half}");
        let token = SignIn::pick(&none, set(&[("TANDEM_TOKEN", "s3cret")])).unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn an_address_is_https_and_nothing_but_where() {
        for (text, wanted) in [
            ("https://api.dc-a.example", Some("https://api.dc-a.example")),
            (" https://10.0.0.1:8443/ ", Some("https://10.0.0.1:8443")),
            ("https://gate.example/tandem/", Some("https://gate.example/tandem")),
            ("http://api.dc-a.example", None),
            ("https://li:secret@api.dc-a.example", None),
            ("https://api.dc-a.example/?a=b", None),
            ("api.dc-a.example", None),
            ("/etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(address(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn a_token_is_read_anew_and_shown_to_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let ca = rcgen::generate_simple_self_signed(vec!["api".to_owned()]).unwrap();
        let https = Https::new(ca.cert.pem().as_bytes(), None).unwrap();
        let token = Some(Token::File(file.clone()));
        let access = Access { base: String::new(), https, token, wait: Duration::ZERO };
        assert!(access.shown().is_err(), "there is no file");
        for text in ["", " \n", "two words", "line\nline"] {
            std::fs::write(&file, text).unwrap();
            let error = access.shown().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("token") && (text.trim().is_empty() || !error.contains(text)), "{error}");
        }
        for text in ["abc", "def\n"] {
            std::fs::write(&file, text).unwrap();
            let shown = access.shown().unwrap().unwrap();
            assert_eq!(shown.header.as_bytes(), format!("Bearer {}", text.trim()).as_bytes());
            assert_eq!(shown.harmless(&format!("you sent {}!", text.trim())), "you sent …!");
            assert!(!format!("{:?}", shown.header).contains(text.trim()));
        }
    }
}
