//! How long requests are on their way: always the same, between two bounds, or mostly short and sometimes long.

use std::time::Duration;

use super::draw;

/// A distribution of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Latency {
    /// `50`
    Fixed(u64),
    /// `20..80`
    Between(u64, u64),
    /// `lognormal(40, 0.5)`: the median, and the spread of the logarithm.
    LogNormal(f64, f64),
}

impl Default for Latency {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Latency {
    /// Reads a distribution; none when the text is not one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(inside) = text.strip_prefix("lognormal(").and_then(|rest| rest.strip_suffix(')')) {
            let (median, spread) = inside.split_once(',')?;
            let (median, spread): (f64, f64) = (median.trim().parse().ok()?, spread.trim().parse().ok()?);
            let sane = (0.0..=600_000.0).contains(&median) && (0.0..=3.0).contains(&spread);
            return sane.then_some(Self::LogNormal(median, spread));
        }
        match text.split_once("..") {
            Some((least, most)) => {
                let (least, most) = (least.trim().parse().ok()?, most.trim().parse().ok()?);
                (least <= most).then_some(Self::Between(least, most))
            }
            None => text.parse().ok().map(Self::Fixed),
        }
    }

    /// Tells whether something is left to chance.
    pub(crate) fn draws(&self) -> bool {
        !matches!(self, Self::Fixed(_))
    }

    /// Returns the latency of the n-th request.
    pub(super) fn of(&self, seed: u64, nth: u64) -> Duration {
        match *self {
            Self::Fixed(time) => Duration::from_millis(time),
            Self::Between(least, most) => {
                let share = draw::unit(seed, &format!("latency/{nth}"));
                Duration::from_millis(least) + Duration::from_millis(most - least).mul_f64(share)
            }
            Self::LogNormal(median, spread) => {
                let time = median * (spread * normal(seed, nth)).exp() / 1000.0;
                Duration::try_from_secs_f64(time).unwrap_or_default()
            }
        }
    }
}

/// Returns a number of the standard normal distribution, by Box and Muller.
fn normal(seed: u64, nth: u64) -> f64 {
    let (one, other) = (draw::unit(seed, &format!("latency/{nth}")), draw::unit(seed, &format!("latency/{nth}/angle")));
    (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_nothing_else() {
        assert_eq!(Latency::read(" 50 "), Some(Latency::Fixed(50)));
        assert_eq!(Latency::read("20..80"), Some(Latency::Between(20, 80)));
        assert_eq!(Latency::read("lognormal(40, 0.5)"), Some(Latency::LogNormal(40.0, 0.5)));
        for wrong in
            ["", "-1", "80..20", "..", "1..", "lognormal(40)", "lognormal(NaN, 1)", "lognormal(1, inf)", "fast"]
        {
            assert_eq!(Latency::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn drawn_times_keep_to_the_distribution() {
        let times = |latency: Latency| (0..400).map(move |nth| latency.of(5, nth)).collect::<Vec<_>>();
        let bounds = Duration::from_millis(20)..=Duration::from_millis(80);
        assert!(times(Latency::Between(20, 80)).iter().all(|time| bounds.contains(time)));
        let mut spread = times(Latency::LogNormal(40.0, 0.5));
        spread.sort();
        let median = spread[200].as_millis();
        assert!((36..45).contains(&median), "{median}");
        assert!(spread[390].as_millis() > 80, "{:?}", spread[390]);
        assert_eq!(times(Latency::Between(0, 9)), times(Latency::Between(0, 9)));
    }
}
