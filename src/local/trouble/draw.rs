//! Chance that can be repeated: numbers that follow from a seed and a place.

use sha2::{Digest, Sha256};

/// Returns a number from zero to below one that follows from the seed and the place alone.
pub(crate) fn unit(seed: u64, place: &str) -> f64 {
    let digest = Sha256::digest(format!("{seed}/{place}"));
    let number = digest.iter().take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// Returns a seed that nobody has chosen; short, so that it can be typed again.
pub(crate) fn seed() -> u64 {
    u64::from(uuid::Uuid::new_v4().as_fields().0 & 0x00ff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_gives_the_same_number_and_all_numbers_come() {
        assert_eq!(unit(1, "a/1").to_bits(), unit(1, "a/1").to_bits());
        assert_ne!(unit(1, "a/1").to_bits(), unit(2, "a/1").to_bits());
        let drawn: Vec<f64> = (0..1000).map(|nth| unit(7, &format!("a/{nth}"))).collect();
        assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)));
        let tenth = drawn.iter().filter(|number| **number < 0.1).count();
        assert!((60..140).contains(&tenth), "{tenth} of 1000 lie in the first tenth");
    }
}
