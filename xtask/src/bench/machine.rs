//! Says on which machine something was measured.

use std::fs;
use std::thread;

use serde_json::{Value, json};

/// Cores, processor, kernel and load; what cannot be read is null.
pub(super) fn facts() -> Value {
    let cpu = read("/proc/cpuinfo").and_then(|text| model_name(&text));
    json!({
        "cores": thread::available_parallelism().ok().map(usize::from),
        "processor": cpu,
        "kernel": read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
        "load_1m": read("/proc/loadavg")
            .and_then(|text| text.split(' ').next()?.parse::<f64>().ok()),
    })
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_found_in_what_the_kernel_says() {
        let text =
            "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(model_name(text).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(model_name("Hardware : board\n"), None);
    }
}
