//! Services and where they lead: the `nft` ruleset as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::ResourceExt;

use super::addresses::Range;
use super::way::Way;

/// The table that the lab node owns in its network namespace.
pub(super) const TABLE: &str = "tandem_node";

/// Namespace and name.
pub(super) type Key = (String, String);

/// Transport of a port. SCTP is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some(_) => None,
        }
    }

    /// In lower case, as `nft` writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// Empty when the Service has one port without a name.
    pub(super) name: String,
    pub(super) transport: Transport,
    pub(super) number: u16,
}

/// A Service with a cluster address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClusterService {
    pub(super) address: Ipv4Addr,
    pub(super) ports: Vec<Port>,
}

impl ClusterService {
    /// What matters of a Service. `None` for headless and external ones, and those without an IPv4 address.
    pub(super) fn of(service: &Service) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let address = spec.cluster_ip.as_deref()?.parse().ok()?;
        let ports = spec.ports.iter().flatten();
        let ports = ports
            .filter_map(|p| {
                let transport = Transport::parse(p.protocol.as_deref())?;
                let number = p.port.try_into().ok()?;
                Some(Port { name: p.name.clone().unwrap_or_default(), transport, number })
            })
            .collect();
        Some(Self { address, ports })
    }
}

/// The ready backends of a Service, by port.
pub(super) type Backends = BTreeMap<(String, Transport), BTreeSet<(Ipv4Addr, u16)>>;

/// What matters of an Endpoints object.
pub(super) fn backends(endpoints: &Endpoints) -> Backends {
    let mut all = Backends::new();
    for subset in endpoints.subsets.iter().flatten() {
        for port in subset.ports.iter().flatten() {
            let (Some(transport), Ok(number)) = (Transport::parse(port.protocol.as_deref()), port.port.try_into())
            else {
                continue;
            };
            let of_port = all.entry((port.name.clone().unwrap_or_default(), transport)).or_default();
            let addresses = subset.addresses.iter().flatten().filter_map(|a| a.ip.parse::<Ipv4Addr>().ok());
            of_port.extend(addresses.map(|a| (a, number)));
        }
    }
    all
}

/// Everything that the ruleset depends on.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) services: BTreeMap<Key, ClusterService>,
    pub(super) endpoints: BTreeMap<Key, Backends>,
    /// Ports of the node's own that lead to some of them.
    pub(super) ways: Vec<Way>,
}

impl Services {
    /// Takes a Service over. Says whether anything changed.
    pub(super) fn put_service(&mut self, service: &Service) -> bool {
        let key = key(service);
        match ClusterService::of(service) {
            Some(new) if self.services.get(&key) == Some(&new) => false,
            Some(new) => {
                self.services.insert(key, new);
                true
            }
            None => self.services.remove(&key).is_some(),
        }
    }

    /// Takes an Endpoints object over. Says whether anything changed.
    pub(super) fn put_endpoints(&mut self, endpoints: &Endpoints) -> bool {
        let (key, new) = (key(endpoints), backends(endpoints));
        if self.endpoints.get(&key) == Some(&new) {
            return false;
        }
        self.endpoints.insert(key, new);
        true
    }

    /// The whole ruleset: it replaces the table in one transaction.
    ///
    /// Addresses of the pod range are used only when they are in `real`: a simulated pod answers nobody, and a refusal is
    /// better to have than a time-out. Connections to cluster addresses that lead nowhere are refused, as kube-proxy does.
    /// Only packets of the original direction: the answers of a connection that was redirected may bear a cluster address.
    pub(super) fn ruleset(&self, pods: Range, cluster: Range, real: &BTreeSet<Ipv4Addr>) -> String {
        let (mut map, mut chains) = (Vec::new(), String::new());
        for (key, service) in &self.services {
            let Some(backends) = self.endpoints.get(key) else { continue };
            for port in &service.ports {
                let Some(all) = backends.get(&(port.name.clone(), port.transport)) else { continue };
                let usable: Vec<_> = all.iter().filter(|(a, _)| !pods.contains(*a) || real.contains(a)).collect();
                let transport = port.transport.name();
                let target = match usable.as_slice() {
                    [] => continue,
                    [(address, number)] => format!("{address}:{number}"),
                    many => {
                        let choices: Vec<_> =
                            many.iter().enumerate().map(|(i, (a, n))| format!("{i} : {a} . {n}")).collect();
                        format!("numgen random mod {} map {{ {} }}", many.len(), choices.join(", "))
                    }
                };
                let chain = format!("svc-{}", map.len());
                map.push(format!("{} . {transport} . {} : goto {chain}", service.address, port.number));
                let leads =
                    |way: &&Way| way.service == *key && way.port == port.number && port.transport == Transport::Tcp;
                for way in self.ways.iter().filter(leads) {
                    map.push(format!("{} . {transport} . {} : goto {chain}", way.at.ip(), way.at.port()));
                }
                let (namespace, name) = key;
                let _ = writeln!(chains, "  chain {chain} {{ # {namespace}/{name}:{}", port.number);
                let _ = writeln!(chains, "    meta l4proto {transport} dnat to {target}\n  }}");
            }
        }
        let elements =
            if map.is_empty() { String::new() } else { format!("    elements = {{ {} }}\n", map.join(", ")) };
        // The first two lines make the deletion succeed whether or not the table exists.
        format!(
            "table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
  map ports {{
    type ipv4_addr . inet_proto . inet_service : verdict
{elements}  }}
{chains}  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr . meta l4proto . th dport vmap @ports
  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    ip daddr . meta l4proto . th dport vmap @ports
  }}
  chain refuse {{
    type filter hook output priority 0; policy accept;
    ct direction original ip daddr {cluster} meta l4proto tcp reject with tcp reset
    ct direction original ip daddr {cluster} reject
  }}
}}
"
        )
    }
}

pub(super) fn key(object: &impl ResourceExt) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn range(text: &str) -> Range {
        Range::parse(text).unwrap()
    }

    fn service(name: &str, address: &str, ports: &Value) -> Service {
        serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": name},
            "spec": {"clusterIP": address, "ports": ports}}))
        .unwrap()
    }

    fn endpoints(name: &str, addresses: &[&str], ports: &Value) -> Endpoints {
        let addresses: Vec<_> = addresses.iter().map(|a| json!({"ip": a})).collect();
        serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": name},
            "subsets": [{"addresses": addresses, "notReadyAddresses": [{"ip": "10.0.0.99"}], "ports": ports}]}))
        .unwrap()
    }

    fn ruleset(s: &Services, real: &[&str]) -> String {
        let real = real.iter().map(|a| a.parse().unwrap()).collect();
        s.ruleset(range("10.0.0.0/20"), range("10.1.0.0/20"), &real)
    }

    #[test]
    fn one_backend_many_backends_and_none() {
        let mut s = Services::default();
        s.put_service(&service("one", "10.1.0.5", &json!([{"port": 443}])));
        s.put_endpoints(&endpoints("one", &["192.168.0.1"], &json!([{"port": 6443}])));
        s.put_service(&service(
            "two",
            "10.1.0.6",
            &json!([{"port": 80, "name": "http"}, {"port": 53, "protocol": "UDP", "name": "d"}]),
        ));
        s.put_endpoints(&endpoints(
            "two",
            &["10.0.0.20", "10.0.0.21", "10.0.0.22"],
            &json!([{"port": 8080, "name": "http"}]),
        ));
        s.put_service(&service("none", "10.1.0.7", &json!([{"port": 80}])));
        let text = ruleset(&s, &["10.0.0.20", "10.0.0.22"]);
        assert!(
            text.contains("elements = { 10.1.0.5 . tcp . 443 : goto svc-0, 10.1.0.6 . tcp . 80 : goto svc-1 }"),
            "{text}"
        );
        assert!(text.contains("dnat to 192.168.0.1:6443"), "outside of the pod range: a real process\n{text}");
        assert!(
            text.contains("dnat to numgen random mod 2 map { 0 : 10.0.0.20 . 8080, 1 : 10.0.0.22 . 8080 }"),
            "{text}"
        );
        assert!(!text.contains("10.0.0.21"), "simulated\n{text}");
        assert!(!text.contains("10.0.0.99"), "not ready\n{text}");
        assert!(!text.contains("10.1.0.7"), "no backend\n{text}");
        assert!(!ruleset(&s, &[]).contains("10.1.0.6"), "only simulated pods");
    }

    #[test]
    fn a_way_leads_where_its_service_does_and_nowhere_without_one() {
        let mut s = Services::default();
        for wrong in ["10.0.9.3:1", "10.0.9.3=ns/a:1", "10.0.9.3:1=a:1", "10.0.9.3:1=ns/a", "10.0.9.3:1=ns/a:0"] {
            assert!(wrong.parse::<Way>().is_err(), "{wrong}");
        }
        s.ways = vec!["10.0.9.3:30800=ns/web:80".parse().unwrap(), "10.0.9.3:30801=ns/other:80".parse().unwrap()];
        s.put_service(&service("web", "10.1.0.5", &json!([{"port": 80}, {"port": 81, "name": "more"}])));
        s.put_endpoints(&endpoints("web", &["10.0.0.20"], &json!([{"port": 8080}, {"port": 8081, "name": "more"}])));
        let text = ruleset(&s, &["10.0.0.20"]);
        let wanted =
            "10.1.0.5 . tcp . 80 : goto svc-0, 10.0.9.3 . tcp . 30800 : goto svc-0, 10.1.0.5 . tcp . 81 : goto svc-2";
        assert!(text.contains(wanted), "{text}");
        assert!(!text.contains("30801"), "{text}");
        assert!(!ruleset(&s, &[]).contains("30800"), "no pod that answers");
    }

    #[test]
    fn only_changes_count() {
        let mut s = Services::default();
        let one = service("one", "10.1.0.5", &json!([{"port": 443}]));
        assert!(s.put_service(&one));
        assert!(!s.put_service(&one));
        assert!(s.put_service(&service("one", "None", &json!([{"port": 443}]))), "became headless");
        assert!(!s.put_service(&service("one", "None", &json!([{"port": 443}]))));
        let e = endpoints("one", &["10.0.0.20"], &json!([{"port": 1}]));
        assert!(s.put_endpoints(&e));
        assert!(!s.put_endpoints(&e));
        assert!(s.put_endpoints(&endpoints("one", &[], &json!([{"port": 1}]))));
    }

    #[test]
    fn an_empty_ruleset_has_no_empty_list() {
        assert!(!ruleset(&Services::default(), &[]).contains("elements"));
    }
}
