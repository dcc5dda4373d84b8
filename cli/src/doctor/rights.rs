//! What Tandem's programs have to be allowed, and whether they are: asked about them, never in their name.

use super::kinds;
use super::seen::{RightSeen, Seen};
use futures::StreamExt;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Subject};
use kube::Client;
use kube::api::{Api, PostParams};

/// What the chart grants; the chart's tests compare both.
const ROLES: [(&str, &str); 2] = [
    ("operator", include_str!("../../../lab/manifests/operator-rbac.yaml")),
    ("api", include_str!("../../../lab/manifests/api-rbac.yaml")),
];
/// How many questions are under way at once.
const AT_ONCE: usize = 12;

/// A verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    verb: String,
    group: String,
    resource: String,
}

impl Right {
    fn new(verb: &str, group: &str, resource: &str) -> Self {
        Self { verb: verb.to_owned(), group: group.to_owned(), resource: resource.to_owned() }
    }

    fn text(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{} {}{dot}{}", self.verb, self.resource, self.group)
    }

    fn attributes(&self) -> ResourceAttributes {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (self.resource.as_str(), None),
        };
        ResourceAttributes {
            verb: Some(self.verb.clone()),
            group: Some(self.group.clone()),
            resource: Some(resource.to_owned()),
            subresource,
            ..ResourceAttributes::default()
        }
    }
}

/// Every right of a role as the chart writes it.
pub(super) fn of_chart(program: &str) -> Vec<Right> {
    let text = ROLES.iter().find(|(name, _)| *name == program).map(|(_, text)| *text).unwrap_or_default();
    let first = serde_yaml::Deserializer::from_str(text).next();
    let role: Option<ClusterRole> = first.and_then(|document| serde::Deserialize::deserialize(document).ok());
    let mut found = Vec::new();
    for rule in role.and_then(|role| role.rules).unwrap_or_default() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                found.extend(rule.verbs.iter().map(|verb| Right::new(verb, group, resource)));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// What a person needs for the commands of `tandem`.
fn of_person() -> Vec<Right> {
    let mut found: Vec<Right> =
        kinds::wanted().iter().map(|kind| Right::new("list", tandem_crds::GROUP, &kind.plural)).collect();
    found.push(Right::new("create", tandem_crds::GROUP, "failovers"));
    found.push(Right::new("patch", tandem_crds::GROUP, "datacentres"));
    found
}

/// Whoever a program is, by the binding that the chart makes; its service account where that cannot be read.
async fn subject(client: &Client, program: &str, namespace: &str) -> SubjectAccessReviewSpec {
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let bound = bindings.get_opt(&format!("tandem:{program}")).await.ok().flatten();
    let first = bound.and_then(|bound| bound.subjects).and_then(|subjects| subjects.into_iter().next());
    as_subject(first, program, namespace)
}

fn as_subject(found: Option<Subject>, program: &str, namespace: &str) -> SubjectAccessReviewSpec {
    let account = |namespace: &str, name: &str| SubjectAccessReviewSpec {
        user: Some(format!("system:serviceaccount:{namespace}:{name}")),
        groups: Some(vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]),
        ..SubjectAccessReviewSpec::default()
    };
    match found {
        Some(subject) if subject.kind == "User" => {
            SubjectAccessReviewSpec { user: Some(subject.name), ..SubjectAccessReviewSpec::default() }
        }
        Some(subject) if subject.kind == "Group" => {
            SubjectAccessReviewSpec { groups: Some(vec![subject.name]), ..SubjectAccessReviewSpec::default() }
        }
        Some(subject) => account(subject.namespace.as_deref().unwrap_or(namespace), &subject.name),
        None => account(namespace, &format!("tandem-{program}")),
    }
}

/// Whether a program may do everything that the chart grants it.
async fn of_program(client: &Client, program: &'static str, namespace: &str) -> Seen<Vec<RightSeen>> {
    let subject = subject(client, program, namespace).await;
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let asked = of_chart(program).into_iter().map(|right| {
        let (reviews, subject) = (reviews.clone(), subject.clone());
        async move {
            let spec = SubjectAccessReviewSpec { resource_attributes: Some(right.attributes()), ..subject };
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            let answer =
                reviews.create(&PostParams::default(), &review).await.map_err(|error| super::gather::why(&error))?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok(RightSeen { who: program, what: right.text(), allowed })
        }
    });
    futures::stream::iter(asked).buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
}

/// What both programs may do.
pub(super) async fn programs(client: &Client, namespace: &str) -> Seen<Vec<RightSeen>> {
    let mut found = of_program(client, "operator", namespace).await?;
    found.extend(of_program(client, "api", namespace).await?);
    Ok(found)
}

/// What whoever asks may do.
pub(super) async fn own(client: &Client) -> Seen<Vec<RightSeen>> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let asked = of_person().into_iter().map(|right| {
        let reviews = reviews.clone();
        async move {
            let spec = SelfSubjectAccessReviewSpec {
                resource_attributes: Some(right.attributes()),
                ..SelfSubjectAccessReviewSpec::default()
            };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            let answer =
                reviews.create(&PostParams::default(), &review).await.map_err(|error| super::gather::why(&error))?;
            Ok(RightSeen {
                who: "you",
                what: right.text(),
                allowed: answer.status.is_some_and(|status| status.allowed),
            })
        }
    });
    futures::stream::iter(asked).buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charts_rights_are_read_one_by_one() {
        let (operator, api) = (of_chart("operator"), of_chart("api"));
        for right in [
            Right::new("patch", "apps", "deployments/scale"),
            Right::new("list", "tandem.dev", "units"),
            Right::new("get", "", "secrets"),
        ] {
            assert!(operator.contains(&right), "{}", right.text());
        }
        assert!(!api.is_empty() && !api.contains(&Right::new("get", "", "secrets")));
        assert_eq!(Right::new("patch", "apps", "deployments/scale").text(), "patch deployments/scale.apps");
        assert_eq!(operator[0].attributes().subresource, None);
    }

    #[test]
    fn whom_the_binding_names_is_asked_about() {
        let subject = |kind: &str| Subject {
            kind: kind.into(),
            name: "x".into(),
            namespace: Some("ns".into()),
            ..Subject::default()
        };
        assert_eq!(as_subject(Some(subject("Group")), "api", "t").groups, Some(vec!["x".to_owned()]));
        assert_eq!(as_subject(Some(subject("User")), "api", "t").user.as_deref(), Some("x"));
        let account = as_subject(Some(subject("ServiceAccount")), "api", "t");
        assert_eq!(account.user.as_deref(), Some("system:serviceaccount:ns:x"));
        assert_eq!(as_subject(None, "api", "t").user.as_deref(), Some("system:serviceaccount:t:tandem-api"));
    }
}
