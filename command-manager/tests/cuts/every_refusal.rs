//! The history on a disk that refuses one operation, at each of them: it comes to the same end, and nothing is done twice.

use tempfile::TempDir;

use crate::api::Agent;
use crate::fault::{Fault, Lasting, Refusal};
use crate::history::{self, BEGINNING, Tries};
use crate::plan::Plan;
use crate::verdict::{self, Answers};
use crate::vfs::Watch;

/// Performs the history on a disk with `fault`; says whether that was met, and how the history ended.
async fn perform(fault: Option<Fault>, expected: Option<&Answers>) -> (bool, Answers) {
    let folder = TempDir::new().unwrap();
    let watch = Watch::start(folder.path(), Plan::default());
    if let Some(fault) = fault {
        watch.plan.refuse(fault);
    }
    let mut told = Vec::new();
    // What is refused once is done when it is asked again.
    history::perform(folder.path(), BEGINNING, Tries(2), |one| told.push(one)).await;
    let struck = watch.plan.lift();
    // The last closing may have been refused to remove the log.
    Agent::open(folder.path(), BEGINNING).unwrap().close();
    let answers = verdict::answers(&told);
    let given_up = verdict::check(folder.path(), (&[], &told), expected.unwrap_or(&answers), 0);
    assert_eq!(given_up, 0);
    (struck, answers)
}

// Paused, because the queue waits a second before it asks a disk again that has refused.
#[tokio::test(start_paused = true)]
async fn a_history_whose_disk_refuses_once_comes_to_the_same_end() {
    let (_, expected) = perform(None, None).await;
    for refusal in [Refusal::Changes, Refusal::Syncs, Refusal::Room] {
        let mut at = 1;
        let fault = |at| Some(Fault::new(refusal, Lasting::Once, at));
        while perform(fault(at), Some(&expected)).await.0 {
            at += 1;
        }
        println!("{refusal:?}: {} operations were refused", at - 1);
        assert!(at > 1);
    }
}
