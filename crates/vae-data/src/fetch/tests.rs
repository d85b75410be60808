//! Downloads from good and bad local mirrors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::slice::from_ref;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::sets::{TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS};
use super::*;

type Log = Arc<Mutex<Vec<(String, Option<usize>)>>>;

/// A mirror that answers each request, given its path and the start of its range, with a complete response, and logs it.
fn mirror(answer: impl Fn(&str, Option<usize>) -> Vec<u8> + Send + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let log = Log::default();
    let requests = log.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let head: Vec<String> = BufReader::new(&stream)
                .lines()
                .map(|line| line.expect("text").to_lowercase())
                .take_while(|line| !line.is_empty())
                .collect();
            let path = head[0].split(' ').nth(1).expect("a path");
            let range = head.iter().find_map(|line| {
                let start = line.strip_prefix("range: bytes=")?.strip_suffix('-')?;
                Some(start.parse().expect("a number"))
            });
            (requests.lock().expect("unpoisoned")).push((path.to_owned(), range));
            // A client that refuses a response hangs up while it is written.
            let _ = stream.write_all(&answer(path, range));
        }
    });
    (base, log)
}

fn requests(log: &Log) -> usize {
    log.lock().expect("unpoisoned").len()
}

fn response(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    response("200 OK", body.len(), body)
}

fn not_found() -> Vec<u8> {
    response("404 Not Found", 0, &[])
}

fn content(stem: &str) -> Vec<u8> {
    stem.repeat(9).into_bytes()
}

/// What a correct mirror has at `/<stem>.gz`.
fn packed(path: &str) -> Vec<u8> {
    let stem = path.trim_start_matches('/').trim_end_matches(".gz");
    let mut gzip = Vec::new();
    flate2::read::GzEncoder::new(&content(stem)[..], flate2::Compression::fast())
        .read_to_end(&mut gzip)
        .expect("in memory");
    gzip
}

fn hex(bytes: &[u8]) -> &'static str {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.leak()
}

fn tiny() -> NamedSet {
    let plain = |stem| (stem, Sum::Plain(hex(&content(stem))));
    let published = (TEST_LABELS, Sum::Gzip(hex(&packed(TEST_LABELS))));
    NamedSet {
        name: "tiny",
        mirrors: &[],
        files: [
            plain(TRAIN_IMAGES),
            plain(TRAIN_LABELS),
            plain(TEST_IMAGES),
            published,
        ],
    }
}

fn complete(place: &Place, mirrors: &[String]) -> Result<(), DataError> {
    place.complete(&tiny(), mirrors, false, &|_| {})
}

fn is_whole(folder: &Path) -> bool {
    Place::cache(folder.to_owned())
        .complete(&tiny(), &[], true, &|_| {})
        .is_ok()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

fn empty() -> (tempfile::TempDir, Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place {
        patience: IMPATIENT,
        ..Place::cache(folder.path().join("tiny"))
    };
    (folder, place)
}

const IMPATIENT: Patience = Patience {
    connect: Duration::from_secs(20),
    stall: Duration::from_millis(300),
    whole: Duration::from_secs(20),
    pauses: [Duration::ZERO; 2],
};

#[test]
fn a_set_is_downloaded_once_and_every_byte_of_it_reported() {
    let (base, log) = mirror(|path, _| ok(&packed(path)));
    let (_folder, place) = empty();
    let seen = Mutex::new(Vec::new());
    let on_progress = |progress: Progress<'_>| {
        let entry = (progress.what.to_owned(), progress.done, progress.total);
        seen.lock().expect("unpoisoned").push(entry);
    };
    for _ in 0..2 {
        (place.complete(&tiny(), from_ref(&base), false, &on_progress)).expect("a right mirror");
    }
    let names = tiny().files.map(|(stem, _)| format!("{stem}.gz"));
    let mut sorted = names.to_vec();
    sorted.sort();
    assert_eq!(files(&place.folder), sorted);
    assert_eq!(requests(&log), 4);
    let seen = seen.into_inner().expect("unpoisoned");
    for name in names {
        let size = packed(&name).len() as u64;
        assert!(seen.contains(&(name.clone(), 0, Some(size))), "{name}");
        assert!(seen.contains(&(name.clone(), size, Some(size))), "{name}");
    }
}

#[test]
fn mirrors_are_tried_in_order_until_one_has_the_right_bytes() {
    let (missing, first) = mirror(|_, _| not_found());
    let (wrong, second) = mirror(|_, _| ok(&packed("another")));
    let (page, third) = mirror(|_, _| ok(b"<html>Welcome to this hotel</html>"));
    let (right, fourth) = mirror(|path, _| ok(&packed(path)));
    let (unused, fifth) = mirror(|path, _| ok(&packed(path)));
    let (_folder, place) = empty();
    complete(&place, &[missing, wrong, page, right, unused]).expect("one right mirror");
    assert!(is_whole(&place.folder));
    let requests = [first, second, third, fourth, fifth].map(|log| requests(&log));
    assert_eq!(requests, [4, 4, 4, 4, 0]);
}

#[test]
fn when_all_mirrors_fail_the_error_says_why_and_nothing_is_left() {
    let (missing, _) = mirror(|_, _| not_found());
    let (wrong, _) = mirror(|_, _| ok(&packed("another")));
    let (huge, _) = mirror(|_, _| response("200 OK", 1 << 40, b"endless"));
    let (_folder, place) = empty();
    let error = complete(&place, &[missing.clone(), wrong.clone(), huge.clone()]);
    let error = error.expect_err("no right mirror").to_string();
    let file = format!("{TRAIN_IMAGES}.gz");
    let (expected, found) = (hex(&content(TRAIN_IMAGES)), hex(&content("another")));
    assert_eq!(
        error,
        format!(
            "{file} of `tiny` cannot be downloaded:\
             \n  {missing}/{file}: HTTP status 404\
             \n  {wrong}/{file}: SHA-256 of the uncompressed bytes: expected {expected}, found {found}\
             \n  {huge}/{file}: more than 67108864 bytes\
             \nuse --data-dir FOLDER with the files in it, or set VAE_GPU_MIRROR to a mirror that has <name>/<file>"
        )
    );
    assert!(files(&place.folder).is_empty());
}

/// A download that breaks off after 20 bytes, and a second one from a mirror that responds to a range with `answer`.
fn broken_off(answer: impl Fn(&[u8], usize) -> Vec<u8> + Send + 'static) -> Vec<Option<usize>> {
    let (_folder, place) = empty();
    let (breaks, _) = mirror(|path, _| {
        let body = packed(path);
        response("200 OK", body.len(), &body[..20])
    });
    let error = complete(&place, &[breaks])
        .expect_err("broken off")
        .to_string();
    assert!(error.contains("broke off after 20 bytes"), "{error}");
    let part = format!("{TRAIN_IMAGES}.gz.part");
    assert_eq!(files(&place.folder), [part.as_str()]);
    assert_eq!(
        fs::read(place.folder.join(part)).expect("kept"),
        packed(TRAIN_IMAGES)[..20]
    );

    let (base, log) = mirror(move |path, range| match range {
        Some(start) => answer(&packed(path), start),
        None => ok(&packed(path)),
    });
    complete(&place, &[base]).expect("a right mirror");
    assert!(is_whole(&place.folder));
    assert_eq!(files(&place.folder).len(), 4);
    let log = log.lock().expect("unpoisoned");
    (log.iter().filter(|(path, _)| path.contains(TRAIN_IMAGES)))
        .map(|(_, range)| *range)
        .collect()
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_stopped() {
    let rest = |body: &[u8], start: usize| {
        response("206 Partial Content", body.len() - start, &body[start..])
    };
    assert_eq!(broken_off(rest), [Some(20)]);
}

#[test]
fn a_download_that_cannot_go_on_starts_over() {
    assert_eq!(broken_off(|body, _| ok(body)), [Some(20)]);
    let refused = |_: &[u8], _| response("416 Range Not Satisfiable", 0, &[]);
    assert_eq!(broken_off(refused), [Some(20), None]);
    let of_another_file = |_: &[u8], _| response("206 Partial Content", 4, b"rest");
    assert_eq!(broken_off(of_another_file), [Some(20), None]);
}

#[test]
fn a_wrong_file_in_the_cache_is_downloaded_anew() {
    let (base, log) = mirror(|path, _| ok(&packed(path)));
    let (_folder, place) = empty();
    complete(&place, from_ref(&base)).expect("a right mirror");
    fs::write(place.folder.join(format!("{TEST_IMAGES}.gz")), "wrong").expect("writable");
    fs::write(place.folder.join(TRAIN_LABELS), "wrong").expect("writable");
    assert!(!is_whole(&place.folder));
    complete(&place, &[base]).expect("a right mirror");
    assert!(is_whole(&place.folder));
    assert_eq!(files(&place.folder).len(), 4);
    assert_eq!(requests(&log), 6);
}

#[test]
fn the_users_files_are_found_in_either_folder_and_never_overwritten() {
    let data_dir = tempfile::tempdir().expect("a folder");
    let nested = Place::of_the_user(&tiny(), data_dir.path());
    assert_eq!(nested.folder, data_dir.path().join("tiny"));

    for (stem, sum) in tiny().files {
        match sum {
            Sum::Plain(_) => fs::write(data_dir.path().join(stem), content(stem)),
            Sum::Gzip(_) => fs::write(data_dir.path().join(format!("{stem}.gz")), packed(stem)),
        }
        .expect("writable");
    }
    let place = Place::of_the_user(&tiny(), data_dir.path());
    assert_eq!(place.folder, data_dir.path());
    complete(&place, &[]).expect("all there");

    let wrong = data_dir.path().join(TRAIN_LABELS);
    fs::write(&wrong, "mine").expect("writable");
    let (base, log) = mirror(|path, _| ok(&packed(path)));
    let error = complete(&place, &[base])
        .expect_err("a wrong file")
        .to_string();
    let start = format!(
        "{}: SHA-256 of the uncompressed bytes: expected ",
        wrong.display()
    );
    assert!(error.starts_with(&start), "{error}");
    assert!(
        error.contains(hex(b"mine")) && error.contains("left as it is"),
        "{error}"
    );
    assert_eq!(fs::read(&wrong).expect("still there"), b"mine");
    assert!(requests(&log) == 0);
}

#[test]
fn offline_the_folder_and_the_missing_files_are_named() {
    let (base, log) = mirror(|path, _| ok(&packed(path)));
    let (_folder, place) = empty();
    fs::create_dir(&place.folder).expect("writable");
    fs::write(place.folder.join(TRAIN_IMAGES), content(TRAIN_IMAGES)).expect("writable");
    let error = place.complete(&tiny(), &[base], true, &|_| {});
    let error = error.expect_err("offline").to_string();
    let folder = place.folder.display();
    let start = format!(
        "`tiny` is not whole in {folder}, and offline nothing is downloaded; missing or damaged: {TRAIN_LABELS}, \
         {TEST_IMAGES}, {TEST_LABELS}.gz ("
    );
    assert!(error.starts_with(&start), "{error}");
    assert!(requests(&log) == 0);
}

#[test]
fn two_that_download_at_once_download_once() {
    let (base, log) = mirror(|path, _| ok(&packed(path)));
    let (_folder, place) = empty();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| complete(&place, from_ref(&base)).expect("a right mirror"));
        }
    });
    assert!(is_whole(&place.folder));
    assert_eq!(requests(&log), 4);
}

#[test]
fn the_named_sets_have_sums_of_the_right_length() {
    assert!(NamedSet::names().eq(["mnist", "fashion-mnist", "kmnist"]));
    assert!(NamedSet::find("digits").is_none());
    for name in NamedSet::names() {
        let set = NamedSet::find(name).expect("a name");
        for (stem, sum) in set.files {
            assert_eq!(sum.hex().len(), 64, "{name} {stem}");
        }
        for mirror in set.mirrors {
            assert!(mirror.starts_with("https://"), "{mirror}");
        }
    }
}

#[test]
fn only_https_is_spoken_but_to_this_machine() {
    let agent = |url: &str| download::agent(url, IMPATIENT).map_err(|_| ());
    let is_https_only = |url| agent(url).map(|agent| agent.config().https_only());
    assert_eq!(is_https_only("https://mirror.example/mnist/a.gz"), Ok(true));
    assert_eq!(is_https_only("http://127.0.0.1:80/a.gz"), Ok(false));
    assert_eq!(is_https_only("http://localhost/a.gz"), Ok(false));
    for url in [
        "http://mirror.example/a.gz",
        "http://127.0.0.1.mirror.example/a.gz",
        "http://localhost@mirror.example/a.gz",
        "http://localhost:80@mirror.example/a.gz",
        "file:///etc/hostname",
        "",
    ] {
        assert_eq!(is_https_only(url), Err(()), "{url}");
    }
    let (_folder, place) = empty();
    let error = complete(&place, &["http://mirror.example".into()]).expect_err("no HTTPS");
    let error = error.to_string();
    assert!(
        error.contains("expected an address that begins with https://"),
        "{error}"
    );
}

#[test]
fn a_redirection_off_this_machine_is_not_followed() {
    let (right, log) = mirror(|path, _| ok(&packed(path)));
    let (base, _) = mirror(move |path, _| {
        let head = "HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\n";
        format!("{head}location: {right}{path}\r\n\r\n").into_bytes()
    });
    let (_folder, place) = empty();
    let error = complete(&place, &[base])
        .expect_err("redirected")
        .to_string();
    assert!(error.contains("HTTP status 302"), "{error}");
    assert_eq!(requests(&log), 0);
}

#[test]
fn what_may_pass_is_tried_again_and_goes_on_where_it_stopped() {
    // Busy, then broken off, then whole.
    let (base, log) = mirror({
        let count = Mutex::new(0);
        move |path, range| {
            let mut count = count.lock().expect("unpoisoned");
            *count += 1;
            let body = packed(path);
            match (*count, range) {
                (1, _) => response("503 Service Unavailable", 0, &[]),
                (2, _) => response("200 OK", body.len(), &body[..20]),
                (_, Some(start)) => {
                    response("206 Partial Content", body.len() - start, &body[start..])
                }
                (_, None) => ok(&body),
            }
        }
    });
    let (_folder, place) = empty();
    complete(&place, &[base]).expect("right in the end");
    assert!(is_whole(&place.folder));
    let log = log.lock().expect("unpoisoned");
    let ranges: Vec<_> = log.iter().map(|(_, range)| *range).collect();
    assert_eq!(ranges, [None, None, Some(20), None, None, None]);

    let (busy, log) = mirror(|_, _| response("429 Too Many Requests", 0, &[]));
    let (_folder, place) = empty();
    let error = complete(&place, &[busy]).expect_err("busy").to_string();
    assert!(error.contains("HTTP status 429 (tried 3 times)"), "{error}");
    assert_eq!(requests(&log), 3);
}

#[test]
fn a_mirror_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let (_folder, place) = empty();
    let error = complete(&place, &[base]).expect_err("silence").to_string();
    assert!(
        error.contains("timeout") && error.contains("tried 3 times"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn no_link_in_the_users_folder_is_written_through() {
    let (base, _) = mirror(|path, _| ok(&packed(path)));
    let (folder, place) = empty();
    let precious = folder.path().join("precious");
    fs::write(&precious, "untouched").expect("writable");
    fs::create_dir(&place.folder).expect("writable");
    for name in [".lock".to_owned(), format!("{TRAIN_IMAGES}.gz.part")] {
        std::os::unix::fs::symlink(&precious, place.folder.join(name)).expect("linked");
    }
    complete(&place, &[base]).expect("a right mirror");
    assert_eq!(fs::read(&precious).expect("there"), b"untouched");
    assert!(is_whole(&place.folder));
}

/// A download asks the proxy that the environment names.
#[test]
fn the_proxy_of_the_environment_is_asked() {
    // The environment belongs to the whole process, so the download is of a process of its own: this test once more.
    const CHILD: &str = "VAE_GPU_TEST_PROXY_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let (_folder, mut place) = empty();
        place.patience.pauses = [Duration::ZERO; 2];
        assert!(complete(&place, &["https://mirror.example".into()]).is_err());
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = format!("http://{}", listener.local_addr().expect("bound"));
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = String::new();
        BufReader::new(&stream).read_line(&mut first).expect("text");
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        first
    });
    let program = std::env::current_exe().expect("this program");
    let mut child = std::process::Command::new(program);
    child
        .args([
            "--exact",
            "fetch::tests::the_proxy_of_the_environment_is_asked",
        ])
        .env(CHILD, "1");
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        child.env_remove(name).env_remove(name.to_lowercase());
    }
    let done = child.env("HTTPS_PROXY", proxy).output().expect("started");
    assert!(done.status.success(), "{done:?}");
    let first = asked.join().expect("a request");
    assert_eq!(first.trim(), "CONNECT mirror.example:443 HTTP/1.1");
}
