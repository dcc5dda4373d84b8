//! What is read: the page and the YAML.

use super::*;
use crate::policy::{Difference, Moment, STYLE, difference_page, document_page};

/// Sorted by key, whichever map another crate makes serde_json use.
macro_rules! snapshot {
    ($($assert:tt)*) => {
        insta::with_settings!({ sort_maps => true, prepend_module_to_snapshot => false, omit_expression => true }, {
            $($assert)*
        });
    };
}

fn small() -> Objects {
    let mut objects = objects();
    objects.remove(&key(Kind::Environment, "health-test"));
    let digest = |yes: bool| Some(json!({"images": {"registries": ["registry.gov.example"], "requireDigest": yes}}));
    with_versions(
        &mut objects,
        &key(Kind::SecurityProfile, "mlps-3"),
        &[(1, "chen", digest(false)), (9, "zhou", digest(true))],
    );
    objects
}

#[test]
fn the_document_is_one_page() {
    let page = document_page(&document(&small()));
    snapshot!(insta::assert_snapshot!("policies_page", page));
}

#[test]
fn the_document_is_yaml() {
    snapshot!(insta::assert_yaml_snapshot!("policies", document(&small())));
}

#[test]
fn the_difference_is_one_page() {
    let difference = Difference::since(&small(), head(None), Moment::Revision(1)).unwrap();
    snapshot!(insta::assert_snapshot!("difference_page", difference_page(&difference)));
    let none = Difference::since(&small(), head(None), Moment::Revision(9)).unwrap();
    assert!(difference_page(&none).contains("Nothing has changed"));
}

#[test]
fn whatever_comes_from_an_object_is_escaped() {
    let hostile = "<script>alert('\"x\"')</script>&";
    let mut objects = small();
    let unit = objects.get_mut(&key(Kind::Unit, "health")).unwrap();
    unit.now.as_mut().unwrap()["viewers"] = json!([hostile]);
    let application = objects.get_mut(&key(Kind::Application, "health-prod/hall")).unwrap();
    application.now.as_mut().unwrap()["endpoints"][0]["hosts"] = json!([hostile]);
    let profile = objects.get_mut(&key(Kind::SecurityProfile, "mlps-3")).unwrap();
    profile.versions[1].value.by = hostile.to_owned();
    profile.now.as_mut().unwrap()["controls"] = json!([{"rule": hostile, "control": hostile}]);
    let mut head = head(None);
    head.display_name = DisplayName { zh: hostile.to_owned(), en: Some(hostile.to_owned()) };
    let document = Document::of(&objects, head.clone()).unwrap();
    let difference = Difference::since(&objects, head, Moment::Revision(1)).unwrap();
    for page in [document_page(&document), difference_page(&difference)] {
        assert!(page.contains("&lt;script&gt;alert(&#39;&quot;x&quot;&#39;)&lt;/script&gt;&amp;"));
        assert!(!page.contains("<script"), "{page}");
    }
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = document_page(&document(&small()));
    for elsewhere in ["http:", "https:", "//", "@import", "url(", "src=", "href=", "style=", "onclick", "<script"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert_eq!(page.matches("<style>").count(), 1);
    assert!(page.contains(STYLE));
    // Every element that is opened is closed.
    for element in ["table", "tbody", "tr", "td", "th", "p", "div", "dl", "h2", "code", "span"] {
        let opened = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
    }
}
