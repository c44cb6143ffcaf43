//! What the runs need: certificates, trust in different forms, data to move.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Result};

/// Where the roots of the system may lie.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The names of the server's certificates: any for connections that shall be new, one for those that may be resumed.
const NAMES: [&str; 2] = ["localhost", "*.bench.test"];

/// The files of a run.
pub(crate) struct Setup {
    /// Where they lie.
    pub(crate) folder: PathBuf,
    /// The data to move; removed at the end.
    pub(crate) payload: PathBuf,
    /// How many roots the system's bundle has.
    pub(crate) roots: usize,
}

impl Setup {
    /// Makes all files, with a payload of `bytes` bytes.
    pub(crate) fn new(folder: &Path, bytes: u64) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory } else { folder };
        let setup = Self {
            folder: folder.to_owned(),
            payload: place.join(format!("tls-bench-{}", std::process::id())),
            roots: make_certificates(folder)?,
        };
        make_payload(&setup.payload, bytes)?;
        Ok(setup)
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.payload);
    }
}

/// Writes `ecdsa.crt`, `ecdsa.key`, `rsa.crt`, `rsa.key`, and trust in their two authorities as `authorities.pem`; with the
/// system's roots as `bundle.pem`, and as the folder `roots`; and `nobody.pem`, where no root is. Returns how many the
/// system has.
fn make_certificates(folder: &Path) -> Result<usize> {
    let mut authorities = String::new();
    for (name, algorithm) in [("ecdsa", &PKCS_ECDSA_P256_SHA256), ("rsa", &PKCS_RSA_SHA256)] {
        let common_name = format!("Throwaway {name} CA of tls-bench");
        let mut params = named(&common_name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate_for(algorithm)?)?;
        let key = KeyPair::generate_for(algorithm)?;
        let mut params = named("localhost", &NAMES)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let server = params.signed_by(&key, &authority)?;
        write(&folder.join(format!("{name}.crt")), &server.pem())?;
        write(&folder.join(format!("{name}.key")), &key.serialize_pem())?;
        write(&folder.join(format!("{name}-ca.pem")), &authority.pem())?;
        authorities.push_str(&authority.pem());
    }
    let system = BUNDLES.iter().find_map(|file| fs::read_to_string(file).ok()).ok_or_else(|| {
        let looked = BUNDLES.join(", ");
        Error::peer("setup", format!("the system has no bundle of roots (ca-certificates): none of {looked}"))
    })?;
    write(&folder.join("authorities.pem"), &authorities)?;
    write(&folder.join("bundle.pem"), &format!("{system}\n{authorities}"))?;
    write(&folder.join("nobody.pem"), "")?;
    make_folder_of_roots(folder, &system)?;
    Ok(system.matches("-----BEGIN CERTIFICATE-----").count())
}

/// Valid from a little ago, for clocks that differ, to a week from now.
fn named(common_name: &str, names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    params.distinguished_name = subject;
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = OffsetDateTime::now_utc() + Duration::WEEK;
    Ok(params)
}

/// The roots as OpenSSL looks them up one by one: a file each, under the hash of its name.
fn make_folder_of_roots(folder: &Path, system: &str) -> Result<()> {
    let roots = folder.join("roots");
    fs::create_dir_all(&roots).map_err(Error::path("make", &roots))?;
    let end = "-----END CERTIFICATE-----";
    for (number, certificate) in system.split_inclusive(end).filter(|part| part.contains(end)).enumerate() {
        write(&roots.join(format!("{number}.pem")), &format!("{}\n", certificate.trim_start()))?;
    }
    for name in ["ecdsa-ca.pem", "rsa-ca.pem"] {
        fs::copy(folder.join(name), roots.join(name)).map_err(Error::path("copy", &folder.join(name)))?;
    }
    let doing = || "run `openssl rehash`".to_owned();
    let output = Command::new("openssl").arg("rehash").arg(&roots).output();
    let output = output.map_err(|source| Error::Io { doing: doing(), source })?;
    if !output.status.success() {
        return Err(Error::peer(&doing(), String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}

/// A block of 64 KB of noise, over and over.
fn make_payload(file: &Path, bytes: u64) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = Vec::with_capacity(65536);
    while block.len() < 65536 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    let mut out = fs::File::create(file).map_err(Error::path("write", file))?;
    for _ in 0..bytes.div_ceil(65536).max(16) {
        out.write_all(&block).map_err(Error::path("write", file))?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(Error::path("write", file))
}
