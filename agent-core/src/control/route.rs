//! Which request a method, a path and a query stand for.

use std::time::Duration;

use hyper::Method;

use super::{ApiAnswer, ApiRequest, ErrorKind, MAX_WAIT, path_segment};

/// How many commands are listed unless told otherwise.
const DEFAULT_LIMIT: usize = 20;

/// The most commands that one answer lists.
const MAX_LIMIT: usize = 1000;

/// What is asked for, before permission and body.
#[derive(Debug, PartialEq)]
pub(super) enum Route {
    /// A request without a body.
    Read(ApiRequest),
    /// `POST /v1/commands`.
    Submit,
    /// The path exists, with another method.
    WrongMethod {
        /// The value of the header `Allow`.
        allow: &'static str,
    },
    /// Anything else that cannot be served.
    Bad(ApiAnswer),
}

/// The route of a request. Trailing slashes count: `/v1/status/` does not exist.
pub(super) fn route(method: &Method, path: &str, query: Option<&str>) -> Route {
    let found = match path {
        "/v1/status" => no_query(query).map(|()| ApiRequest::Status),
        "/v1/modules" => no_query(query).map(|()| ApiRequest::Modules),
        "/v1/commands" if *method == Method::POST => {
            return no_query(query).map_or_else(bad_query, |()| Route::Submit);
        }
        "/v1/commands" => list(query),
        _ => match path.strip_prefix("/v1/commands/") {
            Some(segment) if !segment.is_empty() && !segment.contains('/') => show(segment, query),
            _ => {
                let message = format!("there is nothing at {path}");
                return Route::Bad(ApiAnswer::error(ErrorKind::NotFound, message));
            }
        },
    };
    if *method != Method::GET {
        let allow = if path == "/v1/commands" { "GET, POST" } else { "GET" };
        return Route::WrongMethod { allow };
    }
    found.map_or_else(bad_query, Route::Read)
}

fn bad_query(message: String) -> Route {
    Route::Bad(ApiAnswer::error(ErrorKind::BadQuery, message))
}

fn list(query: Option<&str>) -> Result<ApiRequest, String> {
    let [limit] = numbers(query, ["limit"])?;
    let limit = match limit {
        None => DEFAULT_LIMIT,
        Some(number) => usize::try_from(number)
            .ok()
            .filter(|number| (1..=MAX_LIMIT).contains(number))
            .ok_or_else(|| format!("limit={number} is out of range: 1 to {MAX_LIMIT}"))?,
    };
    Ok(ApiRequest::ListCommands { limit })
}

fn show(segment: &str, query: Option<&str>) -> Result<ApiRequest, String> {
    let id = path_segment::decode(segment)
        .ok_or_else(|| format!("the id {segment:?} has a broken percent escape"))?;
    let [after, wait_ms] = numbers(query, ["after", "wait_ms"])?;
    let wait = Duration::from_millis(wait_ms.unwrap_or(0)).min(MAX_WAIT);
    Ok(ApiRequest::ShowCommand { id, after, wait })
}

fn no_query(query: Option<&str>) -> Result<(), String> {
    numbers(query, []).map(|[]| ())
}

/// The values of `keys`, each a whole number and given once at most; any other key is an error.
fn numbers<const N: usize>(
    query: Option<&str>,
    keys: [&str; N],
) -> Result<[Option<u64>; N], String> {
    let mut values = [None; N];
    for part in query.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
        let (key, text) = part.split_once('=').unwrap_or((part, ""));
        let Some(place) = keys.iter().position(|known| *known == key) else {
            let allowed = if N == 0 { "none".to_owned() } else { keys.join(", ") };
            return Err(format!("unknown query parameter {key:?}; allowed: {allowed}"));
        };
        // `parse` alone would take a leading plus sign.
        let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let Some(number) = number else {
            return Err(format!("{key}={text:?} is not a whole number"));
        };
        if values[place].replace(number).is_some() {
            return Err(format!("query parameter {key:?} is given twice"));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(route(&Method::POST, "/v1/commands", None), Route::Submit);
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
            (
                "/v1/commands/x?wait=1",
                "400 unknown query parameter \"wait\"; allowed: after, wait_ms",
            ),
            ("/v1/commands/x?after=-1", "400 after=\"-1\" is not a whole number"),
            ("/v1/commands/%zz", "400 the id \"%zz\" has a broken percent escape"),
        ];
        for (target, message) in refused {
            assert_eq!(refusal(target), message, "{target}");
        }
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for target in ["/", "/v1", "/v1/status/", "/v2/status", "/v1/commands/", "/v1/commands/a/b"]
        {
            assert_eq!(refusal(target), format!("404 there is nothing at {target}"));
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let wrong = |method, path| route(&method, path, None);
        assert_eq!(wrong(Method::POST, "/v1/status"), Route::WrongMethod { allow: "GET" });
        assert_eq!(wrong(Method::DELETE, "/v1/commands/x"), Route::WrongMethod { allow: "GET" });
        assert_eq!(wrong(Method::PUT, "/v1/commands"), Route::WrongMethod { allow: "GET, POST" });
        let not_found = wrong(Method::POST, "/nothing");
        assert!(matches!(not_found, Route::Bad(answer) if answer.status == 404));
    }
}
