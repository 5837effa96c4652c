//! A question to a module, as the control API answers it.

use std::time::Duration;

use hyper::body::Bytes;
use module_api::{AskError, ModuleName, Question};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::control::{ApiAnswer, ErrorKind};
use crate::supervisor::{AskModuleError, Supervisor};

/// What a module has for its answer. The client of this project waits for twice as long.
const WITHIN: Duration = Duration::from_secs(30);

/// The body of a question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    verb: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Asks the module called `name` what `body` says.
pub(super) async fn answer(supervisor: &Supervisor, name: &str, body: &Bytes) -> ApiAnswer {
    let Ok(name) = ModuleName::new(name) else {
        return ApiAnswer::error(ErrorKind::NotFound, format!("there is no module {name}"));
    };
    let question = match serde_json::from_slice::<Asked>(body) {
        Ok(Asked { verb, arguments }) => Question { verb, arguments },
        Err(error) => {
            let text = format!("expected {{\"verb\": \"…\", \"arguments\": {{…}}}}: {error}");
            return ApiAnswer::error(ErrorKind::BadRequest, text);
        }
    };
    match supervisor.ask(&name, question, WITHIN).await {
        Ok(answer) => ApiAnswer::ok(answer),
        Err(error) => ApiAnswer::error(kind(&error), error),
    }
}

fn kind(error: &AskModuleError) -> ErrorKind {
    match error {
        AskModuleError::Unknown(_) => ErrorKind::NotFound,
        AskModuleError::NotRunning { .. } | AskModuleError::Ended(_) => ErrorKind::NotRunning,
        AskModuleError::Refused {
            error: AskError::UnknownVerb { .. } | AskError::Invalid(_),
            ..
        } => ErrorKind::BadRequest,
        AskModuleError::Refused { error: AskError::Failed(_), .. }
        | AskModuleError::Panicked { .. } => ErrorKind::ModuleFailed,
        AskModuleError::TookTooLong { .. } => ErrorKind::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::supervisor::scene::Scene;

    /// The answer of `scripted`, as one line.
    async fn told(scene: &Scene, name: &str, body: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = answer(&scene.supervisor, name, &body).await;
        let error = &answer.body["error"];
        match (error["code"].as_str(), error["message"].as_str()) {
            (Some(code), Some(text)) => format!("{} {code}: {text}", answer.status),
            _ => format!("{} {}", answer.status, answer.body),
        }
    }

    #[tokio::test]
    async fn each_way_to_get_no_answer_has_its_status() {
        let scene = Scene::new(json!({"ask": ["ok", "ok", "ok", "busy", "fail", "panic"]}));
        let echo = r#"{"verb": "echo", "arguments": {"path": "/etc"}}"#;
        assert_eq!(
            told(&scene, "scripted", echo).await,
            "409 not_running: module scripted does not run now, it is stopped"
        );
        scene.start().await.unwrap();
        assert_eq!(told(&scene, "scripted", echo).await, r#"200 {"path":"/etc"}"#);
        assert_eq!(told(&scene, "scripted", r#"{"verb": "echo"}"#).await, "200 {}");
        for (body, line) in [
            (
                r#"{"verb": "x"}"#,
                r#"400 bad_request: module scripted: unknown verb "x"; expected echo"#,
            ),
            (echo, "400 bad_request: module scripted: invalid as scripted"),
            (echo, "500 module_failed: module scripted: ask fails as scripted"),
        ] {
            assert_eq!(told(&scene, "scripted", body).await, line);
        }
        let panicked = told(&scene, "scripted", echo).await;
        assert!(panicked.starts_with("500 module_failed: module scripted failed"), "{panicked}");
        for name in ["nobody", "../etc"] {
            let line = format!("404 not_found: there is no module {name}");
            assert_eq!(told(&scene, name, echo).await, line);
        }
    }

    #[tokio::test]
    async fn a_body_that_is_no_question_is_told_what_one_is() {
        let scene = Scene::new(json!({}));
        for body in ["", "[]", r#"{"arguments": {}}"#, r#"{"verb": "x", "argument": {}}"#] {
            let line = told(&scene, "scripted", body).await;
            let expected = r#"400 bad_request: expected {"verb": "…", "arguments": {…}}: "#;
            assert!(line.starts_with(expected), "{body}: {line}");
        }
    }
}
