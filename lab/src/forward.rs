//! Loopback ports of the host that lead into a lab's namespaces: the only way in.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::mpsc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A loopback port and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The address in the namespace.
    pub target: SocketAddrV4,
}

/// Forwards that are open until this is dropped.
#[derive(Debug)]
pub struct Open {
    _stop: watch::Sender<()>,
}

/// So many free loopback ports, no two the same. One may be taken by somebody else before it is used, so the lab asks for all of
/// its ports at once.
///
/// # Errors
/// When there are not as many.
pub fn free_ports(many: usize) -> io::Result<Vec<u16>> {
    let bind = |_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // Held until all are found: one that is let go may be given again.
    let held = (0..many).map(bind).collect::<io::Result<Vec<_>>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Opens forwards into a namespace.
///
/// # Errors
/// When a port is taken, or the namespace cannot be entered.
pub fn open(namespace: &str, forwards: &[Forward]) -> io::Result<Open> {
    let mut listeners = Vec::new();
    for forward in forwards {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, forward.port))?;
        listener.set_nonblocking(true)?;
        listeners.push((listener, forward.target));
    }
    let (stop, stopped) = watch::channel(());
    let (said, entered) = mpsc::channel();
    let namespace = namespace.to_owned();
    // A thread of its own: a namespace is entered by a thread, and every socket it makes from then on belongs there.
    std::thread::Builder::new().name(format!("forward-{namespace}")).spawn(move || {
        let enter = File::open(format!("/run/netns/{namespace}"))
            .and_then(|file| setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from))
            .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
        match enter {
            Ok(runtime) => {
                let _ = said.send(Ok(()));
                runtime.block_on(serve(listeners, stopped));
            }
            Err(error) => drop(said.send(Err(error))),
        }
    })?;
    entered.recv().map_err(io::Error::other)??;
    Ok(Open { _stop: stop })
}

async fn serve(listeners: Vec<(std::net::TcpListener, SocketAddrV4)>, mut stopped: watch::Receiver<()>) {
    let mut tasks = tokio::task::JoinSet::new();
    for (listener, target) in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => drop(tasks.spawn(accept(listener, target))),
            Err(error) => tracing::error!(%error, "a forward could not be opened"),
        }
    }
    // Ends when the sender is dropped; the connections end with the runtime.
    let _ = stopped.changed().await;
}

async fn accept(listener: TcpListener, target: SocketAddrV4) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(connections.spawn(relay(client, target))),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, target: SocketAddrV4) {
    let Ok(mut server) = TcpStream::connect(SocketAddr::V4(target)).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    // Either side may hang up at any time.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_ports_are_the_same() {
        let ports = free_ports(64).unwrap();
        let distinct: std::collections::BTreeSet<&u16> = ports.iter().collect();
        assert_eq!((ports.len(), distinct.len()), (64, 64));
    }
}
