//! `restart --dry-run`: what a restart would find in its way, without one.

use agent_core::control::ControlClient;
use module_api::ModuleName;
use serde_json::Value;

use super::error::CliError;
use super::get;
use super::paint::{Paint, Tone};
use super::record::list;
use super::screen::Screen;
use super::table::{Cell, table};
use crate::exit::Exit;

/// Asks for the checks and prints their report.
pub(super) async fn dry_run(
    client: &ControlClient,
    modules: &[ModuleName],
    force: bool,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    let report = get(client, &question(modules, force)).await?.body;
    let exit = match report["verdict"].as_str() {
        Some("go" | "overridden") => Exit::Success,
        Some("refused") => Exit::Refused,
        Some(_) | None => {
            return Err(CliError::Unexpected { what: "a report of checks without a verdict" });
        }
    };
    screen.answer(&report, |paint| text(&report, paint));
    Ok(exit)
}

fn question(modules: &[ModuleName], force: bool) -> String {
    let names: Vec<&str> = modules.iter().map(ModuleName::as_str).collect();
    let modules = (!names.is_empty()).then(|| format!("modules={}", names.join(",")));
    let force = force.then(|| "force=true".to_owned());
    let query: Vec<String> = modules.into_iter().chain(force).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/v1/preflight{mark}{}", query.join("&"))
}

fn text(report: &Value, paint: Paint) -> String {
    let row = |check: &Value| {
        let text = |field: &str| check[field].as_str().unwrap_or("").to_owned();
        let result = text("result");
        let tone = match result.as_str() {
            "ok" => Tone::Good,
            "warning" => Tone::Warning,
            "refused" => Tone::Bad,
            _ => Tone::Faint,
        };
        let took = check["duration_ms"].as_u64().map_or_else(String::new, |ms| format!("{ms} ms"));
        let lines = text("text");
        let lines: Vec<&str> = lines.lines().map(str::trim).collect();
        vec![
            Cell::text(&text("name")),
            Cell::text(&result).tone(tone),
            Cell::number(&took),
            Cell::text(&lines.join("; ")),
        ]
    };
    let checks = list(&report["checks"]);
    let rows: Vec<Vec<Cell>> = checks.iter().map(row).collect();
    let shown = table(&["CHECK", "RESULT", "TIME", "WHAT"], &rows, paint);
    let refused = || checks.iter().filter(|check| check["result"] == "refused");
    let named = || {
        let names: Vec<&str> = refused().filter_map(|check| check["name"].as_str()).collect();
        names.join(", ")
    };
    let verdict = match report["verdict"].as_str() {
        Some("go") => paint.text(Tone::Good, "the restart would go"),
        Some("overridden") => {
            let text =
                format!("the restart would go, because it is forced, in spite of: {}", named());
            paint.text(Tone::Warning, &text)
        }
        _ => {
            let forced = refused().all(|check| check["may_be_forced"] == true);
            let help = if forced { "; with --force it would go all the same" } else { "" };
            paint.text(Tone::Bad, &format!("the restart would be refused: {}{help}", named()))
        }
    };
    format!("{shown}\n{verdict}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(names: &[&str]) -> Vec<ModuleName> {
        names.iter().map(|name| ModuleName::new(name).unwrap()).collect()
    }

    #[test]
    fn the_question_says_no_more_than_was_asked() {
        assert_eq!(question(&[], false), "/v1/preflight");
        assert_eq!(question(&names(&["fim", "sca"]), false), "/v1/preflight?modules=fim,sca");
        assert_eq!(question(&names(&["all"]), true), "/v1/preflight?modules=all&force=true");
    }

    #[test]
    fn a_report_is_a_table_with_a_verdict() {
        let check = |name: &str, result: &str, forced: bool, text: &str| {
            json!({ "name": name, "result": result, "duration_ms": 12, "may_be_forced": forced,
                    "text": text })
        };
        let ok = check("lock", "ok", false, "held");
        let soft = check("state_folder", "refused", true, "no room\n  at all");
        let plain = Paint { on: false };
        let soft = json!({ "verdict": "refused", "checks": [ok, soft] });
        let expected = "\
CHECK         RESULT    TIME  WHAT
lock          ok       12 ms  held
state_folder  refused  12 ms  no room; at all

the restart would be refused: state_folder; with --force it would go all the same
";
        assert_eq!(text(&soft, plain), expected);
        let last = |verdict: &str, forced: bool| {
            let hard = check("controller", "refused", forced, "masked");
            let report = json!({ "verdict": verdict, "checks": [hard] });
            text(&report, plain).lines().last().unwrap().to_owned()
        };
        assert_eq!(last("go", false), "the restart would go");
        assert_eq!(last("refused", false), "the restart would be refused: controller");
        let overridden = "the restart would go, because it is forced, in spite of: controller";
        assert_eq!(last("overridden", true), overridden);
    }
}
