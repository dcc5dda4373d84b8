//! What a node says about a pod: the body of the one PATCH of its status.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

/// Condition type by which a pod is marked whose containers do not really run.
pub(super) const SIMULATED: &str = "lab.tandem.dev/Simulated";

/// State of a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// It does not run, and why.
    Waiting { reason: String, message: String },
    /// It runs.
    Running { since: Timestamp },
    /// It ran.
    Terminated {
        exit_code: i32,
        signal: Option<i32>,
        reason: String,
        started: Timestamp,
        finished: Timestamp,
        id: String,
    },
}

impl State {
    pub(super) fn waiting(reason: &str, message: impl Into<String>) -> Self {
        Self::Waiting { reason: reason.to_owned(), message: message.into() }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
            Self::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
            Self::Running { since } => json!({"running": {"startedAt": seconds(*since)}}),
            Self::Terminated { exit_code, signal, reason, started, finished, id } => {
                let mut state = json!({"exitCode": exit_code, "reason": reason, "startedAt": seconds(*started),
                    "finishedAt": seconds(*finished), "containerID": id});
                if let Some(signal) = signal {
                    state["signal"] = json!(signal);
                }
                json!({"terminated": state})
            }
        }
    }
}

/// One container as the node sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ContainerView {
    pub(super) name: String,
    pub(super) image: String,
    /// `<runtime>://<id>`; empty while it never ran.
    pub(super) id: String,
    pub(super) ready: bool,
    pub(super) started: bool,
    pub(super) restarts: i32,
    pub(super) state: State,
    pub(super) last: Option<State>,
}

impl ContainerView {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "image": self.image,
            "imageID": if self.id.is_empty() { String::new() } else { format!("tandem-lab://{}", self.image) },
            "containerID": self.id,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state.to_json(),
            "lastState": self.last.as_ref().map_or_else(|| json!({}), State::to_json),
        })
    }
}

/// A pod as the node sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PodView {
    pub(super) phase: &'static str,
    pub(super) ip: Ipv4Addr,
    pub(super) host_ip: Ipv4Addr,
    /// Whether the init containers are done.
    pub(super) initialized: bool,
    /// Whether all containers are ready.
    pub(super) ready: bool,
    /// Why it is not ready (reason, message).
    pub(super) unready: (&'static str, String),
    /// Status and message of the condition that says what is simulated.
    pub(super) simulated: (bool, String),
    pub(super) init_containers: Vec<ContainerView>,
    pub(super) containers: Vec<ContainerView>,
}

/// Times in pod status have whole seconds.
pub(super) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// The condition of that type, if the pod has it.
pub(super) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

/// Whether every readiness gate of the pod is open.
pub(super) fn gates_open(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|s| s.readiness_gates.as_deref()).unwrap_or_default();
    gates.iter().all(|gate| condition(pod, &gate.condition_type).is_some_and(|c| c.status == "True"))
}

/// The strategic merge patch of the pod's status. It bears the uid, so that it cannot hit a successor of the same name.
///
/// A condition that does not change keeps its transition time. Conditions of others stay: strategic merge goes by type.
pub(super) fn patch(pod: &Pod, view: &PodView, now: Timestamp) -> Value {
    let mut conditions = Vec::new();
    let mut put = |kind: &str, yes: bool, reason: &str, message: &str| {
        let status = if yes { "True" } else { "False" };
        let since = condition(pod, kind)
            .filter(|c| c.status == status)
            .and_then(|c| c.last_transition_time.as_ref())
            .map_or(now, |t| t.0);
        // Null takes away what an earlier status said.
        let text = |s: &str| if s.is_empty() { Value::Null } else { json!(s) };
        conditions.push(json!({"type": kind, "status": status, "lastTransitionTime": seconds(since),
            "reason": text(reason), "message": text(message)}));
    };
    let (reason, message) = if view.ready { ("", "") } else { (view.unready.0, view.unready.1.as_str()) };
    let init =
        if view.initialized { ("", "") } else { ("ContainersNotInitialized", "init containers have not completed") };
    put("Initialized", view.initialized, init.0, init.1);
    put("ContainersReady", view.ready, reason, message);
    if view.ready && !gates_open(pod) {
        put("Ready", false, "ReadinessGatesNotReady", "a readiness gate of the pod is not True");
    } else {
        put("Ready", view.ready, reason, message);
    }
    put("PodScheduled", true, "", "");
    put(SIMULATED, view.simulated.0, "LabNode", &view.simulated.1);

    let start = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map_or(now, |t| t.0);
    let mut status = Map::new();
    status.insert("phase".into(), json!(view.phase));
    status.insert("conditions".into(), Value::Array(conditions));
    status.insert("hostIP".into(), json!(view.host_ip));
    status.insert("podIP".into(), json!(view.ip));
    // Merged by address otherwise, so that an address of old would stay.
    status.insert("podIPs".into(), json!([{"$patch": "replace"}, {"ip": view.ip}]));
    status.insert("startTime".into(), json!(seconds(start)));
    status.insert("containerStatuses".into(), view.containers.iter().map(ContainerView::to_json).collect());
    if !view.init_containers.is_empty() {
        status
            .insert("initContainerStatuses".into(), view.init_containers.iter().map(ContainerView::to_json).collect());
    }
    json!({"metadata": {"uid": pod.uid()}, "status": status})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    fn view() -> PodView {
        PodView {
            phase: "Running",
            ip: Ipv4Addr::new(10, 0, 0, 20),
            host_ip: Ipv4Addr::new(10, 0, 0, 1),
            initialized: true,
            ready: true,
            unready: ("", String::new()),
            simulated: (false, String::new()),
            init_containers: vec![],
            containers: vec![ContainerView {
                name: "c".into(),
                image: "tandem.dev/x".into(),
                id: "tandem-lab://u/c/0".into(),
                ready: true,
                started: true,
                restarts: 2,
                state: State::Running { since: at("2026-01-01T00:00:00.5Z") },
                last: Some(State::Terminated {
                    exit_code: 137,
                    signal: Some(9),
                    reason: "Error".into(),
                    started: at("2026-01-01T00:00:00Z"),
                    finished: at("2026-01-01T00:00:01Z"),
                    id: "tandem-lab://u/c/1".into(),
                }),
            }],
        }
    }

    fn find<'a>(patch: &'a Value, kind: &str) -> &'a Value {
        patch["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
    }

    #[test]
    fn one_patch_says_everything() {
        let p = patch(&pod(json!({"metadata": {"uid": "u"}})), &view(), at("2026-01-02T00:00:00.9Z"));
        assert_eq!(p["metadata"]["uid"], "u");
        assert_eq!(p["status"]["podIP"], "10.0.0.20");
        assert_eq!(p["status"]["podIPs"][1]["ip"], "10.0.0.20");
        assert_eq!(p["status"]["startTime"], "2026-01-02T00:00:00Z");
        let c = &p["status"]["containerStatuses"][0];
        assert_eq!(c["state"]["running"]["startedAt"], "2026-01-01T00:00:00Z");
        assert_eq!(c["lastState"]["terminated"]["signal"], 9);
        assert_eq!(c["restartCount"], 2);
        assert_eq!(find(&p, "Ready")["status"], "True");
        assert_eq!(find(&p, SIMULATED)["status"], "False");
    }

    #[test]
    fn transition_times_stay_unless_the_status_changed() {
        let old = "2025-12-31T00:00:00Z";
        let pod = pod(json!({"metadata": {"uid": "u"}, "status": {"startTime": old, "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": old},
            {"type": "ContainersReady", "status": "False", "lastTransitionTime": old}]}}));
        let p = patch(&pod, &view(), at("2026-01-02T00:00:00Z"));
        assert_eq!(find(&p, "Ready")["lastTransitionTime"], old);
        assert_eq!(find(&p, "ContainersReady")["lastTransitionTime"], "2026-01-02T00:00:00Z");
        assert_eq!(p["status"]["startTime"], old);
    }

    #[test]
    fn readiness_gates_hold_the_pod_back() {
        let gated = |status: &str| {
            pod(json!({"metadata": {"uid": "u"},
                "spec": {"containers": [], "readinessGates": [{"conditionType": "tandem.dev/gate"}]},
                "status": {"conditions": [{"type": "tandem.dev/gate", "status": status}]}}))
        };
        let now = at("2026-01-02T00:00:00Z");
        let shut = patch(&gated("False"), &view(), now);
        assert_eq!(find(&shut, "ContainersReady")["status"], "True");
        assert_eq!(find(&shut, "Ready")["status"], "False");
        assert_eq!(find(&shut, "Ready")["reason"], "ReadinessGatesNotReady");
        assert_eq!(find(&patch(&gated("True"), &view(), now), "Ready")["status"], "True");
    }
}
