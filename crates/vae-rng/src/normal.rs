//! Standard normals from random words, by Box and Muller.
//!
//! `ln`, `sin` and `cos` are polynomials of our own, not the platform's: WGSL guarantees only an absolute error of 2^-11
//! for `sin`, and a CPU's library calls keep a loop from being vectorised. `shaders/random.wgsl` has the same polynomials
//! with the same names, so `eps` agrees between devices to a few units in the last place.

use std::f32::consts::{FRAC_PI_2, SQRT_2};

/// Four standard normals from four random words: words 0 and 2 give the radii, words 1 and 3 the angles.
#[must_use]
pub fn normals_of_block([a, b, c, d]: [u32; 4]) -> [f32; 4] {
    let [x, y] = box_muller(a, b);
    let [z, w] = box_muller(c, d);
    [x, y, z, w]
}

/// The same for `N` blocks side by side, in loops that the compiler vectorises: word `k` of block `i` is `words[k][i]`.
#[inline(always)]
#[must_use]
pub fn normals_of_lanes<const N: usize>(words: &[[u32; N]; 4]) -> [[f32; N]; 4] {
    let mut normals = [[0.0; N]; 4];
    let (normals_xy, normals_zw) = normals.split_at_mut(2);
    for (words, normals) in words.chunks_exact(2).zip([normals_xy, normals_zw]) {
        let ([radii, angles], [x, y]) = (words, normals) else {
            continue;
        };
        for ((radius, angle), (x, y)) in radii.iter().zip(angles).zip(x.iter_mut().zip(y)) {
            [*x, *y] = box_muller(*radius, *angle);
        }
    }
    normals
}

#[inline(always)]
fn box_muller(radius_word: u32, angle_word: u32) -> [f32; 2] {
    // In (0, 1], a multiple of 2^-24, so that the logarithm is finite: no normal exceeds sqrt(48 ln 2) = 5.77.
    let u = ((radius_word >> 8) + 1) as f32 * 2f32.powi(-24);
    let radius = (-2.0 * ln_unit(u)).sqrt();
    let [sin, cos] = unit_vector(angle_word);
    [radius * cos, radius * sin]
}

/// `ln(u)` for `u` in `[2^-24, 1]`; relative error below 2^-22 (polynomial of Cephes' `logf`, S. Moshier).
#[inline(always)]
fn ln_unit(u: f32) -> f32 {
    let bits = u.to_bits();
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let is_upper = mantissa > SQRT_2;
    let exponent = (bits >> 23) as i32 - 127 + i32::from(is_upper);
    let x = if is_upper { 0.5 * mantissa } else { mantissa } - 1.0;
    let mut p = 7.037_683_6e-2;
    p = p * x - 1.151_461e-1;
    p = p * x + 1.167_699_9e-1;
    p = p * x - 1.242_014_1e-1;
    p = p * x + 1.424_932_3e-1;
    p = p * x - 1.666_805_8e-1;
    p = p * x + 2.000_071_5e-1;
    p = p * x - 2.499_999_4e-1;
    p = p * x + 0.333_333_3;
    // ln 2 in two parts, the first exact in few bits, so that `exponent * LN2_HIGH` does not round.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let e = exponent as f32;
    let tail = x * x * x * p + e * LN2_LOW - 0.5 * (x * x);
    x + tail + e * LN2_HIGH
}

/// `[sin, cos]` of a uniform angle: the top two bits choose the quadrant, the next 24 the place in it.
#[inline(always)]
fn unit_vector(word: u32) -> [f32; 2] {
    let fraction = ((word >> 6) & 0x00ff_ffff) as f32 * 2f32.powi(-24);
    let t = (fraction - 0.5) * FRAC_PI_2;
    let t2 = t * t;
    // Cephes' `sinf` and `cosf` on [-pi/4, pi/4].
    let sin = t + t * t2 * (-1.666_665_5e-1 + t2 * (8.332_161e-3 - t2 * 1.951_529_6e-4));
    let cos =
        1.0 - 0.5 * t2 + t2 * t2 * (4.166_664_6e-2 + t2 * (-1.388_731_6e-3 + t2 * 2.443_315_7e-5));
    // The quadrants in order: [sin, cos], [cos, -sin], [-sin, -cos], [-cos, sin]; without a branch.
    let is_odd = word & (1 << 30) != 0;
    let (one, other) = if is_odd { (cos, sin) } else { (sin, cos) };
    let signed = |value: f32, sign: u32| f32::from_bits(value.to_bits() ^ (sign & (1 << 31)));
    [signed(one, word), signed(other, word ^ (word << 1))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_within_four_units_in_the_last_place() {
        for word in (0..1u32 << 24).step_by(37).chain((1 << 24) - 1000..1 << 24) {
            let u = (word + 1) as f32 * 2f32.powi(-24);
            let exact = f64::from(u).ln();
            let error = (f64::from(ln_unit(u)) - exact).abs();
            assert!(
                error <= 4.0 * f64::from(f32::EPSILON) * exact.abs(),
                "ln({u}): {error}"
            );
        }
    }

    #[test]
    fn the_unit_vector_is_on_the_circle_in_every_quadrant() {
        let mut seen = [0; 4];
        for word in (0..=u32::MAX).step_by(65_521) {
            let [sin, cos] = unit_vector(word).map(f64::from);
            let fraction = f64::from((word >> 6) & 0x00ff_ffff) * 2f64.powi(-24);
            let angle = (fraction - 0.5 + f64::from(word >> 30)) * std::f64::consts::FRAC_PI_2;
            assert!((sin - angle.sin()).abs() < 2e-7, "sin of {word:#x}");
            assert!((cos - angle.cos()).abs() < 2e-7, "cos of {word:#x}");
            seen[(word >> 30) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| n > 1000));
    }

    #[test]
    fn normals_of_lanes_are_those_of_their_blocks() {
        let words: [[u32; 5]; 4] = std::array::from_fn(|k| {
            std::array::from_fn(|i| (7 * k + i) as u32).map(|x| x.wrapping_mul(0x9e37_79b9))
        });
        let normals = normals_of_lanes(&words);
        for i in 0..5 {
            let block = words.map(|lanes| lanes[i]);
            assert_eq!(normals.map(|lanes| lanes[i]), normals_of_block(block));
            assert_ne!(
                normals.map(|lanes| lanes[(i + 1) % 5]),
                normals_of_block(block)
            );
        }
    }

    #[test]
    fn normals_have_the_moments_and_tails_of_a_normal() {
        let n = 400_000;
        let z = crate::Generator::new(11, crate::Stream::Noise).normals(0, 0, n / 4, 4);
        let moment = |p: i32| z.iter().map(|&z| f64::from(z).powi(p)).sum::<f64>() / n as f64;
        // Five standard deviations of each sample moment: sqrt(1, 2, 15, 96 / n).
        assert!(moment(1).abs() < 0.0079, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.0112, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.0306, "third moment {}", moment(3));
        assert!(
            (moment(4) - 3.0).abs() < 0.0775,
            "fourth moment {}",
            moment(4)
        );
        let beyond_3 = z.iter().filter(|z| z.abs() > 3.0).count() as f64 / n as f64;
        assert!(
            (beyond_3 - 0.0027).abs() < 0.0005,
            "P(|z| > 3) = {beyond_3}"
        );
        // Neighbouring lanes share a radius: they must be uncorrelated all the same.
        let correlation = z
            .chunks_exact(2)
            .map(|p| f64::from(p[0] * p[1]))
            .sum::<f64>()
            / (n / 2) as f64;
        assert!(correlation.abs() < 0.0112, "{correlation}");
    }
}
