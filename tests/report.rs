//! Pages about runs.

use std::fs;

use crate::common::playground::{done, playground, shell};

#[test]
fn a_page_holds_all_that_is_known_of_a_run_and_loads_nothing() {
    let place = playground();
    let command = "vae-gpu report runs/digits-1";
    let said = done(command, &shell(command, place.path()));
    assert_eq!(said, "runs/digits-1/report.html\n");
    let page = fs::read_to_string(place.path().join("runs/digits-1/report.html")).expect("written");
    let fingerprint = "ec3e9e3ddd523beefe65d3a9511ad5cdd80f503573b7748a23fa9d8827885e1c";
    for part in [
        "784-8-2",
        "bits per dimension",
        "Point at the curves",
        "all in use: 2 of 2 active",
        "latent 2</td>",
        fingerprint,
        "samples per second",
        "vae-gpu train --config config.toml",
        "hidden = [8]",
        "manifold.png: ",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // All pictures but the curves, which are drawn anew.
    assert_eq!(page.matches("data:image/png;base64,iVBOR").count(), 5);
    for outside in ["http:", "https:", "<link", "src=\"r", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The page of a run is made anew; a file that is named is not replaced.
    done(command, &shell(command, place.path()));
    let named = "vae-gpu report runs/digits-1 --out table.csv";
    assert!(!shell(named, place.path()).status.success());
}

#[test]
fn two_runs_stand_side_by_side_with_what_differs() {
    let place = playground();
    let command = "vae-gpu report runs/digits-1 runs/digits-2 --out both.html";
    done(command, &shell(command, place.path()));
    let page = fs::read_to_string(place.path().join("both.html")).expect("written");
    assert!(page.contains("<tr><td>latent</td><td>2</td><td>3</td></tr>"));
    assert!(!page.contains("<tr><td>hidden</td>"), "these are the same");
    assert_eq!(page.matches("<div class=\"column\">").count(), 2 * 7);
    // Three latents have no plane to decode.
    assert_eq!(
        page.matches("manifold.png: ").count(),
        2,
        "its caption and its description"
    );
}

#[test]
fn a_table_or_imported_weights_have_a_page_too() {
    let place = playground();
    let import = "vae-gpu import vae.safetensors --config vae.toml --out runs/imported";
    done(import, &shell(import, place.path()));
    for (run, part) in [
        ("runs/table-1", "gaussian"),
        ("runs/imported", "weights only"),
    ] {
        let command = format!("vae-gpu report {run} --out -");
        let page = done(&command, &shell(&command, place.path()));
        assert!(
            page.starts_with("<!DOCTYPE html>") && page.contains(part),
            "{run}"
        );
    }
}
