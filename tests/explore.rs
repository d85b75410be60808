//! The page that `explore` serves and the one that it freezes: who is answered, and what a user does with them in Chromium.

mod frozen;
mod pages;
mod refused;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `vae-gpu explore` at work, which ends with it.
struct Explore {
    program: Child,
    /// `http://127.0.0.1:<port>/<token>/`
    address: String,
}

impl Explore {
    /// Serves a run, with these further options, from the folder `place`.
    fn start(place: &Path, options: &[&str]) -> Self {
        let mut program = Command::new(assert_cmd::cargo::cargo_bin!("vae-gpu"))
            .arg("explore")
            .args(options)
            // It ends by itself if this test cannot end it.
            .args(["--backend", "cpu", "--until-idle", "120"])
            .current_dir(place)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut address = String::new();
        let output = program.stdout.take().expect("piped");
        let read = BufReader::new(output).read_line(&mut address);
        read.expect("a line");
        let address = address.trim_end().to_owned();
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        Self { program, address }
    }

    /// `127.0.0.1:<port>`
    fn host(&self) -> &str {
        self.address.split('/').nth(2).expect("a host")
    }

    /// `/<token>/`
    fn root(&self) -> &str {
        self.address
            .trim_start_matches("http://")
            .trim_start_matches(self.host())
    }

    /// The status and the body of the reply to bytes.
    fn reply(&self, request: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.host()).expect("a server");
        stream.write_all(request).expect("sent");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).expect("a reply");
        let end = reply.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.expect("a head") + 4;
        let head = String::from_utf8_lossy(&reply[..end]).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.expect("a status"), head, reply.split_off(end))
    }

    /// The same to a request of the page itself.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            self.root(),
            self.host(),
            body.len()
        );
        let (status, _, body) = self.reply(&[head.as_bytes(), body].concat());
        (status, body)
    }
}

impl Drop for Explore {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
