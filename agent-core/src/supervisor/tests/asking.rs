//! A question costs its asker at most, whatever the module does with it.

use module_api::{AskError, ModuleName, Question};
use serde_json::{Map, Value, json};

use super::super::AskModuleError;
use super::super::scene::WITHIN;
use super::*;

fn question(verb: &str, arguments: &Value) -> Question {
    let arguments: Map<String, Value> = arguments.as_object().unwrap().clone();
    Question { verb: verb.to_owned(), arguments }
}

impl Scene {
    async fn ask(&self, verb: &str) -> Result<Value, AskModuleError> {
        self.supervisor.ask(&self.name, question(verb, &json!({"path": "/etc"})), WITHIN).await
    }

    async fn refusal(&self, verb: &str) -> String {
        self.ask(verb).await.unwrap_err().to_string()
    }
}

#[tokio::test]
async fn a_running_module_answers_and_names_the_verbs_it_knows() {
    let scene = Scene::new(json!({}));
    scene.start().await.unwrap();
    assert_eq!(scene.ask("echo").await, Ok(json!({"path": "/etc"})));
    assert_eq!(
        scene.refusal("ecoh").await,
        r#"module scripted: unknown verb "ecoh"; expected echo"#
    );
}

#[tokio::test]
async fn a_module_that_refuses_fails_or_panics_goes_on_running() {
    let mut scene = Scene::new(json!({"ask": ["busy", "fail", "panic", "ok"]}));
    scene.start().await.unwrap();
    let refused = |error| AskModuleError::Refused { module: scene.name.clone(), error };
    let invalid = AskError::Invalid("invalid as scripted".to_owned());
    assert_eq!(scene.ask("echo").await, Err(refused(invalid)));
    let failed = AskError::Failed("ask fails as scripted".to_owned());
    assert_eq!(scene.ask("echo").await, Err(refused(failed)));
    assert!(matches!(scene.ask("echo").await, Err(AskModuleError::Panicked { .. })));
    assert!(scene.ask("echo").await.is_ok());
    assert_eq!((scene.state(), scene.status().failures), (ModuleState::Running, 0));
    assert!(scene.failures.try_recv().is_err());
}

#[tokio::test]
async fn a_question_that_hangs_costs_its_budget_and_others_are_answered_meanwhile() {
    let scene = Scene::new(json!({"ask": ["hang", "ok"]}));
    scene.start().await.unwrap();
    let within = Duration::from_secs(2);
    let ask = || scene.supervisor.ask(&scene.name, question("echo", &json!({})), within);
    // The module's threads decide which of the two is the first.
    let (one, other) = tokio::join!(ask(), ask());
    let (answered, hung) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(answered, Ok(json!({})));
    assert_eq!(hung.unwrap_err().to_string(), "module scripted has not answered within 2s");
    assert_eq!(scene.state(), ModuleState::Running);
}

#[tokio::test]
async fn a_module_that_does_not_run_is_not_asked() {
    let scene = Scene::new(json!({"ask": ["hang"]}));
    assert_eq!(scene.refusal("echo").await, "module scripted does not run now, it is stopped");
    scene.start().await.unwrap();
    let end = async {
        let metrics = scene.supervisor.runtime_of(&scene.name).unwrap().metrics();
        while metrics.num_alive_tasks() == 0 {
            tokio::task::yield_now().await;
        }
        scene.supervisor.end(&scene.name, ModuleState::Stopped);
    };
    let (asked, ()) = tokio::join!(scene.ask("echo"), end);
    assert_eq!(asked, Err(AskModuleError::Ended(scene.name.clone())));
    scene.start().await.unwrap();
    scene.supervisor.mark_stopping(&scene.name);
    assert_eq!(scene.refusal("echo").await, "module scripted does not run now, it is stopping");
    let nobody = ModuleName::new("nobody").unwrap();
    let unknown = scene.supervisor.ask(&nobody, question("echo", &json!({})), WITHIN).await;
    assert_eq!(unknown.unwrap_err().to_string(), "there is no module nobody");
}
