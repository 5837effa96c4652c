//! The history when nothing is cut: how it ends, which all others are compared with.

use serde_json::json;

use crate::history::{self, BEGINNING, Told, Tries};
use crate::verdict;

#[tokio::test]
async fn a_history_that_nothing_disturbs_ends_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    history::perform(folder.path(), BEGINNING, Tries(1), |one| told.push(one)).await;
    let answers = verdict::answers(&told);
    assert_eq!(verdict::check(folder.path(), (&[], &told), &answers, 0), 0);
    let ends = [
        ("again", "success", 0),
        ("deferred", "success", 0),
        ("hopeless", "failure", 3),
        ("last", "success", 0),
        ("noted", "success", 0),
        ("plain", "success", 0),
        ("refused", "failure", 2),
    ];
    assert_eq!(answers.len(), ends.len());
    for ((id, answer), (expected, status, error)) in answers.iter().zip(ends) {
        let parameters =
            json!({"data": "all", "reason": "a test", "status": status, "error": error});
        let result = if status == "success" { json!({"effect": id}) } else { json!(null) };
        assert_eq!(id, expected);
        assert_eq!((&answer["parameters"], &answer["result"]), (&parameters, &result));
    }
    assert_eq!(told.iter().filter(|one| **one == Told::Conflict("plain".to_owned())).count(), 1);
}
