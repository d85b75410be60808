//! As much of HTTP/1.1 as one page needs: a request is a head, read with `httparse`, and a body of a known length; a reply closes
//! its connection. What is larger, slower or of another kind is refused.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes of a request's head.
const HEAD: usize = 1 << 14;
/// Headers of a request.
const HEADERS: usize = 64;
/// Bytes of a request's body: an image of the largest size that anybody trains on.
pub(super) const BODY: usize = 1 << 24;
/// How long a client may take to send a request or to take a reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn ok(kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            kind,
            body: body.into(),
        }
    }

    /// Says in a sentence why there is nothing else.
    pub(super) fn refusal(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: text.into().into_bytes(),
        }
    }

    const fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            411 => "Length Required",
            413 => "Content Too Large",
            431 => "Request Header Fields Too Large",
            _ => "Internal Server Error",
        }
    }

    /// Writes the reply. Browsers are told to load nothing from elsewhere, to keep nothing, and to tell nobody the address.
    pub(super) fn write(&self, mut to: impl Write) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\n\
             Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\r\n",
            self.status,
            self.reason(),
            self.kind,
            self.body.len()
        );
        to.write_all(head.as_bytes())?;
        to.write_all(&self.body)?;
        to.flush()
    }
}

impl Head {
    /// The value of a header that is there once; `None` if it is not there, or more than once.
    pub(super) fn only(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(header, _)| header == name)
    }

    /// The head that `bytes` begin with, and its length; `None` if it goes on.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Reply> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < HEAD => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                let most = format!("A request has at most {HEAD} bytes and {HEADERS} headers.");
                return Err(Reply::refusal(431, most));
            }
            Err(error) => {
                let text = format!("This is not a request of HTTP/1.1: {error}.");
                return Err(Reply::refusal(400, text));
            }
        };
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let headers = request.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value);
            (header.name.to_ascii_lowercase(), value.into_owned())
        });
        let head = Self {
            method: text(request.method),
            path: text(request.path),
            headers: headers.collect(),
        };
        Ok(Some((head, length)))
    }

    /// Length of the body that follows.
    fn body_length(&self) -> Result<usize, Reply> {
        if self.has("transfer-encoding") {
            return Err(Reply::refusal(
                411,
                "A body must come with its length, not in chunks.",
            ));
        }
        if !self.has("content-length") {
            return Ok(0);
        }
        let length = self.only("content-length").filter(|length| {
            // Rust's numbers may have a sign.
            length.bytes().all(|byte| byte.is_ascii_digit())
        });
        match length.and_then(|length| length.parse().ok()) {
            Some(length) if length <= BODY => Ok(length),
            Some(_) => Err(Reply::refusal(
                413,
                format!("A body has at most {BODY} bytes."),
            )),
            None => Err(Reply::refusal(
                400,
                "The length of the body is not a number.",
            )),
        }
    }
}

/// Why there is no request to answer.
#[derive(Debug)]
pub(super) enum Unread {
    /// The client has gone, or sent nothing in time: browsers open connections that they may not need.
    Gone,
    /// It is answered with this.
    Refused(Reply),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Reply> for Unread {
    fn from(refusal: Reply) -> Self {
        Self::Refused(refusal)
    }
}

/// Reads a request, whose head `is_welcome` judges before the body is read.
pub(super) fn read(
    stream: &mut TcpStream,
    is_welcome: impl FnOnce(&Head) -> Result<(), Reply>,
) -> Result<(Head, Vec<u8>), Unread> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let start = Instant::now();
    let mut piece = [0; 1 << 14];
    let mut more = |bytes: &mut Vec<u8>| -> Result<(), Unread> {
        let left = PATIENCE.checked_sub(start.elapsed());
        let left = left.filter(|left| !left.is_zero()).ok_or(Unread::Gone)?;
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..count]);
        if count == 0 {
            return Err(Unread::Gone);
        }
        Ok(())
    };
    let mut bytes = Vec::new();
    let (head, length) = loop {
        more(&mut bytes)?;
        if let Some(head) = Head::parse(&bytes)? {
            break head;
        }
    };
    is_welcome(&head)?;
    let expected = head.body_length()?;
    let mut body = bytes.split_off(length);
    while body.len() < expected {
        more(&mut body)?;
    }
    body.truncate(expected);
    Ok((head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<(Head, usize)>, Reply> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = "GET /a HTTP/1.1\r\nHost: x\r\nCONTENT-length: 3\r\n\r\nabc";
        assert_eq!(parsed(&text[..30]), Ok(None));
        let (head, length) = parsed(text).expect("valid").expect("whole");
        assert_eq!((head.method.as_str(), head.path.as_str()), ("GET", "/a"));
        assert_eq!((head.only("host"), head.body_length()), (Some("x"), Ok(3)));
        assert_eq!(&text[length..], "abc");
    }

    #[test]
    fn what_is_no_request_or_too_large_is_refused() {
        let status = |text: &str| parsed(text).map_err(|refusal| refusal.status);
        assert_eq!(status("hello\r\n\r\n"), Err(400));
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(HEAD));
        assert_eq!(status(&long), Err(431));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1));
        assert_eq!(status(&many), Err(431));
        for (header, expected) in [
            (format!("Content-Length: {}", BODY + 1), 413),
            ("Content-Length: +3".into(), 400),
            ("Content-Length: 3\r\nContent-Length: 4".into(), 400),
            ("Transfer-Encoding: chunked".into(), 411),
        ] {
            let text = format!("POST / HTTP/1.1\r\n{header}\r\n\r\n");
            let (head, _) = parsed(&text).expect("valid").expect("whole");
            let refusal = head.body_length().map_err(|refusal| refusal.status);
            assert_eq!(refusal, Err(expected), "{header}");
        }
    }
}
