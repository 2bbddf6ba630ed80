//! Certificates of the SQL port: read from the files that the settings name, at start and at each SIGHUP.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result, Settings};
use tidegate_gateway::Tls;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the SQL port offers, from the files that the settings name as they are now.
pub fn configured(settings: &Settings) -> Result<Option<(Arc<rustls::ServerConfig>, CertificateDer<'static>)>> {
    let (certificate, key) = match (settings.get("tls_cert").as_str(), settings.get("tls_key").as_str()) {
        ("", _) => return Ok(None),
        ("auto", _) => self_signed()?,
        (certificate, key) => (read_pem(certificate)?, read_pem(key)?),
    };
    let broken = |e: &dyn std::fmt::Display| Error::new(Kind::InvalidParameter, format!("tls_cert or tls_key: {e}"));
    let chain = certificates(&certificate).map_err(|e| broken(&e))?;
    let own = chain.first().cloned().ok_or_else(|| broken(&"there is no certificate in it"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| broken(&e))?;
    let config = match settings.get("tls_client_ca").as_str() {
        "" => rustls::ServerConfig::builder().with_no_client_auth(),
        path => rustls::ServerConfig::builder().with_client_cert_verifier(client_verifier(path)?),
    };
    config.with_single_cert(chain, key).map(|config| Some((Arc::new(config), own))).map_err(|e| broken(&e))
}

fn certificates(pem: &str) -> std::result::Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect()
}

/// Clients may show a certificate, and then it must be of these.
fn client_verifier(path: &str) -> Result<Arc<dyn ClientCertVerifier>> {
    let broken = |e: &dyn std::fmt::Display| Error::new(Kind::InvalidParameter, format!("tls_client_ca: {e}"));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(&read_pem(path)?).map_err(|e| broken(&e))? {
        roots.add(certificate).map_err(|e| broken(&e))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
    verifier.map(|verifier| verifier as Arc<dyn ClientCertVerifier>).map_err(|e| broken(&e))
}

/// Reads the certificates anew at each SIGHUP, as Postgres does. Broken ones change nothing.
pub async fn reload(settings: Settings, offered: Tls, shutdown: CancellationToken) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    loop {
        tokio::select! {
            Some(()) = hangup.recv() => {}
            () = shutdown.cancelled() => return,
        }
        match configured(&settings) {
            Ok(Some((config, own))) => {
                offered.replace(config, &own);
                tracing::info!("the certificate of the SQL port was read again");
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the certificate of the SQL port stays as it was"),
        }
    }
}

fn read_pem(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::from(e).context(path))
}

fn self_signed() -> Result<(String, String)> {
    let names = ["localhost".to_string(), "127.0.0.1".to_string()];
    let pair = rcgen::generate_simple_self_signed(names).map_err(Error::internal)?;
    Ok((pair.cert.pem(), pair.signing_key.serialize_pem()))
}
