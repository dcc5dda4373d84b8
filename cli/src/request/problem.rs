//! What the API answers instead of what was asked for: problems (RFC 9457), read and told. Pure.

use super::words::clean;
use crate::exit::Exit;
use crate::language::Lang;
use http::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// A problem as it is sent. What is not there is left empty: a proxy in between may have its own way of saying no.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Body {
    title: String,
    detail: String,
    errors: Vec<FieldError>,
    address: Option<String>,
    reason: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FieldError {
    field: String,
    message: String,
    message_zh: String,
}

/// Something that the API did not do, or not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: u16,
    /// After how long it is worth asking again, where the API says so.
    pub retry_after: Option<Duration>,
    /// How long was waited before it was given up.
    pub waited: Duration,
    lang: Lang,
    // Boxed, so that what may go wrong does not make every answer large.
    body: Box<Body>,
}

impl std::error::Error for Problem {}

impl Problem {
    /// Reads an answer that is not what was asked for.
    #[must_use]
    pub fn read(status: u16, headers: &HeaderMap, body: &str, lang: Lang) -> Self {
        let body = Box::new(serde_json::from_str(body).unwrap_or_default());
        Self { status, retry_after: retry_after(headers), waited: Duration::ZERO, lang, body }
    }

    /// Where it is to be sent instead.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.body.address.as_deref().filter(|_| self.status == 421)
    }

    /// Why the rules do not allow it, in one word.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.body.reason.as_deref()
    }

    /// After how long to send the same again, where that may come to something by itself: the API is overloaded, or at work on
    /// just this.
    #[must_use]
    pub fn again_after(&self) -> Option<Duration> {
        self.retry_after.filter(|_| matches!(self.status, 409 | 429 | 503 | 504))
    }

    /// The exit code: whether what was asked is refused, or could not be done.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.status {
            401 | 421 | 429 => Exit::Cluster,
            409 if self.retry_after.is_some() => Exit::Cluster,
            400..500 => Exit::Refused,
            _ => Exit::Cluster,
        }
    }

    /// What it is called and what was wrong, on one line.
    #[must_use]
    pub fn line(&self) -> String {
        let (title, detail) = without_words(self.status, self.lang);
        let or = |said: &str, instead: &str| if said.is_empty() { instead.to_owned() } else { clean(said) };
        let (title, detail) = (or(&self.body.title, title), or(&self.body.detail, detail));
        self.lang.say(format!("{title} ({}): {detail}", self.status), format!("{title}（{}）：{detail}", self.status))
    }

    /// What to do about it at this command line, where the API cannot say that.
    fn advice(&self) -> Option<String> {
        let waited = self.waited.as_secs();
        let (english, chinese) = match self.status {
            401 => (
                "give a certificate that the API knows (--cert, --key), or a token that has not expired (--token-file)"
                    .to_owned(),
                "请提供 API 认可的证书（--cert、--key）或未过期的令牌（--token-file）".to_owned(),
            ),
            409 if self.reason() == Some("ContentMoved") => (
                "it was changed after it was shown to you, and nothing was decided: look at it again".to_owned(),
                "申请内容在您查看之后已变更，未作出任何决定，请重新查看".to_owned(),
            ),
            421 if self.address().is_some() => (
                "it was sent on once already, and is not sent to and fro: authority may be moving; try again soon"
                    .to_owned(),
                "已转发一次，不再往返转发：主控权可能正在移交，请稍后重试".to_owned(),
            ),
            421 => (
                "give the address of the API of that site (--api)".to_owned(),
                "请用 --api 指定该站点的 API 地址".to_owned(),
            ),
            409 | 429 | 503 | 504 if self.retry_after.is_some() => (
                format!("given up after {waited} s; --wait SECONDS tries for longer"),
                format!("已等待 {waited} 秒，不再重试；可用 --wait 延长"),
            ),
            _ => return None,
        };
        Some(self.lang.say(english, chinese))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())?;
        for FieldError { field, message, message_zh } in &self.body.errors {
            let zh = if message_zh.is_empty() { message } else { message_zh };
            let message = self.lang.say(message, zh);
            write!(f, "\n  {}{}{}", clean(field), self.lang.say(": ", "："), clean(message))?;
        }
        match self.advice() {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

/// `Retry-After` in seconds. As a date, which Tandem never sends, it is not believed: clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What to say where the answer says nothing.
fn without_words(status: u16, lang: Lang) -> (&'static str, &'static str) {
    match status {
        401 => {
            lang.say(("Not signed in", "the API does not take who you say you are"), ("未登录", "API 不认可您的身份"))
        }
        403 => lang.say(("Not allowed", "your roles do not allow this"), ("无权限", "您的角色不允许此操作")),
        404 => lang.say(
            ("Not found", "there is nothing of that name, or it is not yours"),
            ("未找到", "没有该名称的对象，或不属于您的单位"),
        ),
        409 => {
            lang.say(("Not as things stand", "something else stands in the way"), ("当前状态不允许", "与现有状态冲突"))
        }
        421 => lang
            .say(("Another site has authority", "nothing was done here"), ("另一站点拥有主控权", "此处未作任何操作")),
        429 => lang.say(("Too many requests", "you ask more often than is allowed"), ("请求过多", "超出允许的频率")),
        503 => lang.say(("Not available", "the API cannot do it now"), ("服务不可用", "API 目前无法处理")),
        504 => lang.say(("Took too long", "the API did not finish in time"), ("处理超时", "API 未能及时完成")),
        500.. => lang.say(("A fault there", "it says no more"), ("服务端故障", "无更多说明")),
        _ => lang.say(
            ("Not as Tandem answers", "is --api the address of a Tandem API?"),
            ("并非 Tandem 的应答", "请确认 --api 是否为 Tandem API 的地址"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn problem(status: u16, after: Option<&'static str>, body: &str, lang: Lang) -> Problem {
        let mut headers = HeaderMap::new();
        headers.extend(after.map(|after| (RETRY_AFTER, HeaderValue::from_static(after))));
        Problem::read(status, &headers, body, lang)
    }

    const FIELDS: &str = r#"{"type": "/docs/problems#invalid", "title": "Fields are wrong", "status": 400,
        "detail": "2 fields are wrong; errors names each", "errors": [
        {"field": "quota.cpu", "message": "must be more than 0", "messageZh": "必须大于 0"},
        {"field": "until", "message": "is no time\u001b[2J", "messageZh": ""}]}"#;

    #[test]
    fn a_problem_names_each_field_in_both_languages() {
        let told = problem(400, None, FIELDS, Lang::En).to_string();
        assert_eq!(
            told,
            "Fields are wrong (400): 2 fields are wrong; errors names each\n  quota.cpu: must be more than 0\n  until: is no time�[2J"
        );
        let told = problem(400, None, FIELDS, Lang::Zh).to_string();
        assert!(told.contains("\n  quota.cpu：必须大于 0\n"), "{told}");
    }

    #[test]
    fn what_is_no_problem_is_told_by_its_status() {
        for status in [400, 401, 403, 404, 409, 418, 421, 429, 500, 502, 503, 504] {
            for body in ["", "<html>Bad gateway</html>", "{\"title\": 7}", "[]"] {
                let (en, zh) = (problem(status, None, body, Lang::En), problem(status, None, body, Lang::Zh));
                assert!(en.to_string().contains(&format!("({status})")) && !en.to_string().contains("html"), "{en}");
                assert!(zh.to_string().contains(&format!("（{status}）")) && zh.to_string() != en.to_string(), "{zh}");
            }
        }
    }

    #[test]
    fn exit_codes_and_what_is_worth_sending_again() {
        for (status, after, exit, again) in [
            (400, None, Exit::Refused, None),
            (401, None, Exit::Cluster, None),
            (403, None, Exit::Refused, None),
            (404, None, Exit::Refused, None),
            (409, None, Exit::Refused, None),
            (409, Some("3"), Exit::Cluster, Some(3)),
            (415, None, Exit::Refused, None),
            (421, Some("1"), Exit::Cluster, None),
            (422, None, Exit::Refused, None),
            (429, Some("1"), Exit::Cluster, Some(1)),
            (500, Some("1"), Exit::Cluster, None),
            (503, Some("6"), Exit::Cluster, Some(6)),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), Exit::Cluster, None),
            (503, None, Exit::Cluster, None),
            (504, Some("2"), Exit::Cluster, Some(2)),
            (302, None, Exit::Cluster, None),
        ] {
            let problem = problem(status, after, "", Lang::En);
            assert_eq!(problem.exit(), exit, "{status}");
            assert_eq!(problem.again_after(), again.map(Duration::from_secs), "{status}");
        }
    }

    #[test]
    fn content_that_moved_and_authority_elsewhere_say_what_to_do() {
        let moved =
            r#"{"title": "Not as things stand", "detail": "the request was amended", "reason": "ContentMoved"}"#;
        assert!(problem(409, None, moved, Lang::En).to_string().ends_with("look at it again"));
        assert!(problem(409, None, moved, Lang::Zh).to_string().ends_with("请重新查看"));
        assert!(problem(421, None, "{}", Lang::En).to_string().contains("--api"));
        let address = problem(421, None, r#"{"address": "https://api.dc-b.example"}"#, Lang::En);
        assert_eq!(address.address(), Some("https://api.dc-b.example"));
        assert!(address.to_string().contains("sent on once already"), "{address}");
    }
}
