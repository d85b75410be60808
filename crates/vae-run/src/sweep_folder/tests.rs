//! Claims on runs, and folders of other sweeps.

use super::*;

fn sweep(text: &str) -> Sweep {
    Sweep::parse(text, Path::new("s.toml")).expect("valid")
}

fn small() -> Sweep {
    sweep("seeds = 2\n[grid]\nlatent = [2]\n")
}

const RUN: &str = "latent=2,seed=0";

#[test]
fn a_run_is_claimed_once_and_never_again_when_it_has_ended() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("sweep");
    let [one, other] = [(); 2].map(|()| SweepFolder::open(&path, &small()).expect("new"));
    assert_eq!(one.progress(RUN).expect("readable"), RunProgress::Free);
    let claim = one.claim(RUN, None).expect("writable").expect("free");
    assert!(other.claim(RUN, None).expect("writable").is_none());
    assert_eq!(other.progress(RUN).expect("readable"), RunProgress::InWork);
    // A process that dies leaves it free.
    drop(claim);
    assert_eq!(one.progress(RUN).expect("readable"), RunProgress::Free);
    let claim = other.claim(RUN, None).expect("writable").expect("free");
    claim.finish().expect("writable");
    assert_eq!(one.progress(RUN).expect("readable"), RunProgress::Finished);
    assert!(one.claim(RUN, None).expect("writable").is_none());
    // What was being written when a process died is no end.
    fs::write(path.join(RUN).join(CLAIM), "\"finis").expect("writable");
    assert_eq!(one.progress(RUN).expect("readable"), RunProgress::Free);
}

#[test]
fn a_failed_run_is_tried_again_by_the_first_that_asks() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let folder = SweepFolder::open(&parent.path().join("s"), &small()).expect("new");
    let fail = |retried| {
        let claim = folder.claim(RUN, retried).expect("writable").expect("free");
        claim.fail("no memory".into()).expect("writable");
    };
    let failure = || match folder.progress(RUN).expect("readable") {
        RunProgress::Failed(failure) => failure,
        other => panic!("{other:?}"),
    };
    fail(None);
    let first = failure();
    assert_eq!(first.reason, "no memory");
    assert!(folder.claim(RUN, None).expect("writable").is_none());
    fail(Some(&first));
    // It failed again for the same reason, which is no longer the failure that was seen.
    assert!(folder.claim(RUN, Some(&first)).expect("writable").is_none());
}

#[test]
fn a_folder_takes_more_points_and_no_other_sweep() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("s");
    let open = |sweep: &Sweep| SweepFolder::open(&path, sweep).map_err(|error| error.to_string());
    assert!(SweepFolder::look(&path, &small()).expect("fine").is_none());
    open(&small()).expect("new");
    let more = sweep("seeds = 3\n[grid]\nlatent = [2, 4]\n");
    open(&more).expect("more");
    open(&more).expect("the same");
    let message = open(&small()).expect_err("fewer");
    for words in [
        "other settings",
        "grid.latent is without 4",
        "seeds are without 2",
        "--out",
    ] {
        assert!(message.contains(words), "{message}");
    }
    let looked = SweepFolder::look(&path, &small());
    assert!(looked.is_err(), "{looked:?}");
    let other = parent.path().join("other");
    fs::create_dir(&other).expect("writable");
    fs::write(other.join("thesis.txt"), "").expect("writable");
    let message = SweepFolder::open(&other, &small())
        .expect_err("not empty")
        .to_string();
    assert!(
        message.contains("expected an empty folder") && message.contains("thesis.txt"),
        "{message}"
    );
}
