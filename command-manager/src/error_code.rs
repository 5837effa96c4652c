//! The numbers that say in one place how a command ended.

use serde::{Deserialize, Serialize};

/// How a command ended, as the number in `error` and `parameters.error`. The numbers are part of the wire form: a number
/// is never given another meaning, new ones are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "i32", try_from = "i32")]
#[repr(i32)]
pub enum ErrorCode {
    /// 0: done as asked; also the value while nothing is decided yet.
    Ok = 0,
    /// 1: tried and failed; the text says why.
    Failed = 1,
    /// 2: refused or denied before anything was changed.
    Refused = 2,
    /// 3: given up, because the agent did not survive the attempts allowed.
    GaveUp = 3,
    /// 4: broken off; whether it had an effect is told in the text.
    Interrupted = 4,
    /// 5: not done within its time.
    TimedOut = 5,
    /// 6: done, but not everything that is wanted runs.
    Degraded = 6,
    /// 7: not done, because an operator's stop came first.
    OvertakenByStop = 7,
    /// 8: not done, because its time had passed before its turn came.
    Expired = 8,
    /// 9: not done, because somebody cancelled it before its turn came.
    Cancelled = 9,
}

/// A number that is no [`ErrorCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown error code {0}: expected 0 to 9")]
pub struct UnknownErrorCode(pub i32);

impl ErrorCode {
    /// Every code there is, by number.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Failed,
        Self::Refused,
        Self::GaveUp,
        Self::Interrupted,
        Self::TimedOut,
        Self::Degraded,
        Self::OvertakenByStop,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The number.
    #[must_use]
    pub fn code(self) -> i32 {
        self as i32
    }
}

impl From<ErrorCode> for i32 {
    fn from(code: ErrorCode) -> Self {
        code.code()
    }
}

impl TryFrom<i32> for ErrorCode {
    type Error = UnknownErrorCode;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        Self::ALL.into_iter().find(|code| code.code() == number).ok_or(UnknownErrorCode(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_documented_ones_and_lead_back() {
        for (number, code) in (0..).zip(ErrorCode::ALL) {
            assert_eq!(code.code(), number);
            assert_eq!(ErrorCode::try_from(number), Ok(code));
        }
        assert_eq!(ErrorCode::try_from(10), Err(UnknownErrorCode(10)));
    }
}
