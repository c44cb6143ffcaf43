//! The options, those of `peer.tcl`, and the configurations made from them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The options by name, without the hyphen.
pub(crate) struct Options(HashMap<String, String>);

impl Options {
    /// From `-NAME VALUE …`.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut options = HashMap::new();
        while let Some(name) = words.next() {
            match (name.strip_prefix('-'), words.next()) {
                (Some(name), Some(value)) => options.insert(name.to_owned(), value),
                _ => return Err(io::Error::other(format!("not an option with its value: {name}"))),
            };
        }
        Ok(Self(options))
    }

    /// An option's value; empty if it was not given.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A number; 0 if it was not given.
    pub(crate) fn number(&self, name: &str) -> io::Result<usize> {
        match self.text(name) {
            "" => Ok(0),
            text => text.parse().map_err(|_| io::Error::other(format!("-{name} is no number: {text}"))),
        }
    }

    /// The block that data consists of, over and over.
    pub(crate) fn block(&self) -> io::Result<Vec<u8>> {
        let mut block = fs::read(self.text("payload"))?;
        block.truncate(65536);
        Ok(block)
    }

    /// A client's configuration, which trusts what the file says that `SSL_CERT_FILE` names. As rustls has it by default,
    /// but for resumption, which `-resume` switches on.
    pub(crate) fn client(&self) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        let file = std::env::var_os("SSL_CERT_FILE").unwrap_or_default();
        let certificates: Vec<_> =
            CertificateDer::pem_file_iter(file).map_err(io::Error::other)?.filter_map(Result::ok).collect();
        roots.add_parsable_certificates(certificates);
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        if self.number("resume")? == 0 {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }

    /// A server's configuration, as rustls has it by default, but for resumption, which `-resume` switches on.
    pub(crate) fn server(&self) -> io::Result<Arc<ServerConfig>> {
        let certificates = CertificateDer::pem_file_iter(self.text("cert")).map_err(io::Error::other)?;
        let chain = certificates.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(self.text("key")).map_err(io::Error::other)?;
        let builder = ServerConfig::builder().with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(io::Error::other)?;
        if self.number("resume")? == 0 {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}
