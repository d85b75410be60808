//! A Chromium without a window, driven through its debugging protocol: JSON messages over two pipes, so neither Node nor a socket
//! is needed. <https://chromedevtools.github.io/devtools-protocol/>

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take that a page does; on a machine that does nothing else it takes less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The browser that `VAE_GPU_CHROMIUM` names, or `None` with a visible skip.
pub(crate) fn chromium() -> Option<OsString> {
    let browser = env::var_os("VAE_GPU_CHROMIUM");
    if browser.is_none() {
        eprintln!("skipped: VAE_GPU_CHROMIUM names no browser");
    }
    browser
}

/// What a page decodes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gpu {
    /// WebGPU on the browser's own software adapter.
    Software,
    /// No WebGPU.
    None,
}

/// A page in a browser of its own, which ends with it.
pub(crate) struct Page {
    browser: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Value,
    last: u64,
    /// Messages of the console and exceptions that nobody caught.
    troubles: Vec<String>,
    /// The end of the last download, if one has ended.
    has_downloaded: bool,
    downloads: TempDir,
    _profile: TempDir,
}

impl Page {
    /// Opens `address` in a window of 1280 x 800.
    pub(crate) fn open(browser: &OsString, address: &str, gpu: Gpu) -> Self {
        let folder = || tempfile::tempdir().expect("a temporary folder");
        let (profile, downloads) = (folder(), folder());
        // The protocol's pipes are files 3 and 4, which `Command` cannot name; a shell can.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(browser)
            .args(["--headless", "--no-sandbox", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()));
        if gpu == Gpu::Software {
            command.args(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]);
        }
        let mut browser = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let to = browser.stdin.take().expect("piped");
        let mut output = BufReader::new(browser.stdout.take().expect("piped"));
        let (sender, from) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output
                .read_until(0, &mut message)
                .is_ok_and(|read| read > 0)
            {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else {
                    return;
                };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut page = Self {
            browser,
            to,
            from,
            session: Value::Null,
            last: 0,
            troubles: Vec::new(),
            has_downloaded: false,
            downloads,
            _profile: profile,
        };
        page.start(address);
        page
    }

    fn start(&mut self, address: &str) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        self.session = self.call("Target.attachToTarget", &attach)["sessionId"].clone();
        for domain in ["Runtime", "Page", "Log"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        let size = json!({ "width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let folder = self.downloads.path().display().to_string();
        let downloads =
            json!({ "behavior": "allow", "downloadPath": folder, "eventsEnabled": true });
        self.call("Browser.setDownloadBehavior", &downloads);
        self.go_to(address);
    }

    /// Shows another page of `explore` and waits until it has decoded something.
    pub(crate) fn go_to(&mut self, address: &str) {
        self.call("Page.navigate", &json!({ "url": address }));
        self.wait_for("globalThis.explorer !== undefined && explorer.decodes > 0");
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let reply = self.ask(method, parameters);
        assert_eq!(reply["error"], Value::Null, "{method}");
        reply["result"].clone()
    }

    /// The whole reply to a call.
    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let bytes = format!("{message}\0");
        let written = self.to.write_all(bytes.as_bytes());
        written.expect("a browser that runs");
        let end = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(end, method);
            if message["id"] == self.last {
                return message;
            }
        }
    }

    /// The next message, of which troubles and downloads are noted.
    fn receive(&mut self, end: Instant, what: &str) -> Value {
        let left = end.saturating_duration_since(Instant::now());
        let message = self.from.recv_timeout(left);
        let message = message.unwrap_or_else(|error| panic!("{what}: {error}"));
        let parameters = &message["params"];
        match message["method"].as_str() {
            // That there is no GPU is what a page without one is for.
            Some("Log.entryAdded") if parameters["entry"]["text"] == "No available adapters." => {}
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => {
                self.troubles.push(parameters.to_string());
            }
            Some("Runtime.consoleAPICalled") if parameters["type"] != "log" => {
                self.troubles.push(parameters.to_string());
            }
            Some("Browser.downloadProgress") if parameters["state"] == "completed" => {
                self.has_downloaded = true;
            }
            _ => {}
        }
        message
    }

    /// The value of an expression of JavaScript, or of what it promises.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", &evaluation(expression));
        let failure = &result["exceptionDetails"];
        assert_eq!(failure, &Value::Null, "{expression}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let looked = format!(
            "new Promise((resolve) => {{
                const end = performance.now() + {};
                const look = () => {{
                    if ({expression}) resolve(true);
                    else if (performance.now() > end) resolve(false);
                    else setTimeout(look, 10);
                }};
                look();
            }})",
            PATIENCE.as_millis() / 2
        );
        let end = Instant::now() + PATIENCE;
        loop {
            let reply = self.ask("Runtime.evaluate", &evaluation(&looked));
            if reply["result"]["result"]["value"] == true {
                return;
            }
            // A page that is left for another takes what it promised along: then the other is asked.
            let is_left = reply["error"] != Value::Null && Instant::now() < end;
            assert!(is_left, "{expression}: {reply}\n{:#?}", self.troubles);
        }
    }

    /// Presses the mouse at the first of `places` in the plane, moves it over the others, and releases it.
    pub(crate) fn drag(&mut self, places: &[[f64; 2]]) {
        let corner = self.value(
            "(() => { const { left, top } = document.getElementById('overlay').getBoundingClientRect(); return [left, top]; })()",
        );
        let corner = [0, 1].map(|axis| corner[axis].as_f64().expect("a number"));
        let mut event = |kind: &str, place: &[f64; 2]| {
            let parameters = json!({
                "type": kind, "x": corner[0] + place[0], "y": corner[1] + place[1],
                "button": "left", "buttons": i32::from(kind != "mouseReleased"), "clickCount": 1
            });
            self.call("Input.dispatchMouseEvent", &parameters);
        };
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return;
        };
        event("mousePressed", first);
        places[1..]
            .iter()
            .for_each(|place| event("mouseMoved", place));
        event("mouseReleased", last);
    }

    /// Presses a key in the plane.
    pub(crate) fn press(&mut self, key: &str) {
        self.value("document.getElementById('overlay').focus()");
        for kind in ["rawKeyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                &json!({ "type": kind, "key": key }),
            );
        }
    }

    /// Waits for a download and gives its text.
    pub(crate) fn downloaded(&mut self, name: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while !self.has_downloaded {
            self.receive(end, name);
        }
        self.has_downloaded = false;
        std::fs::read_to_string(self.downloads.path().join(name)).expect("downloaded")
    }

    /// Gives a file to the element `id`, as a user who chooses it does.
    pub(crate) fn choose_file(&mut self, id: &str, file: &Path) {
        let document = self.call("DOM.getDocument", &json!({}));
        let query = json!({ "nodeId": document["root"]["nodeId"], "selector": format!("#{id}") });
        let found = self.call("DOM.querySelector", &query);
        let parameters =
            json!({ "files": [file.display().to_string()], "nodeId": found["nodeId"] });
        self.call("DOM.setFileInputFiles", &parameters);
    }

    /// Fails if the page complained about anything.
    pub(crate) fn assert_quiet(&mut self) {
        assert_eq!(
            self.value("document.getElementById('trouble').hidden"),
            true
        );
        assert!(self.troubles.is_empty(), "{:#?}", self.troubles);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

fn evaluation(expression: &str) -> Value {
    json!({ "expression": expression, "awaitPromise": true, "returnByValue": true })
}
