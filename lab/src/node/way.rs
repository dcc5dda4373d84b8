//! A way into the site from outside: a port of the node's own address that leads to a Service.

use std::net::SocketAddrV4;

/// A port and the Service that it leads to, over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The node's address and the port.
    pub(super) at: SocketAddrV4,
    /// Namespace and name of the Service.
    pub(super) service: super::services::Key,
    /// The Service's port.
    pub(super) port: u16,
}

impl std::str::FromStr for Way {
    type Err = String;

    /// Reads `ADDRESS:PORT=NAMESPACE/SERVICE:PORT`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (at, service) = text.split_once('=')?;
            let (service, port) = service.rsplit_once(':')?;
            let (namespace, name) = service.split_once('/').filter(|(n, s)| !n.is_empty() && !s.is_empty())?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            Some(Self { at: at.parse().ok()?, service: (namespace.to_owned(), name.to_owned()), port })
        };
        read().ok_or_else(|| format!("'{text}' is no way; write ADDRESS:PORT=NAMESPACE/SERVICE:PORT"))
    }
}
