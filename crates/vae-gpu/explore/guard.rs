//! Who may ask: whoever knows the token in the address, of the page itself. Other pages that the same browser shows may send
//! requests to this machine, and a name of theirs may be made to point to it (DNS rebinding); so host and origin are checked.

use anyhow::{Context, Result};

use super::http::{Head, Reply};

/// What a request is checked against.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    token: String,
    hosts: [String; 2],
}

impl Guard {
    /// With a new token of 128 bits.
    pub(super) fn new(port: u16) -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
        Ok(Self::with_token(
            bytes.map(|byte| format!("{byte:02x}")).concat(),
            port,
        ))
    }

    fn with_token(token: String, port: u16) -> Self {
        Self {
            token,
            hosts: ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}")),
        }
    }

    /// The address of the page.
    pub(super) fn address(&self) -> String {
        format!("http://{}/{}/", self.hosts[0], self.token)
    }

    /// The part of a path behind the token; `None` if the token is another.
    pub(super) fn behind_token<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (token, rest) = path.strip_prefix('/')?.split_once('/')?;
        is_same(token.as_bytes(), self.token.as_bytes()).then_some(rest)
    }

    /// Refuses a request that does not come from the page.
    pub(super) fn check(&self, head: &Head) -> Result<(), Reply> {
        let is_ours = |host: &str| self.hosts.iter().any(|ours| ours == host);
        if !head.only("host").is_some_and(is_ours) {
            return Err(Reply::refusal(
                403,
                "This server answers to its own address alone.",
            ));
        }
        let is_ours = |origin: &str| origin.strip_prefix("http://").is_some_and(is_ours);
        if head.has("origin") && !head.only("origin").is_some_and(is_ours) {
            return Err(Reply::refusal(403, "Other pages may not ask this server."));
        }
        if self.behind_token(&head.path).is_none() {
            return Err(Reply::refusal(
                403,
                "The address lacks its token: open the whole address that vae-gpu explore printed.",
            ));
        }
        Ok(())
    }
}

/// Whether two texts are the same, in a time that does not depend on where they differ.
fn is_same(found: &[u8], expected: &[u8]) -> bool {
    let pairs = found.iter().zip(expected);
    let differences = pairs.fold(0, |differences, (a, b)| differences | (a ^ b));
    found.len() == expected.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole() {
        let guard = Guard::with_token("abc".into(), 80);
        assert_eq!(guard.address(), "http://127.0.0.1:80/abc/");
        assert_eq!(guard.behind_token("/abc/points"), Some("points"));
        assert_eq!(guard.behind_token("/abc/"), Some(""));
        for wrong in [
            "", "/", "/abc", "/ab/", "/abd/", "/abcd/", "//abc/", "abc/", "/ABC/",
        ] {
            assert_eq!(guard.behind_token(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_server_has_a_token_of_its_own() {
        let [one, other] = [(); 2].map(|()| Guard::new(80).expect("random numbers").token);
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
