//! Certificates for one run: a private authority, and a server certificate that it signed.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::failure::Failure;

/// Where the files are.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// What a client trusts.
    pub(crate) authority: PathBuf,
    /// What the server shows.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The names under which a client may reach the server.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// Writes fresh certificates into `folder`.
pub(crate) fn generate(folder: &Path) -> Result<Certificates, Failure> {
    let pem = sign().map_err(|error| {
        Failure::new(
            format!("cannot make certificates: {error}"),
            "report it as a bug of xtask, with this message",
        )
    })?;
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).map(|()| file).map_err(|error| {
            Failure::new(
                format!("cannot write {name} to {}: {error}", folder.display()),
                "make the folder writable",
            )
        })
    };
    Ok(Certificates {
        authority: write("ca.pem", &pem.authority)?,
        certificate: write("server.pem", &pem.certificate)?,
        key: write("server-key.pem", &pem.key)?,
    })
}

struct Pem {
    authority: String,
    certificate: String,
    key: String,
}

fn sign() -> Result<Pem, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "celery test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(NAMES.map(str::to_owned))?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python 3.13 and later refuse a certificate that does not name its issuer's key.
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &Issuer::from_params(&authority, &authority_key))?;

    Ok(Pem {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_holds_what_its_name_says() {
        let pem = sign().unwrap();
        assert!(pem.authority.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(pem.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_ne!(pem.authority, pem.certificate);
        assert!(pem.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
