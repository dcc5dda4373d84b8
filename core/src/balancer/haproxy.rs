//! The configuration of HAProxy, 2.2 to current.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::check::{Problem, check};
use super::description::{Description, Entry, Mode, Site, Times};

/// The text of a configuration that turns away from a site within [`Times::cut`] of its gates' 503 or silence.
///
/// What is in it, and why:
/// - Each gate is asked by itself, by a server of its own that leads to the site's endpoint: one gate that says yes is enough, and
///   each that says no cuts what went by its word.
/// - A question is bounded in two parts: `timeout connect` (the connection and TLS), then `timeout check` (the answer), one after the
///   other. Each is half of what a question may take.
/// - A site is sent traffic only while no other site's gate says yes as well. Where both do, one of the answers is old.
/// - HAProxy takes a server for up until it was asked (`init-state` is of 3.1). So a site counts only once a gate of it was *seen* to
///   say yes: the check leaves a variable.
/// - Nothing that was sent is sent again. Only a connection that did not come about is tried once more, at the same site.
/// - After a reload the old process asks no gates any more, so it must be gone by the time that the cut would take.
///
/// # Errors
/// What is wrong with the description.
pub fn haproxy(description: &Description) -> Result<String, Vec<Problem>> {
    check(description)?;
    let times = description.times();
    let mut text = head(description, &times);
    // The entry that asks, by group: the others of that group go by what it finds.
    let mut asking: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in &description.entries {
        let asks = *asking.entry(entry.group.as_str()).or_insert_with(|| entry.name());
        text.push_str(&frontend(entry, &description.sites));
        for site in &description.sites {
            text.push_str(&backend(entry, site, &times, (asks != entry.name()).then_some(asks)));
        }
    }
    Ok(text)
}

fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// A part of a text in which seconds are told to people.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn head(description: &Description, times: &Times) -> String {
    let cut = times.cut();
    let left = times.t.saturating_sub(times.fence()).saturating_sub(cut);
    let mut text = format!(
        "# Written by `tandem balancer haproxy`. Change the description and write this anew; a change here is lost.
# For HAProxy 2.2 and later.
#
# T = {t}. A site that does not hear the arbiter closes its gate {fence} after its last heartbeat. Within {cut} of that
# ({inter} from one question to the next, and {timeout} for the answer) nothing goes there any more and what was open is cut:
# {left} before another site may take over.

global
    log stdout format raw local0 info
    # After a reload the old process asks no gates: what it has open must not outlive what the gates say.
    hard-stop-after {stop}
",
        t = seconds(times.t),
        fence = seconds(times.fence()),
        cut = seconds(cut),
        inter = seconds(times.inter),
        timeout = seconds(times.timeout),
        left = seconds(left),
        stop = millis(cut),
    );
    if let Some(user) = &description.user {
        let _ = writeln!(text, "    user {user}\n    group {user}");
    }
    let _ = write!(
        text,
        "
defaults
    log global
    mode http
    option dontlognull
    option log-health-checks
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    timeout http-request 10s
    timeout http-keep-alive 10s
    # A question to a gate: the connection and TLS, and then the answer.
    timeout connect {half}
    timeout check {half}
    # Only what was never sent is tried again, and never at another site.
    retries 1
    no option redispatch
",
        half = millis(times.timeout / 2),
    );
    if let Some(stats) = &description.stats {
        let _ = write!(
            text,
            "
frontend tandem.stats
    bind {stats}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    stats enable
    stats uri /
"
        );
    }
    text
}

/// The variable that says that a gate of this site was seen to say yes for the group. Names have no `_`.
fn seen(group: &str, site: &str) -> String {
    format!("proc.tandem.{}.{}", group.replace('-', "_"), site.replace('-', "_"))
}

fn frontend(entry: &Entry, sites: &[Site]) -> String {
    let (name, group) = (entry.name(), &entry.group);
    let certificate = entry.certificate.as_ref().map(|file| format!(" ssl crt {file}")).unwrap_or_default();
    let (mode, log) = match entry.mode {
        Mode::Http => ("http", "option httplog"),
        Mode::Tcp => ("tcp", "option tcplog"),
    };
    let mut text = format!("\nfrontend {name}\n    bind {}{certificate}\n    mode {mode}\n    {log}\n", entry.bind);
    if entry.mode == Mode::Http {
        text.push_str("    option forwardfor\n");
        if entry.certificate.is_some() {
            text.push_str("    http-request set-header X-Forwarded-Proto https\n");
        }
    }
    for Site { name: site, .. } in sites {
        let _ = writeln!(text, "    acl up-{site} nbsrv({name}.{site}) gt 0");
        let _ = writeln!(text, "    acl seen-{site} var({}) -m int 1", seen(group, site));
    }
    let holds = |site: &Site| {
        let others = sites.iter().filter(|other| other.name != site.name);
        let others: String = others.map(|other| format!(" !up-{}", other.name)).collect();
        format!("up-{0} seen-{0}{others}", site.name)
    };
    if entry.mode == Mode::Http {
        let any: Vec<String> = sites.iter().map(holds).collect();
        let said = format!("Refused, and sent to nobody: no one site says alone that it holds {group}.\\n");
        let _ = writeln!(
            text,
            "    http-request return status 503 content-type text/plain string \"{said}\" hdr Tandem-Refused balancer hdr Retry-After 1 unless {}",
            any.join(" or ")
        );
    }
    for site in sites {
        let _ = writeln!(text, "    use_backend {name}.{} if {}", site.name, holds(site));
    }
    text
}

fn backend(entry: &Entry, site: &Site, times: &Times, asks: Option<&str>) -> String {
    let (name, group) = (entry.name(), &entry.group);
    let mode = if entry.mode == Mode::Http { "http" } else { "tcp" };
    let mut text = format!("\nbackend {name}.{}\n    mode {mode}\n    balance roundrobin\n", site.name);
    // Checked already: every site has an endpoint.
    let endpoint = entry.endpoints.get(&site.name).map(String::as_str).unwrap_or_default();
    if let Some(asks) = asks {
        for gate in 0..site.gates.len() {
            let _ = writeln!(
                text,
                "    server gate-{gate} {endpoint} track {asks}.{}/gate-{gate} on-marked-down shutdown-sessions",
                site.name
            );
        }
        return text;
    }
    let _ = write!(
        text,
        "    option httpchk
    http-check send meth GET uri /active/{group} ver HTTP/1.1 hdr Host {host}
    http-check expect status 200
    http-check set-var({seen}) int(1)
    default-server check inter {inter} fastinter {inter} downinter {inter} fall 1 rise 1 on-marked-down shutdown-sessions
    default-server check-ssl verify required ca-file {authority} check-sni {host}
",
        host = site.gate_name,
        seen = seen(group, &site.name),
        inter = millis(times.inter),
        authority = site.ca_file,
    );
    // Checked already: every gate is an address with a port.
    for (index, gate) in site.gates.iter().filter_map(|gate| gate.parse::<SocketAddr>().ok()).enumerate() {
        let address = match gate.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let _ = writeln!(text, "    server gate-{index} {endpoint} addr {address} port {}", gate.port());
    }
    text
}
