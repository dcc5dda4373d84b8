use super::*;
use axum::body::to_bytes;
use axum::http::HeaderMap;
use std::collections::BTreeSet;

fn refusals() -> Vec<Problem> {
    [
        Refusal::Nothing,
        Refusal::NotBearer,
        Refusal::NoIssuer,
        Refusal::TooLong { most: 8192 },
        Refusal::Malformed,
        Refusal::Algorithm,
        Refusal::NoKeyId,
        Refusal::UnknownKey,
        Refusal::Signature,
        Refusal::Issuer,
        Refusal::Audience,
        Refusal::Expired,
        Refusal::NotYet,
        Refusal::Claim { claim: "sub".to_owned() },
        Refusal::Subject,
        Refusal::CertificateExpired,
    ]
    .into_iter()
    .map(Problem::Unauthenticated)
    .collect()
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn every_problem_is_said_in_both_languages_and_no_two_alike() {
    let mut details = BTreeSet::new();
    for problem in examples().into_iter().chain(refusals().into_iter().skip(1)) {
        let (english, chinese) = (problem.detail(Language::English), problem.detail(Language::Chinese));
        assert!(!is_chinese(&english), "{english}");
        assert!(is_chinese(&chinese) && is_chinese(problem.title(Language::Chinese)), "{chinese}");
        assert!(details.insert(english.clone()), "said twice: {english}");
        assert!(details.insert(chinese.clone()), "said twice: {chinese}");
    }
    let slugs: BTreeSet<&str> = examples().iter().map(Problem::slug).collect();
    assert_eq!(slugs.len(), examples().len());
}

#[tokio::test]
async fn a_problem_is_sent_as_rfc_9457_has_it() {
    let fault = FieldFault { field: "limit".to_owned(), fault: Fault::Range { least: 1, most: 500 } };
    let response = Problem::Invalid(vec![fault]).into_response();
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
    assert_eq!(response.headers()["content-language"], "en");
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "type": "/docs/problems#invalid", "title": "Fields are wrong", "status": 400,
            "detail": "limit: must be a number from 1 to 500",
            "errors": [{"field": "limit", "message": "must be a number from 1 to 500",
                        "messageZh": "须为 1 至 500 之间的数字"}],
        })
    );
}

#[test]
fn whoever_is_to_come_back_is_told_when() {
    let too_many = Problem::TooMany { whose: Allowance::Unit, after: Duration::from_millis(2_500) };
    assert_eq!(too_many.into_response().headers()["retry-after"], "3");
    for problem in examples() {
        let due = matches!(problem.status().as_u16(), 429 | 503 | 504) || problem == Problem::InProgress;
        assert_eq!(problem.clone().into_response().headers().contains_key("retry-after"), due, "{problem:?}");
    }
}

#[test]
fn the_challenge_is_that_of_rfc_6750() {
    let challenge = |refusal| {
        let response = Problem::Unauthenticated(refusal).into_response();
        response.headers()["www-authenticate"].to_str().unwrap().to_owned()
    };
    assert_eq!(challenge(Refusal::Nothing), "Bearer realm=\"tandem\"");
    assert_eq!(challenge(Refusal::Expired), "Bearer realm=\"tandem\", error=\"invalid_token\"");
}

#[test]
fn the_language_is_the_one_that_is_wanted_most() {
    for (asked, chinese) in [
        ("zh", true),
        ("zh-CN,zh;q=0.9,en;q=0.8", true),
        ("en,zh", false),
        ("en;q=0.5, zh-Hans;q=0.7", true),
        ("fr, de", false),
        ("zh;q=0, en", false),
        ("zh;q=7, en", false),
        ("zh;q=nonsense", false),
        ("", false),
        ("*;q=0.1, zh;q=0.5", true),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("accept-language", asked.parse().unwrap());
        let wanted = if chinese { Language::Chinese } else { Language::English };
        assert_eq!(language_of(&headers), wanted, "{asked}");
    }
    assert_eq!(language_of(&HeaderMap::new()), Language::English);
}
