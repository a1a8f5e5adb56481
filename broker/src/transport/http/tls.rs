//! TLS: the certificate that the service shows, and those that it asks for.
//!
//! What it is not: a source of trust of its own; the files say whom to believe.
//!
//! Invariants: TLS 1.2 or 1.3 by ring; the private key is read once, with the
//! rights of whoever started the program, and only from a file that nobody else
//! can read; where clients' certificates are asked for, a client without one
//! gets no connection.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, ServerConnection};

use crate::config::service::TlsFiles;
use crate::hex::hex;

/// Longest PEM file, in bytes.
const PEM_BYTES_MAX: u64 = 1024 * 1024;
/// Any permission of anybody but the owner.
const OTHERS: u32 = 0o077;
/// Bytes of a certificate's SHA-256 that name a client.
const FINGERPRINT_BYTES: usize = 8;

/// Why TLS can't be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{}: can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the key.
    #[error("{}: others may read the private key; `chmod 600` it", .0.display())]
    Exposed(PathBuf),
    /// A file has not what it should have.
    #[error("{}: no {wanted} in PEM form", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// Why, if it is there and broken.
        #[source]
        source: Option<pem::Error>,
    },
    /// Certificate and key can't be used, or not together.
    #[error("{}: the certificate can't be used with its key", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The authorities can't be used.
    #[error("{}: the authorities of clients' certificates can't be used", path.display())]
    Authorities {
        /// Their file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
}

/// Reads the files. To be called before root is given up.
///
/// # Errors
///
/// Which file can't be used, and why.
pub fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.key)?;
    let unusable = |source| TlsError::Unusable {
        path: files.certificate.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                let path = path.clone();
                roots
                    .add(certificate)
                    .map_err(|source| TlsError::Unusable { path, source })?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = verifier.map_err(|source| TlsError::Authorities {
                path: path.clone(),
                source,
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What names the client: the beginning of its certificate's SHA-256, in
/// hexadecimal digits. `None` where it showed none.
pub fn fingerprint(connection: &ServerConnection) -> Option<String> {
    let certificate = connection.peer_certificates()?.first()?;
    let digest = Sha256::digest(certificate.as_ref());
    digest.get(..FINGERPRINT_BYTES).map(hex)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (text, _) = read(path)?;
    let wrong = |source| TlsError::Pem {
        path: path.to_owned(),
        wanted: "certificate",
        source,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| wrong(Some(error)))?;
    if found.is_empty() {
        return Err(wrong(None));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let (text, facts) = read(path)?;
    if facts.mode() & OTHERS != 0 {
        return Err(TlsError::Exposed(path.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| TlsError::Pem {
        path: path.to_owned(),
        wanted: "private key",
        source: Some(error),
    })
}

fn read(path: &Path) -> Result<(Vec<u8>, Metadata), TlsError> {
    let read = || {
        let file = File::open(path)?;
        let facts = file.metadata()?;
        let mut text = Vec::new();
        file.take(PEM_BYTES_MAX).read_to_end(&mut text)?;
        Ok((text, facts))
    };
    read().map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}
