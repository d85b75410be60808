//! Every plot has a title that names its run.

use image::RgbImage;
use vae_data::{Array, Images, Shape};

use super::{LossPoint, Plane, kl, loss, scatter};

/// Draws the plot of the run of this name.
type Draw<'a> = &'a dyn Fn(&str) -> Vec<u8>;

/// Rows at the top of a plot that its title takes.
const TITLE_ROWS: u32 = 42;

/// The rows of a picture above and below the end of its title.
fn halves(png: &[u8]) -> [Vec<u8>; 2] {
    let picture: RgbImage = image::load_from_memory(png).expect("a picture").into_rgb8();
    let end = (TITLE_ROWS * picture.width() * 3) as usize;
    let pixels = picture.into_raw();
    [pixels[..end].to_vec(), pixels[end..].to_vec()]
}

#[test]
fn every_plot_has_a_title_that_names_its_run_and_nothing_else_does() {
    let point = |epoch| LossPoint {
        epoch,
        loss: [3.0, 4.0],
        recon: [2.0, 3.0],
        kl: [1.0, 1.0],
    };
    let points = [point(1), point(2)];
    let divergences = [(1, &[0.5, 1.0][..]), (2, &[0.2, 2.0])];
    let images = Images::from(Array::bytes(vec![0; 2], Shape::grey(1, 1)));
    let plane = Plane::of_dimensions(&[0.0, 1.0, 1.0, 0.0], 2, [0, 1]);
    let plots: [(&str, Draw<'_>); 3] = [
        ("loss", &|run| loss(&points, run).expect("drawn")),
        ("kl", &|run| {
            kl(&divergences, run).expect("drawn").expect("epochs")
        }),
        ("latent", &|run| {
            scatter(&plane, &images, run).expect("drawn")
        }),
    ];
    for (name, plot) in plots {
        let [one, other] = ["digits-1", "faces-2"].map(|run| halves(&plot(run)));
        assert!(one[0].iter().any(|&value| value < 128), "{name}: no title");
        assert_ne!(one[0], other[0], "{name}: no run in the title");
        assert_eq!(one[1], other[1], "{name}: the run outside the title");
    }
}
