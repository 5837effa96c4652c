//! What each line of a sandbox costs at a restart, measured one by one with the static C service.

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
        (Ok(program), Ok(up)) => found.measures = lines(&program, &up)?,
        (Err(reason), _) | (_, Err(reason)) => found.skip("sandbox", &reason),
    }
    let settings = json!({
        "rounds": ROUNDS,
        "downtime": "InactiveEnterTimestampMonotonic to ActiveEnterTimestampMonotonic of a static C service in the shipped \
                     unit with one line more, less the same without that line in the same round",
    });
    Ok(json!({ "settings": settings, "measures": found.measures, "skipped": found.skipped }))
}

fn lines(program: &std::path::Path, up: &SystemdBox) -> Result<Vec<Value>, String> {
    let unit = |number: usize| format!("floor-{number}");
    for (number, line) in LINES.iter().enumerate() {
        let text = floor::unit(
            program,
            &if line.is_empty() { String::new() } else { format!("{line}\n") },
        )?;
        up.write(&format!("/etc/systemd/system/{}.service", unit(number)), &text)?;
    }
    up.sh(&format!("systemctl daemon-reload && systemctl start floor-{{0..{}}}", LINES.len() - 1))?;
    let mut downtimes = vec![Vec::new(); LINES.len()];
    for round in 1..=ROUNDS {
        eprintln!("measuring lines of the sandbox, round {round} of {ROUNDS}");
        for (number, of) in downtimes.iter_mut().enumerate() {
            let unit = unit(number);
            up.sh(&format!("systemctl reset-failed {unit} && systemctl restart {unit}"))?;
            of.push(up.downtime(&unit)?);
        }
    }
    let plain = downtimes[0].clone();
    let measures = LINES.iter().zip(&downtimes).map(|(line, with)| {
        if line.is_empty() {
            return json!({ "name": "the shipped unit", "unit": "ms", "of": plain });
        }
        let more: Vec<f64> = with.iter().zip(&plain).map(|(with, plain)| with - plain).collect();
        json!({ "name": format!("+ {line}"), "unit": "ms", "of": more })
    });
    Ok(measures.collect())
}
