//! TLS of the SQL port: certificates, which may be changed while the server runs, and what a handshake has settled.

use crate::transport::{Failure, Wire};
use parking_lot::RwLock;
use ring::digest;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What new connections are offered. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Offer>>);

#[derive(Clone)]
struct Offer {
    acceptor: TlsAcceptor,
    binding: Option<Vec<u8>>,
}

/// What a handshake has settled.
pub struct Secured {
    /// The hash of our certificate, to which an exchange of SCRAM can be bound; None where no hash is defined for it.
    pub binding: Option<Vec<u8>>,
    /// The common name of the client's certificate, if it has shown one that we trust.
    pub client: Option<String>,
}

impl Tls {
    /// With a configuration whose own certificate is this one, in DER.
    pub fn new(config: Arc<rustls::ServerConfig>, certificate: &[u8]) -> Tls {
        Tls(Arc::new(RwLock::new(Offer::new(config, certificate))))
    }

    /// From now on connections get another one.
    pub fn replace(&self, config: Arc<rustls::ServerConfig>, certificate: &[u8]) {
        *self.0.write() = Offer::new(config, certificate);
    }

    /// Shakes hands.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> Wire<(TlsStream<TcpStream>, Secured)> {
        let Offer { acceptor, binding } = self.0.read().clone();
        let socket = acceptor.accept(tcp).await?;
        let shown = socket.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let client = shown.map(|certificate| common_name(certificate)).transpose().map_err(Failure::Fatal)?.flatten();
        Ok((socket, Secured { binding, client }))
    }
}

impl Offer {
    fn new(config: Arc<rustls::ServerConfig>, certificate: &[u8]) -> Offer {
        Offer { acceptor: TlsAcceptor::from(config), binding: end_point(certificate) }
    }
}

/// The hash of a certificate by the algorithm that it is signed with, or by SHA-256 in the place of older ones (RFC 5929,
/// section 4.1). None: its signature has no hash of its own.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA and ECDSA with MD5, SHA-1, SHA-256.
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => &digest::SHA256,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The common name of whom a certificate is for.
fn common_name(certificate: &[u8]) -> Result<Option<String>> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let (_, parsed) = parsed.map_err(|error| {
        Error::new(Kind::InvalidAuthorization, format!("the client's certificate cannot be read: {error}"))
    })?;
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok().map(str::to_string));
    Ok(name)
}
