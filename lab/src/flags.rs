//! The control plane's flags, chosen by each program's version: 1.20 to current.

/// What an API server has to be told.
#[derive(Clone, Debug)]
pub struct ApiServer<'a> {
    /// The address to serve on.
    pub address: &'a str,
    /// The etcd's address.
    pub etcd: &'a str,
    /// The Services' cluster addresses.
    pub services: &'a str,
    /// The folder with certificates and keys.
    pub pki: &'a str,
    /// The audit log.
    pub audit_log: &'a str,
    /// The audit policy.
    pub audit_policy: &'a str,
}

/// The flags of kube-apiserver 1.`minor`.
#[must_use]
pub fn api_server(minor: u32, given: &ApiServer<'_>) -> Vec<String> {
    let ApiServer { address, etcd, services, pki, audit_log, audit_policy } = given;
    let mut flags = vec![
        format!("--advertise-address={address}"),
        format!("--bind-address={address}"),
        "--secure-port=6443".to_owned(),
        format!("--etcd-servers=https://{etcd}:2379"),
        format!("--etcd-cafile={pki}/etcd-ca.crt"),
        format!("--etcd-certfile={pki}/etcd-client.crt"),
        format!("--etcd-keyfile={pki}/etcd-client.key"),
        format!("--client-ca-file={pki}/ca.crt"),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        format!("--service-cluster-ip-range={services}"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={pki}/service-account.pub"),
        format!("--service-account-signing-key-file={pki}/service-account.key"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--anonymous-auth=false".to_owned(),
        "--profiling=false".to_owned(),
        format!("--audit-log-path={audit_log}"),
        format!("--audit-policy-file={audit_policy}"),
        // A whole city is provisioned at once.
        "--max-requests-inflight=1600".to_owned(),
        "--max-mutating-requests-inflight=800".to_owned(),
        "--v=1".to_owned(),
    ];
    // The plaintext port went in 1.24; before, it had to be closed.
    if minor < 24 {
        flags.push("--insecure-port=0".to_owned());
    }
    flags
}

fn common(minor: u32, program: &str, port: u16, pki: &str, kubeconfig: &str) -> Vec<String> {
    let mut flags = vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={pki}/{program}.crt"),
        format!("--tls-private-key-file={pki}/{program}.key"),
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=2000".to_owned(),
        "--v=1".to_owned(),
    ];
    // As with the API server's plaintext port.
    if minor < 24 {
        flags.push("--port=0".to_owned());
    }
    flags
}

/// Controllers that a lab has no use for. A name that a version does not know ends the controller manager, so these are
/// names that every version takes: 1.27 and later know them as aliases. What needs a cloud or is off by default is not named:
/// it does not run anyway, and `service`, `route` and `cloud-node-lifecycle` are unknown to current versions.
const LEFT_OUT: [&str; 6] = [
    "attachdetach",
    "csrapproving",
    "csrcleaner",
    "csrsigning",
    "horizontalpodautoscaling",
    "persistentvolume-expander",
];

/// The flags of kube-controller-manager 1.`minor`.
#[must_use]
pub fn controller_manager(minor: u32, pki: &str, kubeconfig: &str) -> Vec<String> {
    let mut flags = common(minor, "controller-manager", 10257, pki, kubeconfig);
    flags.extend([
        format!("--root-ca-file={pki}/ca.crt"),
        format!("--service-account-private-key-file={pki}/service-account.key"),
        "--use-service-account-credentials=true".to_owned(),
        "--concurrent-deployment-syncs=20".to_owned(),
        "--concurrent-replicaset-syncs=20".to_owned(),
        "--concurrent-statefulset-syncs=20".to_owned(),
        "--concurrent-endpoint-syncs=20".to_owned(),
        "--concurrent-service-endpoint-syncs=20".to_owned(),
        "--concurrent-namespace-syncs=20".to_owned(),
        "--concurrent-resource-quota-syncs=20".to_owned(),
        format!("--controllers=*,-{}", LEFT_OUT.join(",-")),
    ]);
    flags
}

/// The flags of kube-scheduler 1.`minor`.
#[must_use]
pub fn scheduler(minor: u32, pki: &str, kubeconfig: &str) -> Vec<String> {
    common(minor, "scheduler", 10259, pki, kubeconfig)
}

/// The minor number in what `--version` prints, such as `Kubernetes v1.20.2`.
#[must_use]
pub fn minor(version: &str) -> Option<u32> {
    let rest = version.split_once("v1.")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: [u32; 16] = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35];

    fn server(minor: u32) -> Vec<String> {
        let given = ApiServer {
            address: "10.0.0.3",
            etcd: "10.0.0.2",
            services: "10.0.16.0/20",
            pki: "/p",
            audit_log: "/a",
            audit_policy: "/b",
        };
        api_server(minor, &given)
    }

    fn all(minor: u32) -> [Vec<String>; 3] {
        [server(minor), controller_manager(minor, "/p", "/k"), scheduler(minor, "/p", "/k")]
    }

    fn names(flags: &[String]) -> Vec<&str> {
        flags.iter().map(|flag| flag.split_once('=').map_or(flag.as_str(), |(name, _)| name)).collect()
    }

    #[test]
    fn plaintext_ports_are_closed_where_they_exist() {
        for minor in [20, 21, 22, 23] {
            let [server, manager, scheduler] = all(minor);
            assert!(server.contains(&"--insecure-port=0".to_owned()), "1.{minor}");
            assert!(manager.contains(&"--port=0".to_owned()), "1.{minor}");
            assert!(scheduler.contains(&"--port=0".to_owned()), "1.{minor}");
        }
    }

    #[test]
    fn flags_that_are_gone_are_not_given() {
        for minor in VERSIONS.into_iter().filter(|minor| *minor >= 24) {
            for flags in all(minor) {
                let names = names(&flags);
                assert!(!names.contains(&"--insecure-port") && !names.contains(&"--port"), "1.{minor}: {names:?}");
            }
        }
    }

    #[test]
    fn every_version_serves_with_certificates_and_asks_for_them() {
        for minor in VERSIONS {
            for flags in all(minor) {
                for needed in ["--secure-port", "--tls-cert-file", "--tls-private-key-file", "--bind-address"] {
                    assert!(names(&flags).contains(&needed), "1.{minor}: {needed} is missing in {flags:?}");
                }
            }
            let server = server(minor);
            for needed in [
                "--anonymous-auth=false",
                "--authorization-mode=Node,RBAC",
                "--client-ca-file=/p/ca.crt",
                "--etcd-servers=https://10.0.0.2:2379",
                "--etcd-cafile=/p/etcd-ca.crt",
                // Without these three, 1.20 and later do not start.
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-key-file=/p/service-account.pub",
                "--service-account-signing-key-file=/p/service-account.key",
            ] {
                assert!(server.iter().any(|flag| flag == needed), "1.{minor}: {needed} is missing");
            }
        }
    }

    #[test]
    fn no_flag_is_given_twice() {
        for minor in VERSIONS {
            for flags in all(minor) {
                let mut names = names(&flags);
                let given = names.len();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), given, "1.{minor}: {flags:?}");
            }
        }
    }

    #[test]
    fn controllers_that_tandem_relies_on_stay_on() {
        for minor in VERSIONS {
            let flags = controller_manager(minor, "/p", "/k");
            let controllers = flags.iter().find_map(|flag| flag.strip_prefix("--controllers=")).unwrap();
            assert!(controllers.starts_with("*,"));
            for needed in [
                "deployment",
                "disruption",
                "endpoint",
                "endpointslice",
                "garbagecollector",
                "job",
                "namespace",
                "nodelifecycle",
                "persistentvolume-binder",
                "replicaset",
                "resourcequota",
                "root-ca-cert-publisher",
                "serviceaccount",
                "serviceaccount-token",
                "statefulset",
            ] {
                assert!(!controllers.split(',').any(|name| name == format!("-{needed}")), "1.{minor}: {needed}");
            }
            for unknown in ["-service", "-route", "-cloud-node-lifecycle"] {
                assert!(!controllers.split(',').any(|name| name == unknown), "1.{minor}: {unknown}");
            }
        }
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(minor("Kubernetes v1.20.2\n"), Some(20));
        assert_eq!(minor("Kubernetes v1.33.0-rc.1"), Some(33));
        assert_eq!(minor("Kubernetes v1.35.1+k3s1"), Some(35));
        assert_eq!(minor("what"), None);
    }
}
