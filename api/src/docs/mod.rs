//! The browsable page at `/docs`. It needs no other server: everything that it shows is in this program.

use crate::problem::{Problem, examples};
use crate::state::AppState;
use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use std::fmt::Write;
use std::sync::LazyLock;
use tandem_core::failover::Language;

const PAGE: &str = include_str!("index.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");

/// What the pages may load: from here, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| crate::openapi::document().to_string());
static PROBLEMS: LazyLock<String> = LazyLock::new(|| problems(&examples()));

/// The pages' routes. Anybody may read them.
pub(crate) fn router() -> Router<AppState> {
    let kind = |kind: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, kind)], text));
    Router::new()
        .route("/docs", get(async || page(PAGE)))
        .route("/docs/problems", get(async || page(&PROBLEMS)))
        .route("/docs/docs.js", kind("text/javascript; charset=utf-8", SCRIPT))
        .route("/docs/docs.css", kind("text/css; charset=utf-8", STYLE))
        .route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())))
}

fn page(text: &'static str) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(text)).into_response()
}

/// What each kind of problem is: where `type` leads to.
fn problems(examples: &[Problem]) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tandem: problems</title>\
         <link rel=\"stylesheet\" href=\"/docs/docs.css\"><main><h1>Problems 错误类型</h1>\
         <p><a href=\"/docs\">The API</a></p>",
    );
    for problem in examples {
        let (english, chinese) = (Language::English, Language::Chinese);
        // The texts are our own; what they hold of `<` is escaped all the same.
        let _ = write!(
            page,
            "<section id=\"{}\"><h2>{} {} <small>{}</small></h2><p>{}</p><p lang=\"zh\">{}</p></section>",
            problem.slug(),
            problem.status().as_u16(),
            escaped(problem.title(english)),
            escaped(problem.title(chinese)),
            escaped(&problem.detail(english)),
            escaped(&problem.detail(chinese)),
        );
    }
    page.push_str("</main></html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_need_no_other_server() {
        for (name, text) in [("page", PAGE), ("script", SCRIPT), ("style", STYLE), ("problems", PROBLEMS.as_str())] {
            for elsewhere in ["http://", "https://", "//cdn", "@import", "url("] {
                assert!(!text.contains(elsewhere), "{name} has {elsewhere}");
            }
        }
        // The policy allows no script or style in the page itself.
        for inline in ["<style", "style=", "onclick", "<script>"] {
            assert!(!PAGE.contains(inline) && !PROBLEMS.contains(inline), "{inline}");
        }
        // What comes from the document becomes text, never markup.
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("insertAdjacentHTML"));
    }

    #[test]
    fn every_kind_of_problem_has_its_place() {
        for problem in examples() {
            assert!(PROBLEMS.contains(&format!("id=\"{}\"", problem.slug())), "{}", problem.slug());
        }
        assert!(PROBLEMS.contains("&lt;") || !PROBLEMS.contains("<unit>"));
    }
}
