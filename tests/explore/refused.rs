//! Who is answered and what is refused, byte by byte, without a browser.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use vae_infer::read_latents;

use super::Explore;
use crate::common::distance;
use crate::common::playground::{done, playground, shell};
use crate::common::program::vae_gpu;

#[test]
fn only_the_page_itself_is_answered() {
    let place = playground();
    let explore = Explore::start(place.path(), &["runs/digits-1"]);
    let (host, root) = (explore.host(), explore.root());
    let port = host.split(':').nth(1).expect("a port");
    let get = |path: &str, headers: &str| {
        let (status, head, body) =
            explore.reply(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes());
        (status, head, String::from_utf8_lossy(&body).into_owned())
    };
    let ours = format!("Host: {host}\r\n");

    let (status, head, body) = get(root, &ours);
    assert_eq!(status, 200);
    assert!(body.contains("<title>Latent space</title>"), "{body}");
    for header in [
        "Content-Security-Policy: default-src 'none'; script-src 'self';",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
    ] {
        assert!(head.contains(header), "{head}");
    }
    let allowed = format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n");
    assert_eq!(get(root, &allowed).0, 200);

    let token = root.trim_matches('/');
    let last = if token.ends_with('0') { '1' } else { '0' };
    let other_token = format!("/{}{last}/", &token[..token.len() - 1]);
    for path in [
        "/",
        "/explore.js",
        "/model.json",
        &other_token,
        "//",
        &format!("/{}/", token.to_uppercase() + "0"),
    ] {
        let (status, _, body) = get(path, &ours);
        assert_eq!(status, 403, "{path}");
        assert!(body.contains("lacks its token"), "{path}: {body}");
    }
    for headers in [
        String::new(),
        format!("Host: example.org:{port}\r\n"),
        "Host: 127.0.0.1\r\n".into(),
        format!("Host: 127.0.0.1.example.org:{port}\r\n"),
        format!("{ours}{ours}"),
    ] {
        let (status, _, body) = get(root, &headers);
        assert_eq!(status, 403, "{headers}");
        assert!(body.contains("its own address"), "{headers}: {body}");
    }
    for origin in [
        "https://example.org",
        "null",
        &format!("https://{host}"),
        &format!("http://127.0.0.1:{}", 1),
        &format!("http://{host}.example.org"),
    ] {
        let (status, _, body) = get(root, &format!("{ours}Origin: {origin}\r\n"));
        assert_eq!(status, 403, "{origin}");
        assert!(body.contains("Other pages"), "{origin}: {body}");
    }
    for path in [
        "../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "config.toml",
        "model.json?x",
        "./",
    ] {
        assert_eq!(get(&format!("{root}{path}"), &ours).0, 404, "{path}");
    }
}

#[test]
fn bodies_that_are_too_large_or_senseless_are_refused_and_the_server_goes_on() {
    let place = playground();
    let explore = Explore::start(place.path(), &["runs/digits-1"]);
    let request = |rest: &str| {
        let head = format!(
            "POST {}decode HTTP/1.1\r\nHost: {}\r\n",
            explore.root(),
            explore.host()
        );
        explore.reply(format!("{head}{rest}").as_bytes()).0
    };
    // Refused by what it says of itself, before it is sent.
    assert_eq!(request("Content-Length: 16777217\r\n\r\n"), 413);
    assert_eq!(request("Content-Length: 99999999999999999999\r\n\r\n"), 400);
    assert_eq!(request("Content-Length: -1\r\n\r\n"), 400);
    assert_eq!(request("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 411);
    assert_eq!(request(&format!("X: {}\r\n\r\n", "a".repeat(20_000))), 431);
    assert_eq!(explore.reply(b"\x16\x03\x01\x02hello\r\n\r\n").0, 400);

    let floats = |class: i32, z: &[f32]| -> Vec<u8> {
        let z = z.iter().flat_map(|z| z.to_le_bytes());
        class.to_le_bytes().into_iter().chain(z).collect()
    };
    for (method, path, body, status, complaint) in [
        (
            "GET",
            "decode",
            Vec::new(),
            405,
            "not asked for in this way",
        ),
        ("DELETE", "points", Vec::new(), 405, "not asked for"),
        ("POST", "decode", Vec::new(), 400, "a class in 4 bytes"),
        (
            "POST",
            "decode",
            floats(-1, &[]),
            400,
            "vectors of 2 numbers, found 0",
        ),
        (
            "POST",
            "decode",
            floats(-1, &[0.0; 3]),
            400,
            "found 3 numbers",
        ),
        (
            "POST",
            "decode",
            floats(-1, &[0.0; 2002]),
            400,
            "1 to 1000 vectors",
        ),
        (
            "POST",
            "decode",
            floats(-1, &[f32::NAN, 0.0]),
            400,
            "finite numbers",
        ),
        (
            "POST",
            "decode",
            floats(3, &[0.0; 2]),
            400,
            "takes no labels",
        ),
        (
            "POST",
            "decode",
            vec![255; 7],
            400,
            "numbers of 4 bytes each",
        ),
        (
            "POST",
            "images",
            1000u32.to_le_bytes().to_vec(),
            400,
            "below 1000, found 1000",
        ),
        ("POST", "images", vec![0; 4004], 400, "at most 1000 samples"),
        (
            "POST",
            "reconstruct",
            floats(-1, &[1.0]),
            400,
            "the 784 bytes of an image of 28 x 28, found 4",
        ),
    ] {
        let (found, said) = explore.ask(method, path, &body);
        let said = String::from_utf8_lossy(&said);
        assert_eq!(found, status, "{path}: {said}");
        assert!(said.contains(complaint), "{path}: {said}");
    }
    assert_eq!(explore.ask("GET", "", b"").0, 200);
}

#[test]
fn the_server_decodes_and_reconstructs_as_the_commands_do() {
    let place = playground();
    let explore = Explore::start(place.path(), &["runs/digits-1", "--count", "300"]);
    let numbers = |bytes: &[u8]| -> Vec<f32> {
        let words = bytes.as_chunks().0.iter();
        words.map(|&word| f32::from_le_bytes(word)).collect()
    };
    let (_, json) = explore.ask("GET", "model.json", b"");
    let model: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(model["count"], 300);
    // Evenly spread over the thousand validation samples, whose ids are their rows.
    let command = "vae-gpu encode runs/digits-1 --backend cpu --out all.npz";
    done(command, &shell(command, place.path()));
    let all = read_latents(&place.path().join("all.npz"), 2).expect("latents");
    let (_, points) = explore.ask("GET", "points", b"");
    let points = numbers(&points);
    assert_eq!(points.len(), 300 * (3 + 2 * 2));
    let mu = &points[3 * 300..][..600];
    // Small products add up in another order than large ones.
    let near = |found: &[f32], expected: &[f32]| distance(found, expected, |_| 1e-4) < 1.0;
    assert!(near(&mu[2 * 299..], &all[2 * (299 * 1000 / 300)..][..2]));

    let z = fs::read_to_string(place.path().join("latents.csv")).expect("written");
    assert!(z.starts_with("id,label,mu_1"), "{z}");
    let command = "vae-gpu decode runs/digits-1 latents.csv --backend cpu --out decoded.npy";
    done(command, &shell(command, place.path()));
    let decoded = fs::read(place.path().join("decoded.npy")).expect("written");
    let expected = numbers(&decoded[decoded.len() - 1000 * 784 * 4..]);
    let body = [
        &(-1i32).to_le_bytes()[..],
        &all[..20]
            .iter()
            .flat_map(|z| z.to_le_bytes())
            .collect::<Vec<u8>>(),
    ]
    .concat();
    let (status, found) = explore.ask("POST", "decode", &body);
    assert_eq!(status, 200);
    assert!(near(&numbers(&found), &expected[..10 * 784]));

    // The bytes of the first sample as a file of the user's come back with the sample's own posterior.
    let (_, first) = explore.ask("POST", "images", &0u32.to_le_bytes());
    assert_eq!(first.len(), 784);
    let body = [&(-1i32).to_le_bytes()[..], &first].concat();
    let (status, found) = explore.ask("POST", "reconstruct", &body);
    let found = numbers(&found);
    assert_eq!((status, found.len()), (200, 2 * 2 + 2 + 2 * 784));
    assert!(near(&found[..2], &all[..2]));
    assert!(near(&found[found.len() - 784..], &expected[..784]));
}

#[test]
fn a_server_that_nobody_asks_ends_if_it_was_told_to() {
    let place = playground();
    let start = Instant::now();
    let command = "vae-gpu explore runs/table-1 --until-idle 1";
    let said = done(command, &shell(command, place.path()));
    assert!(said.contains("http://127.0.0.1:"), "{said}");
    assert!(start.elapsed() > Duration::from_secs(1));
}

#[test]
fn what_cannot_be_explored_is_refused_with_what_to_do() {
    let place = playground();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let file = place.path().join("vae.toml");
    let before = fs::read(&file).expect("there");
    for (arguments, complaint) in [
        (&["runs/nowhere"][..], "not a trained model"),
        (
            &[
                "runs/digits-1",
                "--data",
                "photos",
                "--size",
                "64x64",
                "--fit",
                "crop",
            ],
            "expected samples of 28 x 28",
        ),
        (
            &["runs/digits-1", "--port", &port],
            "cannot be listened on; choose another",
        ),
        (
            &["runs/digits-1", "--export", "vae.toml"],
            "is there already; choose another --export",
        ),
        (&["runs/digits-1", "--export", "photos"], "not empty"),
        (
            &["runs/digits-1", "--export", "vae.toml/page.html"],
            "cannot be written",
        ),
        (&["runs/digits-1", "--label", "3"], "--conditional"),
    ] {
        vae_gpu(
            &["explore", "--until-idle", "1"][..if arguments.contains(&"--export") {
                1
            } else {
                3
            }],
        )
        .args(arguments)
        .current_dir(place.path())
        .assert()
        .code(1)
        .stderr(predicates::str::contains(complaint));
    }
    assert_eq!(fs::read(&file).expect("there"), before);
    for wrong in [
        &["--port", "65536"][..],
        &["--count", "0"],
        &["--export", "x.html", "--port", "80"],
    ] {
        vae_gpu(&["explore", "runs/digits-1"])
            .args(wrong)
            .current_dir(place.path())
            .assert()
            .code(2);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_page() {
    let place = playground();
    let mut explore = Explore::start(place.path(), &["runs/table-1"]);
    let id = explore.program.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("a program").success());
    let status = explore.program.wait().expect("ended");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(2)
    );
}
