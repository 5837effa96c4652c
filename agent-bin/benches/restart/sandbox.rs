//! What each line of a sandbox costs at a restart, measured one by one with the static C service.

use std::path::Path;

use serde_json::{Value, json};

use crate::systemd_box::SystemdBox;
use crate::{Findings, ROUNDS, floor, folder};

/// The lines that a unit of a service like this one might have. The first is the unit as it is shipped.
const LINES: [&str; 15] = [
    "",
    "PrivateTmp=yes",
    "ProtectHome=yes",
    "ProtectSystem=full",
    "ProtectSystem=strict",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "ProtectProc=invisible",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "MemoryDenyWriteExecute=yes",
    "SystemCallFilter=@system-service",
];

pub(crate) fn measure() -> Result<Value, String> {
    let mut found = Findings::default();
    let folder = folder()?;
    let program = floor::compile(folder.path());
    let up = match &program {
        Ok(_) => SystemdBox::up()?,
        Err(reason) => Err(reason.clone()),
    };
    match (program, up) {
        (Ok(program), Ok(up)) => lines(&mut found, &program, &up)?,
        (Err(reason), _) | (_, Err(reason)) => found.skip("sandbox", &reason),
    }
    let settings = json!({
        "rounds": ROUNDS,
        "downtime": "InactiveEnterTimestampMonotonic to ActiveEnterTimestampMonotonic of a static C service in the shipped \
                     unit with one line more, less the same without that line in the same round",
    });
    Ok(json!({ "settings": settings, "measures": found.measures, "skipped": found.skipped }))
}

fn lines(found: &mut Findings, program: &Path, up: &SystemdBox) -> Result<(), String> {
    let unit = |number: usize| format!("floor-{number}");
    // Where no line of a sandbox hides it.
    let installed = Path::new("/usr/bin/bench-floor");
    up.sh(&format!("cp {} {}", program.display(), installed.display()))?;
    for (number, line) in LINES.iter().enumerate() {
        let more = if line.is_empty() { String::new() } else { format!("{line}\n") };
        let text = floor::unit(installed, &more)?;
        up.write(&format!("/etc/systemd/system/{}.service", unit(number)), &text)?;
    }
    up.sh("systemctl daemon-reload")?;
    let mut works = Vec::new();
    for (number, line) in LINES.iter().enumerate() {
        match up.sh(&format!("systemctl start {}", unit(number))) {
            Ok(_) => works.push((number, Vec::new())),
            Err(error) if number > 0 => found.skip(line, error.lines().next().unwrap_or_default()),
            Err(error) => return Err(error),
        }
    }
    for round in 1..=ROUNDS {
        eprintln!("measuring lines of the sandbox, round {round} of {ROUNDS}");
        for (number, of) in &mut works {
            let unit = unit(*number);
            up.sh(&format!("systemctl reset-failed {unit} && systemctl restart {unit}"))?;
            of.push(up.downtime(&unit)?);
        }
    }
    let plain: Vec<f64> = works.first().map(|(_, of)| of.clone()).unwrap_or_default();
    found.measures.push(json!({ "name": "the shipped unit", "unit": "ms", "of": plain }));
    for (number, with) in works.iter().skip(1) {
        let more: Vec<f64> = with.iter().zip(&plain).map(|(with, plain)| with - plain).collect();
        found
            .measures
            .push(json!({ "name": format!("+ {}", LINES[*number]), "unit": "ms", "of": more }));
    }
    Ok(())
}
