//! Where the service listens: openly only on purpose, by TLS, on a Unix socket.
//!
//! What it is not: what requests may do.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::http_service::{PROMPT, Prepared};
use harness::running::{Ended, run};
use harness::{Lab, lab};

/// A service that has to end by itself.
fn refused(place: &Prepared<'_>, extra: &str) -> Result<Ended> {
    run(&mut place.mantlet(extra, &["serve"])?, PROMPT)
}

/// An authority, a certificate of the service and one of a client, below `dir`.
fn certificates(dir: &Path) -> Result<()> {
    let script = "
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=ca -keyout ca.key -out ca.pem
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=stranger -keyout stranger.key -out stranger.pem
        for name in service client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                -subj /CN=$name -keyout $name.key -out $name.csr
            printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' >$name.ext
            openssl x509 -req -days 2 -in $name.csr -CA ca.pem -CAkey ca.key \
                -CAcreateserial -extfile $name.ext -out $name.pem
        done
        chmod 600 *.key";
    let mut shell = Command::new("sh");
    run(shell.args(["-ec", script]).current_dir(dir), PROMPT)?.expect_code(0)?;
    Ok(())
}

fn tls(dir: &Path, more: &str) -> String {
    let dir = dir.display();
    format!(
        "[server]\ntls_certificate = \"{dir}/service.pem\"\ntls_key = \"{dir}/service.key\"\n{more}"
    )
}

#[test]
fn an_open_address_is_refused_until_somebody_made_a_token() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    for host in ["0.0.0.0", "::", "10.66.0.2"] {
        let place = Prepared::inside(&lab)?;
        let open = format!("[server]\nhost = \"{host}\"\n");
        let ended = refused(&place, &open)?.expect_code(2)?;
        ensure!(ended.stderr.contains("mantlet token create"), "{ended:?}");
        ensure!(
            !place.state().join("admin-token").exists(),
            "no token was made"
        );
        let expired = ["create", "a", "--role", "read", "--expires", "1m"];
        place.token(&expired)?;
        let file = place.state().join("tokens.toml");
        let text = fs::read_to_string(&file)?;
        let line = text.lines().find(|line| line.starts_with("expires"));
        let over = text.replace(
            line.context("expires")?,
            "expires = \"2001-01-01T00:00:00Z\"",
        );
        fs::write(&file, over)?;
        refused(&place, &open)?.expect_code(2)?;
        place.token(&["create", "b", "--role", "read"])?;
        let service = place.start(&open)?;
        let log = service.log();
        ensure!(log.contains("plain text"), "{log}");
        ensure!(!service.place.state().join("admin-token").exists());
    }
    let place = Prepared::inside(&lab)?;
    certificates(place.dir())?;
    let ca = format!(
        "tls_client_ca = \"{}/ca.pem\"\nhost = \"{}\"\n",
        place.dir().display(),
        lab::CLIENT
    );
    let text = tls(place.dir(), &ca);
    let service = place.start(&text)?;
    ensure!(
        service.url.starts_with("https://10.66.0.2:"),
        "{}",
        service.url
    );
    Ok(())
}

#[test]
fn tls_is_spoken_and_nothing_else() -> Result<()> {
    let place = Prepared::new()?;
    certificates(place.dir())?;
    let text = tls(place.dir(), "");
    let service = place.start(&text)?;
    let ca = service.place.dir().join("ca.pem").display().to_string();
    let admin = service.admin()?;
    service
        .curl(Some(&admin), &["--cacert", &ca], "/nothing")?
        .expect(404)?;
    service
        .curl(None, &["--cacert", &ca], "/livez")?
        .expect(200)?;
    let plain = service.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    ensure!(!plain.contains("200"), "{plain:?}");
    let address = service.address()?.to_string();
    for (version, spoken) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &address, "-CAfile", &ca, version]);
        openssl
            .args(["-verify_return_error", "-brief"])
            .stdin(std::process::Stdio::null());
        let ended = run(&mut openssl, PROMPT)?;
        ensure!((ended.code == 0) == spoken, "{version}: {ended:?}");
    }
    Ok(())
}

#[test]
fn clients_show_certificates_where_they_are_asked_for() -> Result<()> {
    for (role, alone) in [("none", 401), ("read", 403), ("admin", 404)] {
        let place = Prepared::new()?;
        certificates(place.dir())?;
        let ca = place.dir().join("ca.pem").display().to_string();
        let more = format!("tls_client_ca = \"{ca}\"\n[access]\ncertificate_role = \"{role}\"\n");
        let text = tls(place.dir(), &more);
        let service = place.start(&text)?;
        let dir = service.place.dir().display().to_string();
        let (cert, key) = (format!("{dir}/client.pem"), format!("{dir}/client.key"));
        let shown = [
            "--cacert",
            &ca,
            "--cert",
            &cert,
            "--key",
            &key,
            "--request",
            "POST",
        ];
        // An administrator's, about a tool that isn't there.
        let path = "/tools/none/disable";
        service.curl(None, &shown, path)?.expect(alone)?;
        let admin = service.admin()?;
        service.curl(Some(&admin), &shown, path)?.expect(404)?;
        service.curl(Some("garbage"), &shown, path)?.expect(401)?;
        let none = service.curl(Some(&admin), &["--cacert", &ca], path);
        ensure!(none.is_err(), "without a certificate: {none:?}");
        let (cert, key) = (format!("{dir}/stranger.pem"), format!("{dir}/stranger.key"));
        let strange = ["--cacert", &ca, "--cert", &cert, "--key", &key];
        let none = service.curl(Some(&admin), &strange, "/livez");
        ensure!(none.is_err(), "with a stranger's certificate: {none:?}");
    }
    Ok(())
}

#[test]
fn files_of_tls_that_cannot_be_used_are_named() -> Result<()> {
    let place = Prepared::new()?;
    certificates(place.dir())?;
    let dir = place.dir().to_owned();
    let text = tls(&dir, "");
    for mode in [0o640, 0o604] {
        fs::set_permissions(dir.join("service.key"), Permissions::from_mode(mode))?;
        let ended = refused(&place, &text)?.expect_code(2)?;
        ensure!(ended.stderr.contains("chmod 600"), "{ended:?}");
    }
    fs::set_permissions(dir.join("service.key"), Permissions::from_mode(0o600))?;
    let cases = [
        ("service.pem", "nonsense", "no certificate"),
        ("service.key", "nonsense", "no private key"),
    ];
    for (name, text_of, expected) in cases {
        let kept = fs::read(dir.join(name))?;
        fs::write(dir.join(name), text_of)?;
        let ended = refused(&place, &text)?.expect_code(2)?;
        ensure!(ended.stderr.contains(expected), "{ended:?}");
        ensure!(ended.stderr.contains(name), "{ended:?}");
        fs::write(dir.join(name), kept)?;
    }
    fs::copy(dir.join("client.key"), dir.join("service.key"))?;
    refused(&place, &text)?.expect_code(2)?;
    Ok(())
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_the_service() -> Result<()> {
    let place = Prepared::new()?;
    let path = place.dir().join("tmp/m.sock");
    let text = format!(
        "[server]\nsocket = \"{}\"\nsocket_mode = \"0600\"\n",
        path.display()
    );
    fs::write(&path, "precious")?;
    let ended = refused(&place, &text)?.expect_code(1)?;
    ensure!(ended.stderr.contains("no socket"), "{ended:?}");
    ensure!(fs::read_to_string(&path)? == "precious");
    fs::remove_file(&path)?;
    let other = UnixListener::bind(&path)?;
    let ended = refused(&place, &text)?.expect_code(1)?;
    ensure!(ended.stderr.contains("another process"), "{ended:?}");
    // Nobody listens on it any more, and its file is still there.
    drop(other);
    let service = place.start(&text)?;
    let facts = fs::metadata(&path)?;
    ensure!(facts.mode() & 0o7777 == 0o600, "{:o}", facts.mode());
    let admin = service.admin()?;
    service.curl(None, &[], "/nothing")?.expect(401)?;
    service
        .curl(Some(&admin), &["--header", "Host: any"], "/nothing")?
        .expect(404)?;
    let ended = service.stop(Duration::from_secs(5))?.expect_code(0)?;
    ensure!(!path.exists(), "{ended:?}");
    Ok(())
}

#[test]
fn an_address_in_use_is_said() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let place = Prepared::new()?;
    let ended = refused(&place, &format!("[server]\nport = {port}\n"))?.expect_code(1)?;
    ensure!(ended.stderr.contains(&port.to_string()), "{ended:?}");
    Ok(())
}
