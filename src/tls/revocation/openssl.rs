//! For the tests: a real responder, `openssl ocsp`, and what is made of its answers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::*;
use crate::tls::pem;

/// A CA made by openssl, with a responder that it made one, a client of serial number 5 (good),
/// one of 7 (revoked), and one of 9 (not in the index).
struct World {
    folder: TempDir,
}

/// Ends with the test.
struct Responder {
    child: Child,
    url: String,
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let write = |name: &str, text: &str| fs::write(world.path(name), text).unwrap();
        write(
            "ocsp.cnf",
            "[r]\nextendedKeyUsage=OCSPSigning\nkeyUsage=digitalSignature\n[c]\nextendedKeyUsage=clientAuth\n",
        );
        write(
            "index.txt",
            "V\t360101000000Z\t\t05\tunknown\t/CN=c5\nR\t360101000000Z\t250101000000Z,keyCompromise\t07\tunknown\t/CN=c7\n",
        );
        world.self_signed("ca");
        world.self_signed("stranger");
        world.issue("responder", "r", 3);
        world.issue("client", "c", 4);
        world
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn self_signed(&self, name: &str) {
        let (key, pem) = (self.path(&format!("{name}.key")), self.path(&format!("{name}.pem")));
        run(
            self.folder.path(),
            &format!("req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {pem} -subj /CN={name} -days 2"),
        );
    }

    fn issue(&self, name: &str, section: &str, serial: u64) {
        let folder = self.folder.path();
        run(
            folder,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            ),
        );
        run(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -days 2 -extfile ocsp.cnf -extensions {section} -out {name}.pem"
            ),
        );
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        let text = fs::read(self.path(&format!("{name}.pem"))).unwrap();
        pem::certificates(&text).unwrap().remove(0)
    }

    /// Starts the responder; `signer` has signed its answers.
    fn respond(&self, signer: &str, more: &str) -> Responder {
        let line = format!(
            "ocsp -index index.txt -port 0 -rsigner {signer}.pem -rkey {signer}.key -CA ca.pem {more}"
        );
        let mut child = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        let port = said.split_whitespace().nth(1).and_then(|address| address.rsplit(':').next()).unwrap();
        Responder { url: format!("http://127.0.0.1:{port}/"), child }
    }

    /// The status of a client with that serial number, as this responder tells it.
    async fn ask(&self, responder: &Responder, serial: u8) -> Status {
        let (certificate, issuer) = (self.certificate("client"), self.certificate("ca"));
        let mut query = Query::new(&certificate, &issuer, Arc::new(world::settings())).unwrap();
        query.serial = question::Serial::new(&[serial]).unwrap();
        query.raw_serial = [serial].into();
        query.ocsp = vec![responder.url.parse().unwrap()];
        Revocation::default().fetch(&query).await
    }
}

fn run(folder: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn openssl_as_a_responder_is_understood() {
    let world = World::new();
    for signer in ["ca", "responder"] {
        let responder = world.respond(signer, "-nmin 5");
        let good = world.ask(&responder, 5).await;
        assert!(matches!(good, Status::Good { .. }), "{signer}: {good:?}");
        let revoked = world.ask(&responder, 7).await;
        assert!(matches!(revoked, Status::Revoked { reason: Some(1), .. }), "{signer}: {revoked:?}");
        let not_known = world.ask(&responder, 9).await;
        assert!(matches!(not_known, Status::Unknown { why: Doubt::NotKnown, .. }), "{signer}: {not_known:?}");
    }
}

#[tokio::test]
async fn openssl_as_someone_elses_responder_is_not_believed() {
    let world = World::new();
    for (signer, more, part) in [
        ("stranger", "-nmin 5", "did not make a responder"),
        ("client", "-nmin 5", "did not make a responder"),
        ("responder", "-nmin 5 -resp_no_certs", "not in it"),
    ] {
        let status = world.ask(&world.respond(signer, more), 5).await;
        let Status::Unknown { why: Doubt::NoAnswer(why), .. } = &status else {
            panic!("{signer}: {status:?}")
        };
        assert!(why.contains(part), "{signer}: {why}");
    }
    // Named by its key, and without an end.
    let status = world.ask(&world.respond("responder", "-resp_key_id"), 5).await;
    assert!(matches!(status, Status::Good { .. }), "{status:?}");
}
