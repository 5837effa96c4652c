//! Percentiles over the history of restarts: a value, without I/O.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::RestartRecord;

/// Numbers about some times, in milliseconds. Without times only the count is there.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Times {
    count: usize,
    p50: Option<u64>,
    p95: Option<u64>,
    max: Option<u64>,
}

impl Times {
    fn of(times: impl Iterator<Item = u64>) -> Self {
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        let at = |percent| percentile(&times, percent);
        Self { count: times.len(), p50: at(50), p95: at(95), max: at(100) }
    }
}

/// The smallest of the `sorted` times that at least `percent` of 100 of them do not exceed (nearest rank).
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// How many restarts came to what, and percentiles of those that replaced the process as asked: over all, by method, and the
/// gaps in the events of each module.
pub(super) fn summary(records: &[RestartRecord]) -> Value {
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for record in records {
        let name = json!(record.outcome).as_str().unwrap_or_default().to_owned();
        *outcomes.entry(name).or_default() += 1;
    }
    let replaced: Vec<&RestartRecord> = records.iter().filter(|it| it.as_asked).collect();
    let mut methods: BTreeMap<String, Vec<&RestartRecord>> = BTreeMap::new();
    let mut gaps: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for record in &replaced {
        methods.entry(record.method.to_string()).or_default().push(record);
        for (module, gap) in &record.events {
            gaps.entry(module).or_default().extend(gap.gap_ms);
        }
    }
    let methods: BTreeMap<String, Value> =
        methods.into_iter().map(|(method, records)| (method, times(&records))).collect();
    let modules: BTreeMap<&str, Value> = gaps
        .into_iter()
        .map(|(module, gaps)| (module, json!({ "gap_ms": Times::of(gaps.into_iter()) })))
        .collect();
    let mut all = times(&replaced);
    all["count"] = json!(records.len());
    all["outcomes"] = json!(outcomes);
    all["by_method"] = json!(methods);
    all["modules"] = json!(modules);
    all
}

fn times(records: &[&RestartRecord]) -> Value {
    json!({
        "downtime_ms": Times::of(records.iter().filter_map(|record| record.downtime_ms)),
        "total_ms": Times::of(records.iter().filter_map(|record| record.total_ms)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times_and_none_of_no_times() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(
            [50, 95, 100].map(|of| percentile(&hundred, of)),
            [Some(50), Some(95), Some(100)]
        );
        assert_eq!([50, 95, 100].map(|of| percentile(&[7], of)), [Some(7); 3]);
        assert_eq!([50, 95].map(|of| percentile(&[1, 9], of)), [Some(1), Some(9)]);
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn times_need_not_come_in_order() {
        let times = Times::of([30, 10, 20].into_iter());
        assert_eq!(times, Times { count: 3, p50: Some(20), p95: Some(30), max: Some(30) });
    }
}
