//! Every command in the documents works as it is printed.

use std::fs;
use std::path::Path;

use vae_data::npy::{NpyArrayRef, write_npz};

use crate::common::playground::{done, playground, shell, shortened};

/// The commands in the blocks of `document` that are marked as a shell's.
fn commands(document: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut is_inside = false;
    for line in document.lines() {
        match line {
            "```sh" | "```console" => is_inside = true,
            "```" => is_inside = false,
            _ if is_inside => commands.push(line.trim_start_matches("$ ").to_owned()),
            _ => {}
        }
    }
    commands
}

/// A few images like those of dSprites: black and white, 64 x 64, under the names that the file has.
fn sprites(path: &Path) {
    const COUNT: usize = 30;
    let pixel = |image: usize, at: usize| {
        let (y, x) = (at / 64, at % 64);
        let corner = image * 3 % 40;
        u8::from((corner..corner + 16).contains(&y) && (20..36).contains(&x))
    };
    let images = (0..COUNT).flat_map(|image| (0..64 * 64).map(move |at| pixel(image, at)));
    let images: Vec<u8> = images.collect();
    let classes: Vec<i64> = (0..COUNT as i64 * 6).map(|index| index % 3).collect();
    let file = fs::File::create(path).expect("writable");
    let arrays = [
        ("imgs", NpyArrayRef::U8(&[COUNT, 64, 64], &images)),
        ("latents_classes", NpyArrayRef::I64(&[COUNT, 6], &classes)),
    ];
    write_npz(file, &arrays).expect("writable");
}

/// Runs all commands of a document in a folder of its own.
fn run(name: &str, least: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    let document = fs::read_to_string(path).expect("a document");
    let place = playground();
    // The documents make their own.
    fs::remove_dir_all(place.path().join("runs")).expect("there");
    fs::remove_file(place.path().join("latents.csv")).expect("there");
    sprites(&place.path().join("dsprites.npz"));
    let commands = commands(&document);
    assert!(commands.len() >= least, "{commands:?}");
    for command in &commands {
        assert!(command.starts_with("vae-gpu "), "{name}: {command}");
        done(command, &shell(&shortened(command), place.path()));
    }
}

#[test]
fn the_tutorial_leads_from_the_first_run_to_photos() {
    run("tutorial.md", 14);
}

#[test]
fn the_cookbook_works_task_by_task() {
    run("cookbook.md", 20);
}

#[test]
fn the_formats_are_those_that_are_written() {
    run("formats.md", 11);
}

#[test]
fn work_in_parts_and_jobs_that_are_started_again_are_as_described() {
    run("scaling.md", 12);
}
