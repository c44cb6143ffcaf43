//! PFX files (PKCS#12, RFC 7292) as OpenSSL, Java and Windows write them.

use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error as PfxError;

use crate::certificate::Certificate;
use crate::der::{self, Element, Elements};
use crate::error::CertError;
use crate::key::PrivateKey;

const WHAT: &str = "PFX file";

/// Rounds that one key derivation may take: a good second on a slow machine.
/// Usual files have 1 to 10 000, careful ones 600 000.
const MAX_ROUNDS: u64 = 1_000_000;

/// Rounds that all key derivations together may take.
const MAX_TOTAL_ROUNDS: u64 = 4_000_000;

/// All certificates and keys of a PFX file, in order.
pub(crate) fn read(bytes: &[u8], password: &str) -> Result<(Vec<Certificate>, Vec<PrivateKey>), CertError> {
    let shape = Shape::of(bytes)?;
    check_cost(bytes)?;
    if password.chars().any(|c| u32::from(c) > 0xffff) {
        return Err(CertError::UnsupportedEncryption("a password with characters beyond U+FFFF".to_owned()));
    }
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| shape.explain(&error))?;
    let certificates = archive.certs.iter();
    let certificates = certificates.map(|bag| Certificate::from_der(bag.cert.as_der()));
    let keys = archive.keys.iter();
    let keys = keys.map(|bag| PrivateKey::from_der(bag.key.as_der()));
    Ok((certificates.collect::<Result<_, _>>()?, keys.collect::<Result<_, _>>()?))
}

/// Refuses DER whose key derivations, as far as they can be seen without
/// deriving a key, would take too long.
///
/// The reader has the same limit for each derivation that comes to light
/// later, but none for their sum.
pub(crate) fn check_cost(bytes: &[u8]) -> Result<(), CertError> {
    let mut cost = Cost::default();
    cost.visit(Elements::new(bytes), 0);
    if cost.largest > MAX_ROUNDS {
        return Err(CertError::TooExpensive { iterations: cost.largest });
    }
    if cost.total > MAX_TOTAL_ROUNDS {
        return Err(CertError::TooExpensive { iterations: cost.total });
    }
    Ok(())
}

/// What a PFX file's outermost layer shows.
struct Shape {
    has_mac: bool,
}

impl Shape {
    fn of(bytes: &[u8]) -> Result<Self, CertError> {
        let whole = der::split(bytes).filter(|(e, rest)| e.tag == der::SEQUENCE && rest.is_empty());
        let Some((pfx, _)) = whole else {
            return Err(CertError::encoding(WHAT, "not one DER sequence"));
        };
        let tags: Vec<u8> = pfx.children().map(|e| e.tag).collect();
        match tags[..] {
            [der::INTEGER, der::SEQUENCE] => Ok(Self { has_mac: false }),
            [der::INTEGER, der::SEQUENCE, der::SEQUENCE] => Ok(Self { has_mac: true }),
            _ => Err(CertError::encoding(WHAT, "not the structure of PKCS#12")),
        }
    }

    /// The reader's error in our terms. Without a MAC a wrong password shows
    /// as rubbish in what was decrypted.
    fn explain(&self, error: &PfxError) -> CertError {
        match error {
            PfxError::MacError(_) => CertError::BadPassword,
            PfxError::UnsupportedEncryptionScheme | PfxError::UnsupportedMacAlgorithm => {
                CertError::UnsupportedEncryption(error.to_string())
            }
            PfxError::Pkcs5Error(text) if text.contains("unsupported") => {
                CertError::UnsupportedEncryption(text.clone())
            }
            PfxError::UnpadError
            | PfxError::Pkcs5Error(_)
            | PfxError::InvalidPrivateKey
            | PfxError::DerError(_)
            | PfxError::X509Error(_)
                if !self.has_mac =>
            {
                CertError::BadPassword
            }
            _ => CertError::encoding(WHAT, error),
        }
    }
}

/// The rounds of all key derivations met in a run of DER.
#[derive(Default)]
struct Cost {
    largest: u64,
    total: u64,
}

impl Cost {
    fn visit(&mut self, elements: Elements<'_>, depth: u8) {
        const DEEPEST: u8 = 32;
        if depth > DEEPEST {
            return;
        }
        for element in elements {
            if element.tag == der::SEQUENCE {
                self.note(element);
            }
            // The layers of a PFX file lie in octet strings.
            if element.is_constructed() || wraps_sequence(element) {
                self.visit(element.children(), depth + 1);
            }
        }
    }

    /// Adds the rounds of `sequence`, if it asks for any: the parameters of a
    /// key derivation are a salt and a number, those of a MAC are a digest,
    /// a salt and a number.
    fn note(&mut self, sequence: Element<'_>) {
        let children: Vec<_> = sequence.children().take(4).collect();
        let rounds = match children[..] {
            [salt, number, block, parallel]
                if salt.tag == der::OCTET_STRING && block.tag == der::INTEGER && parallel.tag == der::INTEGER =>
            {
                scrypt_rounds(number, block, parallel)
            }
            [salt, number, ..] if salt.tag == der::OCTET_STRING => number.unsigned(),
            [digest, salt, number] if digest.tag == der::SEQUENCE && salt.tag == der::OCTET_STRING => number.unsigned(),
            _ => None,
        };
        let rounds = rounds.unwrap_or(0);
        self.largest = self.largest.max(rounds);
        self.total = self.total.saturating_add(rounds);
    }
}

/// The work and memory of scrypt (RFC 7914), in rounds of 128 bytes.
fn scrypt_rounds(cost: Element<'_>, block: Element<'_>, parallel: Element<'_>) -> Option<u64> {
    let product = cost.unsigned()?.saturating_mul(block.unsigned()?);
    Some(product.saturating_mul(parallel.unsigned()?))
}

fn wraps_sequence(element: Element<'_>) -> bool {
    element.tag == der::OCTET_STRING
        && der::split(element.value).is_some_and(|(inner, rest)| inner.tag == der::SEQUENCE && rest.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Noise, TempDir};
    use crate::{CertStore, Search};

    const MODERN: &str = "";
    const LEGACY: &str = "-legacy";
    const WINDOWS: &str = "-certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1";

    const KINDS: [&str; 3] = ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256", "ed25519"];

    /// A folder with a root, an intermediate, a leaf and its key.
    fn folder(kind: &str) -> TempDir {
        let dir = TempDir::new();
        dir.write("ca.ext", "basicConstraints=critical,CA:TRUE\n");
        dir.write("leaf.ext", "subjectAltName=DNS:a.example\n");
        dir.openssl(
            "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=root -keyout root.key -out root.pem",
        );
        dir.openssl(
            "req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=between -keyout between.key -out between.csr",
        );
        dir.openssl(
            "x509 -req -in between.csr -CA root.pem -CAkey root.key -set_serial 2 -extfile ca.ext -out between.pem",
        );
        dir.openssl(&format!("req -nodes -newkey {kind} -subj /CN=leaf -keyout leaf.key -out leaf.csr"));
        dir.openssl(
            "x509 -req -in leaf.csr -CA between.pem -CAkey between.key -set_serial 3 -extfile leaf.ext -out leaf.pem",
        );
        let others = [dir.read("between.pem"), dir.read("root.pem")].concat();
        dir.write("others.pem", others);
        dir
    }

    fn export(dir: &TempDir, password: &str, options: &str) -> Vec<u8> {
        dir.openssl(&format!(
            "pkcs12 -export -in leaf.pem -inkey leaf.key -certfile others.pem -name leaf -passout pass:{password} -out file.pfx {options}"
        ));
        dir.read("file.pfx")
    }

    fn check(dir: &TempDir, store: &CertStore) {
        assert_eq!(store.len(), 3);
        let leaf = Certificate::from_pem(&dir.read("leaf.pem")).unwrap();
        let found = store.find(&Search::PrivateKey, None).unwrap();
        assert_eq!(found, leaf);
        assert_eq!(store.find(&Search::PrivateKey, Some(&found)), None);
        let identity = crate::Identity::new(&found, &store.contents()).unwrap();
        assert_eq!(identity.chain().len(), 2, "leaf and intermediate, no root");
    }

    #[test]
    fn as_written_by_openssl() {
        for kind in KINDS {
            let dir = folder(kind);
            for options in [
                MODERN,
                LEGACY,
                WINDOWS,
                "-certpbe NONE -keypbe NONE",
                "-macalg sha512",
                "-nomac",
                "-certpbe aes-128-cbc -keypbe aes-256-cbc -macalg sha384",
            ] {
                for password in ["secret", "", "Zürich-ßüñ"] {
                    let file = export(&dir, password, options);
                    let store = CertStore::from_pfx(&file, password)
                        .unwrap_or_else(|e| panic!("{kind} {options} {password:?}: {e}"));
                    check(&dir, &store);
                }
            }
        }
    }

    #[test]
    fn wrong_password() {
        let dir = folder("ed25519");
        for options in [MODERN, LEGACY, WINDOWS, "-nomac"] {
            for (right, wrong) in [("secret", "Secret"), ("secret", ""), ("", "secret")] {
                let file = export(&dir, right, options);
                assert_eq!(
                    CertStore::from_pfx(&file, wrong).unwrap_err(),
                    CertError::BadPassword,
                    "{options} {right} {wrong}"
                );
            }
        }
        let file = export(&dir, "secret", MODERN);
        assert!(matches!(CertStore::from_pfx(&file, "😀"), Err(CertError::UnsupportedEncryption(_))));
    }

    #[test]
    fn incomplete_contents() {
        let dir = folder("ed25519");
        dir.openssl("pkcs12 -export -nokeys -in others.pem -passout pass:x -out file.pfx");
        let store = CertStore::from_pfx(&dir.read("file.pfx"), "x").unwrap();
        assert_eq!(store.len(), 2);
        assert_eq!(store.find(&Search::PrivateKey, None), None);
        dir.openssl("pkcs12 -export -nocerts -inkey leaf.key -passout pass:x -out file.pfx");
        assert_eq!(CertStore::from_pfx(&dir.read("file.pfx"), "x").unwrap_err(), CertError::NoCertificate);
    }

    #[test]
    fn absurd_rounds() {
        let dir = folder("ed25519");
        let file = export(&dir, "x", "-iter 1234");
        let rounds = [der::INTEGER, 2, 0x04, 0xd2];
        let places = file.windows(4).filter(|w| *w == rounds).count();
        assert!(places >= 2, "certificates and MAC, {places}");
        for place in 0..places {
            let at = |(at, w): (usize, &[u8])| (w == rounds).then_some(at);
            let at = file.windows(4).enumerate().filter_map(at).nth(place).unwrap();
            let grown = grow(&file, at, &[der::INTEGER, 4, 0x7f, 0xff, 0xff, 0xff]);
            assert_eq!(
                CertStore::from_pfx(&grown, "x").unwrap_err(),
                CertError::TooExpensive { iterations: 0x7fff_ffff }
            );
        }
        // A negative count is no expense, and no panic.
        let mut negative = file.clone();
        let at = file.windows(4).rposition(|w| w == rounds).unwrap();
        negative[at + 2] = 0x84;
        assert!(CertStore::from_pfx(&negative, "x").is_err());
    }

    /// `der` with the element of four octets at `at` replaced and the lengths
    /// of all that surrounds it made to fit.
    fn grow(der: &[u8], at: usize, replacement: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = der;
        let mut offset = 0;
        while let Some((element, behind)) = der::split(rest) {
            let size = rest.len() - behind.len();
            let header = size - element.value.len();
            if offset == at {
                out.extend_from_slice(replacement);
            } else if (offset..offset + size).contains(&at) {
                let value = grow(element.value, at - offset - header, replacement);
                let length = u32::try_from(value.len()).unwrap().to_be_bytes();
                out.extend([element.tag, 0x84]);
                out.extend(length);
                out.extend(value);
            } else {
                out.extend_from_slice(&rest[..size]);
            }
            offset += size;
            rest = behind;
        }
        out
    }

    #[test]
    fn cost() {
        let sequence = |parts: &[&[u8]]| {
            let value = parts.concat();
            let length = u8::try_from(value.len()).unwrap();
            [&[der::SEQUENCE, length], &value[..]].concat()
        };
        let salt: &[u8] = &[der::OCTET_STRING, 1, 0];
        let number = |n: u32| [&[der::INTEGER, 5, 0], &n.to_be_bytes()[..]].concat();
        let parameters = |n| sequence(&[salt, &number(n)]);
        let iterations = |der: &[u8]| match check_cost(der) {
            Err(CertError::TooExpensive { iterations }) => Some(iterations),
            _ => None,
        };
        assert_eq!(iterations(&parameters(1_000_000)), None);
        assert_eq!(iterations(&parameters(1_000_001)), Some(1_000_001));
        let each = parameters(900_000);
        assert_eq!(iterations(&sequence(&[&each, &each, &each, &each])), None);
        let five = sequence(&[&each, &each, &each, &each, &each]);
        assert_eq!(iterations(&five), Some(4_500_000));
        let wrapped = [&[der::OCTET_STRING, u8::try_from(five.len()).unwrap()], &five[..]].concat();
        assert_eq!(iterations(&wrapped), Some(4_500_000));
        let scrypt = |n| sequence(&[salt, &number(n), &number(8), &number(1)]);
        assert_eq!(iterations(&scrypt(16_384)), None);
        assert_eq!(iterations(&scrypt(1 << 20)), Some(8 << 20));
        let mut deep = parameters(2_000_000);
        for _ in 0..40 {
            let length = u16::try_from(deep.len()).unwrap().to_be_bytes();
            deep = [&[der::SEQUENCE, 0x82], &length[..], &deep].concat();
        }
        assert_eq!(iterations(&deep), None, "deeper than any file, and no stack is used up");
    }

    #[test]
    fn damaged() {
        let dir = folder("ed25519");
        for options in ["-iter 1", "-legacy -iter 1 -maciter"] {
            let file = export(&dir, "x", options);
            for length in 0..file.len() {
                assert!(CertStore::from_pfx(&file[..length], "x").is_err());
            }
            let mut noise = Noise::new(6);
            for _ in 0..500 {
                let damaged = noise.damage(&file);
                if check_cost(&damaged).is_ok() {
                    let _ = CertStore::from_pfx(&damaged, "x");
                }
            }
        }
        let mut noise = Noise::new(8);
        for _ in 0..2000 {
            let length = noise.below(400);
            let mut bytes = noise.bytes(length);
            assert!(CertStore::from_pfx(&bytes, "").is_err());
            if let Some(first) = bytes.first_mut() {
                *first = der::SEQUENCE;
            }
            assert!(CertStore::from_pfx(&bytes, "").is_err());
        }
    }
}
