//! Kubeconfigs: for programs inside a site's namespace, and for people over the lab's forwards.

use crate::layout::Layout;
use crate::plan::Place;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::Path;

/// Writes the kubeconfigs of a site. `forwarded` is the loopback port that leads to its API server.
///
/// # Errors
/// When a certificate cannot be read or a file cannot be written.
pub fn write(layout: &Layout, place: &Place, forwarded: u16) -> io::Result<()> {
    let inside = format!("https://{}:6443", place.control_plane());
    let outside = format!("https://127.0.0.1:{forwarded}");
    let pki = layout.pki(&place.name);
    for (user, certificate, server) in [
        ("admin", "user-admin", &outside),
        ("bootstrap", "user-bootstrap", &outside),
        ("operator", "user-operator", &inside),
        ("api", "user-api", &inside),
        ("node", "user-node", &inside),
        ("controller-manager", "controller-manager", &inside),
        ("scheduler", "scheduler", &inside),
    ] {
        let config = config(&pki, &place.name, certificate, server)?;
        Layout::private_file(&layout.kubeconfig(&place.name, user), &yaml(&config)?)?;
    }
    Ok(())
}

/// Writes one kubeconfig with a context for every site, for people.
///
/// # Errors
/// When a file cannot be read or written.
pub fn merge(layout: &Layout, sites: &[String]) -> io::Result<()> {
    let mut merged = json!({"apiVersion": "v1", "kind": "Config", "current-context": sites.first()});
    for list in ["clusters", "contexts", "users"] {
        merged[list] = json!([]);
    }
    for site in sites {
        let text = fs::read_to_string(layout.kubeconfig(site, "admin"))?;
        let one: Value = serde_yaml::from_str(&text).map_err(io::Error::other)?;
        for list in ["clusters", "contexts", "users"] {
            if let (Some(all), Some(more)) = (merged[list].as_array_mut(), one[list].as_array()) {
                all.extend(more.iter().cloned());
            }
        }
    }
    Layout::private_file(&layout.dir.join("kubeconfig"), &yaml(&merged)?)
}

fn yaml(value: &Value) -> io::Result<String> {
    serde_yaml::to_string(value).map_err(io::Error::other)
}

fn config(pki: &Path, site: &str, certificate: &str, server: &str) -> io::Result<Value> {
    // The content and not the path: the folder with the certificates is closed to the people that the lab is for.
    let content = |file: &str| serde_json::to_value(ByteString(fs::read(pki.join(file))?)).map_err(io::Error::other);
    Ok(json!({
        "apiVersion": "v1", "kind": "Config", "current-context": site,
        "clusters": [{"name": site, "cluster": {"server": server, "certificate-authority-data": content("ca.crt")?}}],
        "contexts": [{"name": site, "context": {"cluster": site, "user": format!("{site}-{certificate}")}}],
        "users": [{"name": format!("{site}-{certificate}"), "user": {
            "client-certificate-data": content(&format!("{certificate}.crt"))?,
            "client-key-data": content(&format!("{certificate}.key"))?,
        }}],
    }))
}
