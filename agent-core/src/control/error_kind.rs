//! The kinds of errors that the control API answers with.

/// What went wrong, as programs read it in `error.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// `malformed_request`, 400: the bytes are not an HTTP/1.1 request, or the body broke off.
    MalformedRequest,
    /// `bad_query`, 400: the query or the path has a part that is unknown, repeated or out of range.
    BadQuery,
    /// `bad_request`, 400: the body is not what the path wants: no command envelope, or a question that the module does not
    /// understand.
    BadRequest,
    /// `not_permitted`, 403: this user may not submit commands.
    NotPermitted,
    /// `not_found`, 404: no such path, no command with this id, or no module of this name.
    NotFound,
    /// `method_not_allowed`, 405: the path exists; the header `Allow` says with which method.
    MethodNotAllowed,
    /// `request_timeout`, 408: the body did not arrive in time.
    RequestTimeout,
    /// `conflict`, 409: the id belongs to another command already; nothing was changed.
    Conflict,
    /// `not_running`, 409: the module does not run now, or was ended before it had answered. Asking again after its start is right.
    NotRunning,
    /// `too_many_restarts`, 429: the agent was restarted as often as it may be within an hour; `error.retry_after_s` says
    /// how long to wait.
    TooManyRestarts,
    /// `body_too_large`, 413: the body has more than [`MAX_BODY`](super::MAX_BODY) bytes.
    BodyTooLarge,
    /// `uri_too_long`, 414.
    UriTooLong,
    /// `headers_too_large`, 431: the head of the request is longer than the server reads.
    HeadersTooLarge,
    /// `internal`, 500: a fault of the agent.
    Internal,
    /// `module_failed`, 500: the module could not answer, and says why, or panicked over the question.
    ModuleFailed,
    /// `storage`, 503: the journal cannot be read or written now; nothing was accepted. Asking again later is right.
    Storage,
    /// `no_answer`, 504: the module has not answered within 30 s. What it was asked for may be done or not.
    NoAnswer,
}

impl ErrorKind {
    /// Every kind there is.
    pub const ALL: [Self; 17] = [
        Self::MalformedRequest,
        Self::BadQuery,
        Self::BadRequest,
        Self::NotPermitted,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::NotRunning,
        Self::TooManyRestarts,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::ModuleFailed,
        Self::Storage,
        Self::NoAnswer,
    ];

    /// The text in `error.code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::BadQuery => "bad_query",
            Self::BadRequest => "bad_request",
            Self::NotPermitted => "not_permitted",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::Conflict => "conflict",
            Self::NotRunning => "not_running",
            Self::TooManyRestarts => "too_many_restarts",
            Self::BodyTooLarge => "body_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Internal => "internal",
            Self::ModuleFailed => "module_failed",
            Self::Storage => "storage",
            Self::NoAnswer => "no_answer",
        }
    }

    /// The HTTP status it is sent with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::MalformedRequest | Self::BadQuery | Self::BadRequest => 400,
            Self::NotPermitted => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict | Self::NotRunning => 409,
            Self::TooManyRestarts => 429,
            Self::BodyTooLarge => 413,
            Self::UriTooLong => 414,
            Self::HeadersTooLarge => 431,
            Self::Internal | Self::ModuleFailed => 500,
            Self::Storage => 503,
            Self::NoAnswer => 504,
        }
    }

    /// The kind whose `error.code` is `text`, if there is one.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_and_has_a_status_of_failure() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_name(kind.as_str()), Some(kind));
            assert!((400..600).contains(&kind.status()), "{kind:?}");
        }
        assert_eq!(ErrorKind::from_name("teapot"), None);
    }
}
