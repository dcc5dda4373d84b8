//! Pods that only look as if they ran.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::ResourceExt;
use serde_json::Value;

use super::status::{self, ContainerView, PodView, SIMULATED, State};

/// Annotation that keeps a simulated pod from being ready while it is `"true"`, to stage a fault.
pub(super) const NOT_READY: &str = "lab.tandem.dev/not-ready";

fn kept_unready(pod: &Pod) -> bool {
    pod.annotations().get(NOT_READY).is_some_and(|v| v == "true")
}

/// Whether the API server already knows what the node has to say.
fn up_to_date(pod: &Pod, ip: Ipv4Addr, ready: bool) -> bool {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else { return false };
    let is = |kind: &str, yes: bool| {
        status::condition(pod, kind).is_some_and(|c| c.status == if yes { "True" } else { "False" })
    };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let same = |spec: &Container, status: &ContainerStatus| {
        spec.name == status.name
            && spec.image.as_deref() == Some(&status.image)
            && status.ready == ready
            && status.state.as_ref().is_some_and(|s| s.running.is_some())
    };
    status.phase.as_deref() == Some("Running")
        && status.pod_ip.as_deref() == Some(ip.to_string().as_str())
        && is("Ready", ready && status::gates_open(pod))
        && is("ContainersReady", ready)
        && is("Initialized", true)
        && is(SIMULATED, true)
        && containers.len() == spec.containers.len()
        && spec.containers.iter().all(|c| containers.iter().any(|s| same(c, s)))
}

/// The patch that the status of a simulated pod needs; `None` when it needs none.
pub(super) fn patch(pod: &Pod, ip: Ipv4Addr, host_ip: Ipv4Addr, now: Timestamp) -> Option<Value> {
    let spec = pod.spec.as_ref()?;
    let ready = !kept_unready(pod);
    if up_to_date(pod, ip, ready) {
        return None;
    }
    let uid = pod.uid().unwrap_or_default();
    let known = pod.status.as_ref().and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let view = |container: &Container, state: State, ready: bool| ContainerView {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        id: format!("simulated://{uid}/{}", container.name),
        ready,
        started: true,
        restarts: 0,
        state,
        last: None,
    };
    let since = |container: &Container| {
        let status = known.iter().find(|s| s.name == container.name)?;
        Some(status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
    };
    let containers =
        spec.containers.iter().map(|c| view(c, State::Running { since: since(c).unwrap_or(now) }, ready)).collect();
    let completed = |c: &Container| State::Terminated {
        exit_code: 0,
        signal: None,
        reason: "Completed".into(),
        started: now,
        finished: now,
        id: format!("simulated://{uid}/{}", c.name),
    };
    // A sidecar (an init container that always restarts) goes on running; the others have done their work.
    let init = |c: &Container| match c.restart_policy.as_deref() {
        Some("Always") => view(c, State::Running { since: now }, ready),
        _ => view(c, completed(c), true),
    };
    let init_containers = spec.init_containers.iter().flatten().map(init).collect();
    let view = PodView {
        phase: "Running",
        ip,
        host_ip,
        initialized: true,
        ready,
        unready: ("LabNotReady", format!("annotation {NOT_READY} is set")),
        simulated: (true, "no process: the lab node only reports this pod".into()),
        init_containers,
        containers,
    };
    Some(status::patch(pod, &view, now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 20);
    const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn fresh() -> Value {
        json!({"metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "redis:7"}],
                     "initContainers": [{"name": "i", "image": "busybox"}]},
            "status": {"phase": "Pending"}})
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    /// What the API server makes of the patch, as far as it matters here.
    fn applied(mut pod: Value) -> Value {
        let parsed: Pod = serde_json::from_value(pod.clone()).unwrap();
        let mut patch = patch(&parsed, IP, HOST, now()).expect("a patch");
        patch["status"]["podIPs"].as_array_mut().unwrap().remove(0);
        pod["status"] = patch["status"].clone();
        pod
    }

    fn needs_patch(pod: &Value) -> bool {
        patch(&serde_json::from_value(pod.clone()).unwrap(), IP, HOST, now()).is_some()
    }

    #[test]
    fn one_patch_is_enough() {
        let pod = applied(fresh());
        assert_eq!(pod["status"]["containerStatuses"].as_array().unwrap().len(), 2);
        assert_eq!(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
        assert!(!needs_patch(&pod));
    }

    #[test]
    fn the_annotation_takes_readiness_away_and_gives_it_back() {
        let mut pod = applied(fresh());
        pod["metadata"]["annotations"] = json!({NOT_READY: "true"});
        assert!(needs_patch(&pod));
        let mut pod = applied(pod);
        assert_eq!(pod["status"]["containerStatuses"][0]["ready"], false);
        assert!(!needs_patch(&pod));
        pod["metadata"]["annotations"] = json!({});
        let pod = applied(pod);
        assert_eq!(pod["status"]["containerStatuses"][0]["ready"], true);
    }

    #[test]
    fn what_others_changed_is_put_right() {
        let mut unready = applied(fresh());
        for condition in unready["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = json!("False"); // the node controller, after the node was away
            }
        }
        assert!(needs_patch(&unready));
        let mut image = applied(fresh());
        image["spec"]["containers"][0]["image"] = json!("nginx:2");
        assert!(needs_patch(&image));
    }
}
