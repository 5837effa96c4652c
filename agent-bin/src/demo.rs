//! The demonstration: an agent reads lines that are written every millisecond and is restarted meanwhile; then lines are
//! counted.

mod report;
mod stage;
mod tally;
mod unit;
mod writer;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use agent_core::control::{ControlClient, command_path};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::sync::watch;

use report::Report;
use stage::Stage;
use tally::Tally;
use writer::Writer;

use crate::args::DemoArgs;

/// Longer than any restart that works takes: the agent's own budget is 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many lines are written between two restarts.
const LINES_BETWEEN: u64 = 400;

/// Runs the demonstration; exit code 1 if a restart failed or a line was lost or delivered twice.
pub(crate) fn run(args: &DemoArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(args.json, &anyhow::anyhow!(error)),
    };
    match runtime.block_on(perform(args)) {
        Ok(report) => {
            report.print(args.json);
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => failed(args.json, &error),
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the demonstration speaks to a person"
)]
fn failed(json: bool, error: &anyhow::Error) -> ExitCode {
    if json {
        println!("{}", json!({"error": {"code": "demo_failed", "message": format!("{error:#}")}}));
    } else {
        eprintln!("the demonstration failed: {error:#}");
    }
    ExitCode::FAILURE
}

async fn perform(args: &DemoArgs) -> Result<Report> {
    let stage = Stage::set_up(args.systemd)?;
    let shown = stage.folder().display().to_string();
    let live = Live { on: !args.json, redraw: !args.json && std::io::stderr().is_terminal() };
    live.line(&format!("an agent in {shown}, started {}", stage.how()));
    let (stop, stopping) = watch::channel(false);
    let writer = Writer::start(stage.log_file(), stopping)?;
    let result = act(args, &stage, &writer, live).await;
    stop.send_replace(true);
    let written = writer.finish().await?;
    let restarts = match result {
        Ok(restarts) => restarts,
        Err(error) => bail!("{error:#}; the agent's log:\n{}", stage.agent_log()),
    };
    let tally = count_all(&stage, written, live).await?;
    stage.stop_agent().await?;
    Ok(Report { restarts, tally })
}

async fn act(args: &DemoArgs, stage: &Stage, writer: &Writer, live: Live) -> Result<Vec<Value>> {
    stage.start_agent()?;
    let client = ControlClient::new(stage.socket());
    wait_for_agent(stage, &client).await?;
    let mut restarts = Vec::new();
    for number in 1..=args.restarts {
        writer.wait_for(writer.written() + LINES_BETWEEN).await;
        let record = restart(&client, number, args.restarts, live).await?;
        live.clear();
        let summary = report::restart_line(number, args.restarts, &record, stage.delivered()?);
        live.line(&summary);
        restarts.push(report::restart_json(&record));
    }
    writer.wait_for(writer.written() + LINES_BETWEEN).await;
    Ok(restarts)
}

async fn wait_for_agent(stage: &Stage, client: &ControlClient) -> Result<()> {
    let answers = async {
        loop {
            if let Ok(answer) = client.get("/v1/status").await
                && answer.body["state"] == "running"
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let started = tokio::time::timeout(PATIENCE, answers).await;
    started.with_context(|| format!("the agent did not start; its log:\n{}", stage.agent_log()))
}

/// Orders one restart and follows it through the change of the process, to its end.
async fn restart(client: &ControlClient, number: u32, of: u32, live: Live) -> Result<Value> {
    let id = uuid::Uuid::now_v7().to_string();
    let envelope = json!({
        "id": id,
        "command": {"name": "local_agent", "type": "restart-agent"},
        "origin": {"moduleName": "demo", "serverName": ""},
        "parameters": {"data": "all", "error": 0, "extra_args": [], "status": "pending",
                       "reason": format!("demonstration, restart {number} of {of}")},
    });
    let follow = async {
        let mut accepted = false;
        let mut seen = 0;
        loop {
            let answer = if accepted {
                let path = format!("{}?after={seen}&wait_ms=5000", command_path(&id));
                client.get(&path).await
            } else {
                client.post("/v1/commands", envelope.clone()).await
            };
            match answer {
                Ok(answer) if !answer.is_success() => {
                    bail!("the agent refused the restart: {}", answer.body);
                }
                Ok(_) if !accepted => accepted = true,
                Ok(answer) => {
                    for entry in answer.body["history"].as_array().into_iter().flatten() {
                        let seq = entry["seq"].as_u64().unwrap_or(0);
                        if seq > seen {
                            seen = seq;
                            live.step(&report::step_line(number, of, entry));
                        }
                    }
                    if report::is_finished(&answer.body) {
                        return Ok(answer.body);
                    }
                }
                // The process is being replaced: the same id asks the next one.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, follow).await.context("the restart did not end")?
}

/// Waits until every written line is delivered, or nothing is delivered any more.
async fn count_all(stage: &Stage, written: u64, live: Live) -> Result<Tally> {
    let mut waited = Duration::ZERO;
    let mut before = 0;
    loop {
        let delivered = stage.delivered()?;
        live.step(&format!("{delivered} of {written} lines delivered"));
        if delivered >= written || waited >= Duration::from_secs(10) {
            live.clear();
            return Tally::count(stage.events(), written);
        }
        waited =
            if delivered > before { Duration::ZERO } else { waited + Duration::from_millis(50) };
        before = delivered;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The live view on the terminal.
#[derive(Debug, Clone, Copy)]
struct Live {
    on: bool,
    /// Whether steps may overwrite each other.
    redraw: bool,
}

#[expect(clippy::print_stderr, reason = "the demonstration speaks to a person")]
impl Live {
    fn line(self, text: &str) {
        if self.on {
            eprintln!("{text}");
        }
    }

    fn step(self, text: &str) {
        if self.redraw {
            eprint!("\r\x1b[2K{text}");
        }
    }

    fn clear(self) {
        if self.redraw {
            eprint!("\r\x1b[2K");
        }
    }
}
