//! Who is named in a version.

use jiff::Timestamp;
use serde_json::Value;
use tandem_crds::Kind;

use crate::audit::Writer;

/// The most characters of a person's name that are believed; the API takes no longer ones.
const NAME_MOST: usize = 128;

/// Who an object's version is laid to: a person where the API wrote last and said whose wish it was; the request where the
/// operator carried one out on an environment; else whatever Kubernetes says, as the audit chain has it.
///
/// `changed_by` is the annotation [`ANNOTATION_CHANGED_BY`](crate::names::ANNOTATION_CHANGED_BY): whoever may write the object
/// may write that, so that it proves nothing where anybody but the API wrote last.
#[must_use]
pub fn author(writer: &Writer, replica: &str, changed_by: Option<&str>, kind: Kind, spec: &Value) -> String {
    match writer {
        Writer::Api { .. } => changed_by.filter(|name| is_name(name)).map(str::to_owned),
        Writer::Operator if kind == Kind::Environment => request(spec),
        _ => None,
    }
    .unwrap_or_else(|| writer.actor(replica).name)
}

/// Who the deletion of an object is laid to, by its last specification and by when it was asked for. Kubernetes does not say
/// who asked; an environment whose approved deletion was due was deleted by that request.
#[must_use]
pub fn buried_by(kind: Kind, spec: &Value, asked: Option<Timestamp>) -> String {
    let due = spec.get("deleteAfter").and_then(Value::as_str).and_then(|due| due.parse::<Timestamp>().ok());
    let carried_out = kind == Kind::Environment && due.zip(asked).is_some_and(|(due, asked)| due <= asked);
    let named = carried_out.then(|| request(spec)).flatten();
    named.unwrap_or_else(|| Writer::unknown().actor("").name)
}

fn request(spec: &Value) -> Option<String> {
    Some(format!("request {}", spec.get("request")?.as_str()?))
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= NAME_MOST && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn by(writer: &Writer, changed_by: Option<&str>, kind: Kind) -> String {
        author(writer, "op-0", changed_by, kind, &json!({"request": "health-1"}))
    }

    #[test]
    fn a_person_is_believed_of_the_api_alone() {
        let api = Writer::Api { time: None };
        assert_eq!(by(&api, Some("li"), Kind::Unit), "li");
        assert_eq!(by(&api, Some("李 明"), Kind::Environment), "李 明");
        let kubectl = Writer::Manager { manager: "kubectl-edit".into(), operation: "Update".into(), time: None };
        assert_eq!(by(&kubectl, Some("li"), Kind::Unit), "kubectl:kubectl-edit");
        assert_eq!(by(&Writer::Operator, Some("li"), Kind::Unit), "tandem:operator/op-0");
        for none in [None, Some(""), Some("  "), Some("li\nwang"), Some(&*"l".repeat(129))] {
            assert_eq!(by(&api, none, Kind::Unit), "tandem:api", "{none:?}");
        }
    }

    #[test]
    fn what_a_request_makes_of_an_environment_is_the_requests() {
        assert_eq!(by(&Writer::Operator, None, Kind::Environment), "request health-1");
        assert_eq!(by(&Writer::Operator, None, Kind::Application), "tandem:operator/op-0");
        let none = author(&Writer::Operator, "op-0", None, Kind::Environment, &json!({}));
        assert_eq!(none, "tandem:operator/op-0");
    }

    #[test]
    fn a_deletion_is_a_requests_once_that_was_due() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let spec = json!({"request": "health-2", "deleteAfter": "1970-01-01T00:01:40Z"});
        assert_eq!(buried_by(Kind::Environment, &spec, at(100)), "request health-2");
        for (kind, spec, asked) in [
            (Kind::Environment, &spec, at(99)),
            (Kind::Environment, &spec, None),
            (Kind::Environment, &json!({"request": "health-1"}), at(100)),
            (Kind::Unit, &spec, at(100)),
        ] {
            assert_eq!(buried_by(kind, spec, asked), "kubectl:unknown", "{kind} {spec} {asked:?}");
        }
    }
}
