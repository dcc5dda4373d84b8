//! The program `tandem`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // One provider for all TLS; that one is installed already is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tandem_cli::run(std::env::args_os().collect()).await.into()
}
