//! Each path is its request, and what is not understood is refused with what is allowed.

use super::*;

fn get(target: &str) -> Route {
    let (path, query) =
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    route(&Method::GET, path, query)
}

fn refusal(target: &str) -> String {
    let Route::Bad(answer) = get(target) else { panic!("{target} was accepted") };
    format!("{} {}", answer.status, answer.body["error"]["message"].as_str().unwrap())
}

#[test]
fn each_path_is_its_request() {
    assert_eq!(get("/v1/status"), Route::Read(ApiRequest::Status));
    assert_eq!(get("/v1/modules?"), Route::Read(ApiRequest::Modules));
    assert_eq!(get("/v1/commands"), Route::Read(ApiRequest::ListCommands { limit: 20 }));
    assert_eq!(
        get("/v1/commands?limit=1000"),
        Route::Read(ApiRequest::ListCommands { limit: 1000 })
    );
    assert_eq!(route(&Method::POST, "/v1/commands", None), Route::Write(Write::Submit));
}

#[test]
fn a_command_is_shown_with_its_decoded_id() {
    let wait = Duration::from_millis(250);
    assert_eq!(
        get("/v1/commands/a%2Fb?after=7&wait_ms=250"),
        Route::Read(ApiRequest::ShowCommand { id: "a/b".into(), after: Some(7), wait })
    );
}

#[test]
fn changes_begin_with_the_oldest_unless_told() {
    let wait = Duration::ZERO;
    let all = Route::Read(ApiRequest::Changes { after: 0, limit: 100, wait });
    assert_eq!(get("/v1/changes"), all);
}

#[test]
fn what_is_cancelled_or_acknowledged_is_in_the_path() {
    let post = |path| route(&Method::POST, path, None);
    let cancel = Route::Write(Write::Cancel("a/b".to_owned()));
    assert_eq!(post("/v1/commands/a%2Fb/cancel"), cancel);
    assert_eq!(post("/v1/results/7/ack"), Route::Write(Write::Acknowledge(7)));
    for path in ["/v1/results/+7/ack", "/v1/results/x/ack", "/v1/commands/%zz/cancel"] {
        assert!(matches!(post(path), Route::Bad(answer) if answer.status == 400), "{path}");
    }
}

#[test]
fn a_module_is_asked_by_its_name_alone() {
    let path = "/v1/modules/fim/ask";
    let ask = Route::Write(Write::Ask("fim".to_owned()));
    assert_eq!(route(&Method::POST, path, None), ask);
    assert_eq!(route(&Method::GET, path, None), Route::WrongMethod { allow: "POST" });
    let refused = route(&Method::POST, path, Some("verb=status"));
    assert!(matches!(refused, Route::Bad(answer) if answer.status == 400));
    for path in ["/v1/modules/fim", "/v1/modules//ask", "/v1/modules/fim/ask/"] {
        let missing = route(&Method::POST, path, None);
        assert!(matches!(missing, Route::Bad(answer) if answer.status == 404), "{path}");
    }
}

#[test]
fn a_preflight_is_of_the_agent_unless_modules_are_named() {
    let asked = |modules: &[&str], force| {
        let modules = modules.iter().map(ToString::to_string).collect();
        Route::Read(ApiRequest::Preflight { modules, force, wait: MAX_WAIT })
    };
    assert_eq!(get("/v1/preflight"), asked(&[], false));
    assert_eq!(get("/v1/preflight?modules=fim,sca&force=true"), asked(&["fim", "sca"], true));
    for (target, message) in [
        ("/v1/preflight?force=1", "400 force=\"1\" is neither true nor false"),
        ("/v1/preflight?force=true&force=true", "400 query parameter \"force\" is given twice"),
        (
            "/v1/preflight?module=fim",
            "400 unknown query parameter \"module\"; allowed: modules, force",
        ),
    ] {
        assert_eq!(refusal(target), message);
    }
}

#[test]
fn a_wait_is_cut_to_thirty_seconds() {
    let wait = Duration::from_secs(30);
    assert_eq!(
        get("/v1/commands/x?wait_ms=18446744073709551615"),
        Route::Read(ApiRequest::ShowCommand { id: "x".into(), after: None, wait })
    );
}

#[test]
fn a_query_that_is_not_understood_is_refused_with_what_is_allowed() {
    let refused = [
        ("/v1/commands?limit=0", "400 limit=0 is out of range: 1 to 1000"),
        ("/v1/commands?limit=1001", "400 limit=1001 is out of range: 1 to 1000"),
        ("/v1/commands?limit=+5", "400 limit=\"+5\" is not a whole number"),
        ("/v1/commands?limit", "400 limit=\"\" is not a whole number"),
        ("/v1/commands?limit=1&limit=2", "400 query parameter \"limit\" is given twice"),
        ("/v1/status?verbose=1", "400 unknown query parameter \"verbose\"; allowed: none"),
        ("/v1/commands/x?wait=1", "400 unknown query parameter \"wait\"; allowed: after, wait_ms"),
        ("/v1/commands/x?after=-1", "400 after=\"-1\" is not a whole number"),
        ("/v1/commands/%zz", "400 the id \"%zz\" has a broken percent escape"),
        ("/v1/changes?limit=0", "400 limit=0 is out of range: 1 to 1000"),
        ("/v1/results?after=1", "400 unknown query parameter \"after\"; allowed: wait_ms"),
    ];
    for (target, message) in refused {
        assert_eq!(refusal(target), message, "{target}");
    }
}

#[test]
fn unknown_paths_are_not_found() {
    for target in ["/", "/v1", "/v1/status/", "/v2/status", "/v1/commands/", "/v1/commands/a/b"] {
        assert_eq!(refusal(target), format!("404 there is nothing at {target}"));
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let wrong = |method, path| route(&method, path, None);
    assert_eq!(wrong(Method::POST, "/v1/status"), Route::WrongMethod { allow: "GET" });
    assert_eq!(wrong(Method::DELETE, "/v1/commands/x"), Route::WrongMethod { allow: "GET" });
    assert_eq!(wrong(Method::GET, "/v1/commands/x/cancel"), Route::WrongMethod { allow: "POST" });
    assert_eq!(wrong(Method::PUT, "/v1/commands"), Route::WrongMethod { allow: "GET, POST" });
    let not_found = wrong(Method::POST, "/nothing");
    assert!(matches!(not_found, Route::Bad(answer) if answer.status == 404));
}
