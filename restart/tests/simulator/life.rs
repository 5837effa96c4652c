//! A record sorted for questions: what each module went through, and what came from outside.

use restart::{Ending, ModuleOutcome};

use crate::stage::plan::{ModulePlan, Plan, Request};
use crate::stage::record::{How, Method, Record, What};

/// When something happened: its place in the record, and its millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub place: usize,
    pub at: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub method: Method,
    pub from: Moment,
    pub end: Option<(Moment, How)>,
}

/// One module.
pub struct Life<'a> {
    pub number: usize,
    pub plan: &'a ModulePlan,
    pub calls: Vec<Call>,
    pub released: Vec<Moment>,
    pub abandoned: Vec<Moment>,
    /// Nothing if the outcome does not name it.
    pub outcome: Option<&'a ModuleOutcome>,
}

/// The whole run.
pub struct Seen<'a> {
    pub plan: &'a Plan,
    pub record: &'a Record,
    pub lives: Vec<Life<'a>>,
    pub sent: Vec<(Moment, Request)>,
    pub requested: Vec<Moment>,
    pub controller: Option<(Moment, How)>,
    pub over: Moment,
}

impl<'a> Seen<'a> {
    pub fn of(plan: &'a Plan, record: &'a Record) -> Self {
        let lives = plan.modules.iter().enumerate().map(|(number, plan)| Life {
            number,
            plan,
            calls: Vec::new(),
            released: Vec::new(),
            abandoned: Vec::new(),
            outcome: record.outcome.modules.iter().find(|outcome| outcome.name == plan.name),
        });
        let mut seen = Self {
            plan,
            record,
            lives: lives.collect(),
            sent: Vec::new(),
            requested: Vec::new(),
            controller: None,
            over: Moment { place: usize::MAX, at: u64::MAX },
        };
        for (place, entry) in record.entries.iter().enumerate() {
            seen.sort_in(Moment { place, at: entry.at }, &entry.what);
        }
        seen
    }

    fn sort_in(&mut self, now: Moment, what: &What) {
        match what {
            What::Called(module, method) => {
                let call = Call { method: *method, from: now, end: None };
                self.lives[*module].calls.push(call);
            }
            What::Ended(module, method, how) => {
                let mut calls = self.lives[*module].calls.iter_mut().rev();
                let call = calls.find(|call| call.method == *method && call.end.is_none());
                call.unwrap().end = Some((now, *how));
            }
            What::Released(module) => self.lives[*module].released.push(now),
            What::Abandoned(module) => self.lives[*module].abandoned.push(now),
            What::Requested => self.requested.push(now),
            What::Controller(how) => self.controller = Some((now, *how)),
            What::Sent(request) => self.sent.push((now, *request)),
            What::Reported(_) | What::Published(..) => {}
            What::Over => self.over = now,
        }
    }

    /// When this request was given to the loop, each time.
    pub fn sent(&self, request: Request) -> impl Iterator<Item = Moment> {
        self.sent.iter().filter(move |(_, sent)| *sent == request).map(|(moment, _)| *moment)
    }

    /// All that opens the gate of a restart.
    pub fn openers(&self) -> impl Iterator<Item = Moment> {
        let unconditional = self.controller.filter(|(_, how)| *how == How::Otherwise);
        let requests = self.sent(Request::Stop).chain(self.sent(Request::Sigterm));
        requests.chain(unconditional.map(|(moment, _)| moment))
    }

    /// When the gate opened, if it did.
    pub fn gate(&self) -> Option<Moment> {
        self.openers().min()
    }

    pub fn called_off(&self) -> bool {
        matches!(self.record.outcome.ending, Ending::CalledOff(_))
    }

    /// Every refusal of the controller, at first or later.
    pub fn refusals(&self) -> impl Iterator<Item = Moment> {
        let refused = self.controller.filter(|(_, how)| matches!(how, How::Failed | How::Panicked));
        self.sent(Request::Lost).chain(refused.map(|(moment, _)| moment))
    }

    /// Whether calls may have been cut short at this millisecond for the loop's own reasons.
    pub fn is_cut(&self, at: u64) -> bool {
        self.is_overall(at) || self.sent(Request::Force).any(|force| force.at == at)
    }

    pub fn is_overall(&self, at: u64) -> bool {
        u128::from(at) == self.plan.limits.overall.as_millis()
    }
}

impl Life<'_> {
    pub fn of(&self, method: Method) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.method == method)
    }

    /// How the last question was answered, if it was asked at all.
    pub fn last_answer(&self) -> Option<How> {
        self.of(Method::Ready).next_back().and_then(Call::how)
    }

    /// Whether the state came to lie where the next instance finds it.
    pub fn kept(&self) -> bool {
        self.of(Method::Keep).any(|call| call.how() == Some(How::Done))
    }

    /// When saving ended or was given up, if it began.
    pub fn saved(&self) -> Option<Moment> {
        let mut both = self
            .calls
            .iter()
            .rev()
            .filter(|call| matches!(call.method, Method::Save | Method::Keep));
        both.next().and_then(|call| call.end).map(|(moment, _)| moment)
    }

    /// When it stopped by itself, as it said.
    pub fn stopped(&self) -> Option<Moment> {
        let said_so = |call: &&Call| call.how() == Some(How::Done);
        self.of(Method::Stop).find(said_so).and_then(|call| call.end).map(|(moment, _)| moment)
    }
}

impl Call {
    pub fn how(&self) -> Option<How> {
        self.end.map(|(_, how)| how)
    }
}
