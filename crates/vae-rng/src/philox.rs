//! Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Added to the key after every round: the golden ratio and the square root of 3, as 32-bit fractions.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Four random words: a bijection of `counter` for every `key`.
#[must_use]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    philox_lanes(counter.map(|word| [word]), key).map(|[word]| word)
}

/// The same for `N` counters side by side, in loops that the compiler vectorises: word `k` of counter `i` is `counters[k][i]`.
#[inline(always)]
pub(crate) fn philox_lanes<const N: usize>(
    counters: [[u32; N]; 4],
    key: [u32; 2],
) -> [[u32; N]; 4] {
    let mut counters = counters;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let [c0, c1, c2, c3] = &mut counters;
        for (((c0, c1), c2), c3) in c0.iter_mut().zip(c1).zip(c2).zip(c3) {
            let product0 = u64::from(MULTIPLIER[0]) * u64::from(*c0);
            let product1 = u64::from(MULTIPLIER[1]) * u64::from(*c2);
            (*c0, *c1, *c2, *c3) = (
                (product1 >> 32) as u32 ^ *c1 ^ k0,
                product1 as u32,
                (product0 >> 32) as u32 ^ *c3 ^ k1,
                product0 as u32,
            );
        }
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::philox4x32_10;

    /// The known-answer vectors for `philox4x32 10` of the authors' Random123 distribution (`kat_vectors`).
    const KNOWN_ANSWERS: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
        (
            [0; 4],
            [0; 2],
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
        ),
        (
            [u32::MAX; 4],
            [u32::MAX; 2],
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
        ),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];

    #[test]
    fn agrees_with_the_published_known_answers() {
        for (counter, key, expected) in KNOWN_ANSWERS {
            assert_eq!(philox4x32_10(counter, key), expected);
        }
    }
}
