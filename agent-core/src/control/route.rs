//! Which request a method, a path and a query stand for.

use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;

use super::{ApiAnswer, ApiRequest, ErrorKind, MAX_WAIT, path_segment};

/// How many commands are listed unless told otherwise.
const DEFAULT_LIMIT: usize = 20;

/// How many changes are listed unless told otherwise.
const DEFAULT_CHANGES: usize = 100;

/// The most commands or changes that one answer lists.
const MAX_LIMIT: usize = 1000;

/// What is asked for, before permission and body.
#[derive(Debug, PartialEq)]
pub(super) enum Route {
    /// A request without a body.
    Read(ApiRequest),
    /// A request that changes something and may have a body.
    Write(Write),
    /// The path exists, with another method.
    WrongMethod {
        /// The value of the header `Allow`.
        allow: &'static str,
    },
    /// Anything else that cannot be served.
    Bad(ApiAnswer),
}

/// What is to be changed.
#[derive(Debug, PartialEq)]
pub(super) enum Write {
    /// `POST /v1/commands`.
    Submit,
    /// `POST /v1/commands/{id}/cancel`, with the id.
    Cancel(String),
    /// `POST /v1/results/{change}/ack`, with the number.
    Acknowledge(u64),
    /// `POST /v1/modules/{name}/ask`, with the name.
    Ask(String),
}

impl Write {
    /// The whole request. An acknowledgement says everything in its path.
    pub(super) fn with(self, body: Bytes) -> ApiRequest {
        match self {
            Self::Submit => ApiRequest::SubmitCommand { body },
            Self::Cancel(id) => ApiRequest::CancelCommand { id, body },
            Self::Acknowledge(change) => ApiRequest::AcknowledgeResult { change },
            Self::Ask(name) => ApiRequest::AskModule { name, body },
        }
    }
}

/// The route of a request. Trailing slashes count: `/v1/status/` does not exist.
pub(super) fn route(method: &Method, path: &str, query: Option<&str>) -> Route {
    let Some(place) = Place::of(path) else {
        let message = format!("there is nothing at {path}");
        return Route::Bad(ApiAnswer::error(ErrorKind::NotFound, message));
    };
    let allow = place.allow();
    let found = if *method == Method::GET && allow != POST {
        place.read(query).map(Route::Read)
    } else if *method == Method::POST && allow != GET {
        no_query(query).and_then(|()| place.write()).map(Route::Write)
    } else {
        return Route::WrongMethod { allow };
    };
    found.unwrap_or_else(bad_query)
}

const GET: &str = "GET";
const POST: &str = "POST";

/// What there is, by its path.
enum Place<'a> {
    Status,
    Modules,
    Commands,
    Command(&'a str),
    Cancel(&'a str),
    Changes,
    Preflight,
    Results,
    Acknowledge(&'a str),
    Ask(&'a str),
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        match parts[..] {
            ["status"] => Some(Self::Status),
            ["modules"] => Some(Self::Modules),
            ["modules", name, "ask"] if !name.is_empty() => Some(Self::Ask(name)),
            ["commands"] => Some(Self::Commands),
            ["commands", id] if !id.is_empty() => Some(Self::Command(id)),
            ["commands", id, "cancel"] if !id.is_empty() => Some(Self::Cancel(id)),
            ["changes"] => Some(Self::Changes),
            ["preflight"] => Some(Self::Preflight),
            ["results"] => Some(Self::Results),
            ["results", change, "ack"] if !change.is_empty() => Some(Self::Acknowledge(change)),
            _ => None,
        }
    }

    /// The methods that are possible here.
    fn allow(&self) -> &'static str {
        match self {
            Self::Commands => "GET, POST",
            Self::Cancel(_) | Self::Acknowledge(_) | Self::Ask(_) => POST,
            Self::Status
            | Self::Modules
            | Self::Command(_)
            | Self::Changes
            | Self::Preflight
            | Self::Results => GET,
        }
    }

    fn read(self, query: Option<&str>) -> Result<ApiRequest, String> {
        match self {
            Self::Status => no_query(query).map(|()| ApiRequest::Status),
            Self::Modules => no_query(query).map(|()| ApiRequest::Modules),
            Self::Commands => list(query),
            Self::Command(segment) => show(segment, query),
            Self::Changes => changes(query),
            Self::Preflight => preflight(query),
            Self::Results => {
                let [wait_ms] = numbers(query, ["wait_ms"])?;
                Ok(ApiRequest::Results { wait: wait(wait_ms) })
            }
            Self::Cancel(_) | Self::Acknowledge(_) | Self::Ask(_) => {
                Err("nothing to read".to_owned())
            }
        }
    }

    fn write(self) -> Result<Write, String> {
        match self {
            Self::Commands => Ok(Write::Submit),
            Self::Cancel(segment) => decoded(segment).map(Write::Cancel),
            // Names of modules need no escapes: whatever has one is no name, and the agent says so.
            Self::Ask(name) => Ok(Write::Ask(name.to_owned())),
            Self::Acknowledge(change) => {
                let number = change.parse().ok().filter(|_| is_digits(change));
                let number =
                    number.ok_or_else(|| format!("{change:?} is not the number of a result"));
                number.map(Write::Acknowledge)
            }
            Self::Status
            | Self::Modules
            | Self::Command(_)
            | Self::Changes
            | Self::Preflight
            | Self::Results => Err("nothing to change".to_owned()),
        }
    }
}

fn bad_query(message: String) -> Route {
    Route::Bad(ApiAnswer::error(ErrorKind::BadQuery, message))
}

fn list(query: Option<&str>) -> Result<ApiRequest, String> {
    let [limit] = numbers(query, ["limit"])?;
    Ok(ApiRequest::ListCommands { limit: limited(limit, DEFAULT_LIMIT)? })
}

fn changes(query: Option<&str>) -> Result<ApiRequest, String> {
    let [after, limit, wait_ms] = numbers(query, ["after", "limit", "wait_ms"])?;
    let limit = limited(limit, DEFAULT_CHANGES)?;
    Ok(ApiRequest::Changes { after: after.unwrap_or(0), limit, wait: wait(wait_ms) })
}

/// Names of modules need no escapes: whatever has one is no name, and the agent says so.
fn preflight(query: Option<&str>) -> Result<ApiRequest, String> {
    let (mut modules, mut force) = (None, None);
    for part in query.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
        let (key, text) = part.split_once('=').unwrap_or((part, ""));
        let known = match key {
            "modules" => modules.replace(text).is_none(),
            "force" => force.replace(text).is_none(),
            _ => {
                return Err(format!("unknown query parameter {key:?}; allowed: modules, force"));
            }
        };
        if !known {
            return Err(format!("query parameter {key:?} is given twice"));
        }
    }
    let force = match force {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(format!("force={other:?} is neither true nor false")),
    };
    let names = modules.unwrap_or_default().split(',').filter(|name| !name.is_empty());
    let modules = names.map(str::to_owned).collect();
    Ok(ApiRequest::Preflight { modules, force, wait: MAX_WAIT })
}

fn limited(limit: Option<u64>, unless_told: usize) -> Result<usize, String> {
    let Some(number) = limit else { return Ok(unless_told) };
    let fits = usize::try_from(number).ok().filter(|number| (1..=MAX_LIMIT).contains(number));
    fits.ok_or_else(|| format!("limit={number} is out of range: 1 to {MAX_LIMIT}"))
}

fn wait(wait_ms: Option<u64>) -> Duration {
    Duration::from_millis(wait_ms.unwrap_or(0)).min(MAX_WAIT)
}

fn decoded(segment: &str) -> Result<String, String> {
    let broken = || format!("the id {segment:?} has a broken percent escape");
    path_segment::decode(segment).ok_or_else(broken)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn show(segment: &str, query: Option<&str>) -> Result<ApiRequest, String> {
    let id = decoded(segment)?;
    let [after, wait_ms] = numbers(query, ["after", "wait_ms"])?;
    Ok(ApiRequest::ShowCommand { id, after, wait: wait(wait_ms) })
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
        let number = text.parse().ok().filter(|_| is_digits(text));
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
mod tests;
