//! The lines of the live view.

use super::*;

fn screen() -> Screen {
    let losses = Losses::of_elbo(153.144, 5.296, 1.0);
    let mut screen = Screen {
        epochs: 60,
        samples: "images",
        device: "cpu (2 threads), fused".into(),
        memory: Some(312_000_000),
        left: Some(Duration::from_secs(75)),
        progress: Some(StepReport {
            epoch: 3,
            step: 45,
            steps: 90,
            train: losses,
            beta: 1.0,
            lr: 1e-3,
            images_per_second: 74_819.4,
        }),
        ..Screen::default()
    };
    for (epoch, loss) in [(1, 200.0), (2, 160.0)] {
        screen.add(&EpochReport {
            epoch,
            validation: Losses { loss, ..losses },
            active_units: 2,
            kl_per_dimension: vec![2.0, 3.0],
            mutual_information: 4.69,
            is_best: true,
            ..EpochReport::default()
        });
    }
    screen
}

#[test]
fn everything_has_a_place_on_a_wide_terminal() {
    console::set_colors_enabled_stderr(false);
    assert_eq!(
        screen().lines(100),
        [
            "epoch 3/60   ━─────────────────────────────  1 min 15 s left  step 45/90  74,819 images/s",
            "train        loss 158.44  recon 153.14 | kl 5.30  beta 1.00",
            "validation   loss 160.00  recon 153.14 | kl 5.30  best 160.00 in epoch 2",
            "curve        █▁  200.00 to 160.00",
            "latents      2 of 2 active  mutual information 4.69 nats",
            "device       cpu (2 threads), fused  memory 312 MB",
        ]
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_width_is_too_small() {
    let mut screen = screen();
    for epoch in 3..500 {
        screen.add(&EpochReport {
            epoch,
            kl_per_dimension: vec![0.0; 20],
            ..EpochReport::default()
        });
    }
    for width in 0..120 {
        for line in screen.lines(width) {
            assert!(measure_text_width(&line) <= width, "{width}: {line}");
        }
    }
}

#[test]
fn a_terminal_without_unicode_gets_ascii_alone() {
    console::set_colors_enabled_stderr(false);
    let screen = Screen {
        charset: Charset::Ascii,
        ..screen()
    };
    let lines = screen.lines(100);
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:?}");
    assert!(lines[3].contains("#_"), "{lines:?}");
}

#[test]
fn times_and_large_numbers_are_said_as_people_say_them() {
    let time = |seconds| time(Duration::from_secs(seconds));
    assert_eq!(
        [8, 250, 7_500, 273_600].map(time),
        ["8 s", "4 min 10 s", "2 h 5 min", "3 d 4 h"]
    );
    assert_eq!(thousands(999.4), "999");
    assert_eq!(thousands(1_812_345.0), "1,812,345");
}
