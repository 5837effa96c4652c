//! Shows what happens to any command, as it happens, also across the change of the process.
//!
//! Changes are numbered, and the numbers go on in the next process. Asking for what came after the last one that was
//! shown misses nothing and shows nothing twice, however often the agent goes away meanwhile.

use std::time::Duration;

use agent_core::control::ControlClient;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::error::CliError;
use super::paint::Tone;
use super::patience::{PAUSE, Patience, QUESTION, Verdict};
use super::record::list;
use super::screen::Screen;
use super::step_text::change_line;
use crate::exit::Exit;

/// How many changes are asked for at once: what came before is caught up with in few answers, each of them small.
const LIMIT: u32 = 200;

/// How long the agent may wait for a change before it answers, less than [`QUESTION`].
const POLL: Duration = Duration::from_secs(10);

/// Shows each change after the change `after`, or only those that are new. Returns when nobody reads the output any
/// more, and with an error when nobody has answered for `silence`.
pub(super) async fn watch(
    client: &ControlClient,
    after: Option<u64>,
    silence: Duration,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    let mut watcher = Watcher {
        client: client.clone().with_timeout(QUESTION),
        patience: Patience::new(silence),
        screen,
        last: 0,
        gap: false,
    };
    watcher.last = match after {
        Some(after) => after,
        None => watcher.newest().await?,
    };
    while !watcher.screen.is_broken() {
        if !watcher.news().await? {
            // An answer without news came early, for example because the agent stops: no reason to ask in a hurry.
            sleep(PAUSE).await;
        }
    }
    Ok(Exit::Success)
}

struct Watcher<'a> {
    client: ControlClient,
    patience: Patience,
    screen: &'a mut Screen,
    /// The number of the last change that was shown, or after which to begin.
    last: u64,
    /// Whether the newest answer told of a gap.
    gap: bool,
}

impl Watcher<'_> {
    /// The number of the newest change there is.
    async fn newest(&mut self) -> Result<u64, CliError> {
        let body = self.ask("/v1/changes?limit=1").await?;
        let what = "changes without the number of the newest";
        body["newest"].as_u64().ok_or(CliError::Unexpected { what })
    }

    /// Waits for changes and shows them. Whether there were any.
    async fn news(&mut self) -> Result<bool, CliError> {
        let wait = POLL.as_millis();
        let path = format!("/v1/changes?after={}&limit={LIMIT}&wait_ms={wait}", self.last);
        let body = self.ask(&path).await?;
        if !body["changes"].is_array() {
            return Err(CliError::Unexpected { what: "an answer without changes" });
        }
        let gap = body["gap"] == true;
        // While old changes are caught up with, several answers may tell of one gap.
        if gap && !self.gap {
            self.say_gap("some changes are not kept any more");
        }
        self.gap = gap;
        let shown = self.show(list(&body["changes"]));
        if !shown && body["newest"].as_u64().is_some_and(|newest| newest < self.last) {
            // Numbers never go back within one journal. It was damaged and set aside, or `--after` is of another agent.
            self.last = 0;
            self.say_gap("the changes are numbered anew, because the journal is another one");
        }
        Ok(shown)
    }

    /// Shows those changes that were not shown yet. Whether there were any.
    fn show(&mut self, changes: &[Value]) -> bool {
        let mut any = false;
        for change in changes {
            let Some(number) = change["change"].as_u64().filter(|number| *number > self.last)
            else {
                continue;
            };
            self.last = number;
            self.screen.item(change, |paint| format!("{}\n", change_line(change, paint)));
            any = true;
        }
        any
    }

    /// Says that there may be changes that are not shown; programs learn after which one.
    fn say_gap(&mut self, text: &str) {
        let notice = json!({ "gap": true, "after": self.last });
        self.screen.item(&notice, |paint| format!("{}\n", paint.text(Tone::Warning, text)));
    }

    /// The body of the answer, whoever gives it at last.
    async fn ask(&mut self, path: &str) -> Result<Value, CliError> {
        loop {
            match self.patience.judge(self.client.get(path).await, Instant::now()) {
                Verdict::Answer(answer) => return Ok(answer.body),
                Verdict::AskAgain => sleep(PAUSE).await,
                Verdict::GiveUp(error) => return Err(error),
            }
        }
    }
}
