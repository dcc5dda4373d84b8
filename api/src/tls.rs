//! TLS, and the connections below it: who is connected is told to the handlers by the connection itself, a connection that
//! does nothing ends, and there are only so many.

use crate::identity::PeerCertificate;
use axum::Extension;
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Layer;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{path} cannot be read: {wanted} in PEM is wanted")]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// There is nothing in a file.
    #[error("{path} holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// TLS does not take them.
    #[error("the certificate {path} and its key do not belong together, or TLS does not take them")]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The authority of clients cannot be used.
    #[error("the authority of client certificates {path} cannot be used: {cause}")]
    Clients {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::File { path: path.to_owned(), wanted: "a certificate", source };
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let all = all.map_err(unreadable)?;
    if all.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(all) }
}

/// TLS with this certificate. Where an authority for clients is given, a client may show a certificate of its; one that is
/// shown and does not hold ends the connection.
///
/// # Errors
/// When a file cannot be read or TLS does not take what is in it.
pub fn server_config(certificate: &Path, key: &Path, clients: Option<&Path>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pair = |source| TlsError::Pair { path: certificate.to_owned(), source };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable = |cause: String| TlsError::Clients { path: path.to_owned(), cause };
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| unusable(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key_of = |source| TlsError::File { path: key.to_owned(), wanted: "a private key", source };
    let key = PrivateKeyDer::from_pem_file(key).map_err(key_of)?;
    let mut config = builder.with_single_cert(certificates(certificate)?, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How long the handshake may take.
    pub handshake: Duration,
    /// After how long one ends on which nothing is read or written.
    pub idle: Duration,
    /// How many there are at once.
    pub most: usize,
}

/// Accepts connections. The certificate that a client shows becomes an `Option<`[`PeerCertificate`]`>` in the extensions of its requests.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// With this configuration, within these limits.
    #[must_use]
    pub fn new(config: ServerConfig, limits: ConnectionLimits) -> Self {
        let places = Arc::new(Semaphore::new(limits.most));
        Self { tls: TlsAcceptor::from(Arc::new(config)), limits, places }
    }
}

impl<I, S> Accept<I, S> for Acceptor
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Send + 'static,
{
    type Stream = Watched<TlsStream<I>>;
    type Service = axum::middleware::AddExtension<S, Option<PeerCertificate>>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (tls, limits, places) = (self.tls.clone(), self.limits, Arc::clone(&self.places));
        Box::pin(async move {
            let place = places.try_acquire_owned().map_err(|_| io::Error::other("too many connections"))?;
            let stream = tokio::time::timeout(limits.handshake, tls.accept(stream))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long"))??;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let peer = shown.map(|certificate| PeerCertificate(certificate.clone().into_owned()));
            Ok((Watched::new(stream, limits.idle, place), Extension(peer).layer(service)))
        })
    }
}

/// A connection that ends when nothing is read or written for a time, in either direction. A client that reads slowly, or says
/// nothing after the handshake, holds no place for ever.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    idle: Duration,
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Watched<S> {
    fn new(stream: S, idle: Duration, place: OwnedSemaphorePermit) -> Self {
        Self { stream, idle, until: Box::pin(sleep(idle)), _place: place }
    }

    /// What became of reading or writing. Where nothing did, the clock goes on.
    fn watch<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.until.as_mut().reset(Instant::now() + self.idle);
            return polled;
        }
        match self.until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection was idle"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.watch(polled, context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch(polled, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(context) {
            // To have nothing left to flush is no sign of life.
            Poll::Ready(flushed) => Poll::Ready(flushed),
            Poll::Pending => this.watch(Poll::Pending, context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_shutdown(context);
        this.watch(polled, context)
    }
}
