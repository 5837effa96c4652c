//! Judges a measure: the median of its rounds against its target.

use anyhow::{Context, Result};

use super::measure::{Measure, Target};

/// A measure with its verdict.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) rounds: usize,
    /// Without it nothing is judged.
    pub(super) bound: Option<Bound>,
}

/// The worst median that passes, in the unit of the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Line {
    /// `None` when nothing is judged.
    pub(super) fn passes(&self) -> Option<bool> {
        self.bound.map(|bound| match bound {
            Bound::AtMost(most) => self.median <= most,
            Bound::AtLeast(least) => self.median >= least,
        })
    }
}

/// Fails when a round has no number, such as the quotient by 0.
pub(super) fn judge(measure: &Measure) -> Result<Line> {
    let mut values = match &measure.per {
        Some(per) => measure.of.iter().zip(per).map(|(of, per)| of / per).collect(),
        None => measure.of.clone(),
    };
    values.sort_by(f64::total_cmp);
    let judged = || -> Option<Line> {
        let (min, max) = (*values.first()?, *values.last()?);
        (min.is_finite() && max.is_finite()).then(|| Line {
            name: measure.name.clone(),
            unit: measure.unit.clone(),
            median: median(&values),
            min,
            max,
            rounds: values.len(),
            bound: measure.target.map(bound),
        })
    };
    judged().with_context(|| format!("{:?} has a round without a number", measure.name))
}

/// Takes sorted values, at least one. Of an even number it is the mean of the middle two.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

fn bound(target: Target) -> Bound {
    match target {
        Target::AtMost(most) => Bound::AtMost(most),
        Target::AtMostNLogN(from, to) => Bound::AtMost((to * to.ln()) / (from * from.ln())),
        Target::AtLeast(least) => Bound::AtLeast(least),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(of: &[f64], per: Option<&[f64]>, target: Option<Target>) -> Measure {
        Measure {
            name: "a".to_owned(),
            unit: "ms".to_owned(),
            of: of.to_vec(),
            per: per.map(<[f64]>::to_vec),
            target,
        }
    }

    #[test]
    fn the_median_is_judged_and_not_the_extremes() {
        let line = judge(&measure(&[90.0, 1.0, 50.0], None, Some(Target::AtMost(50.0)))).unwrap();
        assert_eq!((line.min, line.median, line.max, line.rounds), (1.0, 50.0, 90.0, 3));
        assert_eq!(line.passes(), Some(true), "as much as granted");
    }

    #[test]
    fn more_than_granted_fails() {
        let line = judge(&measure(&[50.1], None, Some(Target::AtMost(50.0)))).unwrap();
        assert_eq!(line.passes(), Some(false));
    }

    #[test]
    fn less_than_asked_for_fails() {
        let passes =
            |of| judge(&measure(&[of], None, Some(Target::AtLeast(10.0)))).unwrap().passes();
        assert_eq!(passes(9.9), Some(false));
        assert_eq!(passes(10.0), Some(true), "as much as asked for");
    }

    #[test]
    fn an_even_number_of_rounds_has_its_median_in_between() {
        assert_eq!(judge(&measure(&[4.0, 1.0, 2.0, 9.0], None, None)).unwrap().median, 3.0);
    }

    #[test]
    fn a_quotient_is_taken_round_by_round() {
        let line = judge(&measure(&[10.0, 400.0, 30.0], Some(&[10.0, 100.0, 10.0]), None)).unwrap();
        assert_eq!((line.min, line.median, line.max), (1.0, 3.0, 4.0));
        assert_eq!(line.passes(), None, "nothing is granted, so nothing is judged");
    }

    #[test]
    fn n_log_n_from_a_thousand_to_ten_thousand_is_thirteen_and_a_third() {
        let target = Some(Target::AtMostNLogN(1_000.0, 10_000.0));
        let passes = |ratio| judge(&measure(&[ratio], None, target)).unwrap().passes();
        assert_eq!(passes(13.33), Some(true));
        assert_eq!(passes(13.34), Some(false));
    }

    #[test]
    fn a_round_without_a_number_is_an_error_and_no_pass() {
        let error = judge(&measure(&[0.0], Some(&[0.0]), Some(Target::AtMost(1.0)))).unwrap_err();
        assert_eq!(error.to_string(), "\"a\" has a round without a number");
    }
}
