//! What is to happen in one run of the loop, written down beforehand and readable by people.

use std::fmt;

use module_api::units::format_duration;
use module_api::{Act, ModuleName};
use restart::{Limits, Purpose};

/// One run: who takes part and what everybody will do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub purpose: Purpose,
    pub limits: Limits,
    pub modules: Vec<ModulePlan>,
    /// The modules by number, as they are given to the loop; one may come twice.
    pub listed: Vec<usize>,
    pub controller: Controller,
    /// What people and systems send, and at which millisecond.
    pub requests: Vec<(u64, Request)>,
}

/// One module, and what it answers to each call. The last turn is repeated; none at all means a good answer at once.
#[derive(Debug, Clone)]
pub struct ModulePlan {
    pub name: ModuleName,
    /// Whether there is an instance.
    pub runs: bool,
    pub ready: Vec<Turn>,
    pub save: Vec<Turn>,
    /// What the host does with the state.
    pub keep: Vec<Turn>,
    pub stop: Vec<Turn>,
    pub resume: Vec<Turn>,
    /// Publishes an event every so many milliseconds, and goes on with it whatever it says.
    pub lies_every: Option<u64>,
}

/// One answer, and how many milliseconds it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    pub after: u64,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ok,
    Busy,
    Fail,
    Panic,
    Hang,
}

/// What the controller does once it is asked; all times are milliseconds since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Controller {
    pub after: u64,
    pub answer: Word,
    /// When it sends SIGTERM, also before its answer.
    pub sigterm: Option<u64>,
    /// When it finds out that nobody will start the successor.
    pub lost: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Accepts,
    Unconditional,
    Refuses,
    Panics,
    Hangs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Stop,
    Sigterm,
    Force,
    /// The controller finds out that nobody will start the successor.
    Lost,
    /// An answer that nobody waits for.
    Stray(Stray),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// From a module that is not in the loop.
    Stranger,
    /// From this module, to a call that is over or never was.
    Of(usize),
}

pub const REFUSAL: &str = "the unit is masked";
pub const LOSS: &str = "the helper died";

impl Plan {
    /// A run with the default limits, a controller that sends SIGTERM at once, and nobody who interferes.
    pub fn new(purpose: Purpose, modules: Vec<ModulePlan>) -> Self {
        let listed = (0..modules.len()).collect();
        let controller =
            Controller { after: 0, answer: Word::Accepts, sigterm: Some(0), lost: None };
        Self {
            purpose,
            limits: Limits::default(),
            modules,
            listed,
            controller,
            requests: Vec::new(),
        }
    }
}

impl ModulePlan {
    /// A module that answers well and at once.
    pub fn willing(name: &str) -> Self {
        let name = ModuleName::new(name).unwrap();
        let none = Vec::new;
        Self {
            name,
            runs: true,
            ready: none(),
            save: none(),
            keep: none(),
            stop: none(),
            resume: none(),
            lies_every: None,
        }
    }
}

impl Turn {
    pub const OK: Self = Self { after: 0, kind: Kind::Ok };
    pub const HANG: Self = Self { after: 0, kind: Kind::Hang };

    pub fn after(after: u64, kind: Kind) -> Self {
        Self { after, kind }
    }

    /// As a scripted module acts it.
    pub fn act(self) -> Act {
        let act = match self.kind {
            Kind::Ok => Act::Ok,
            Kind::Busy => Act::Busy,
            Kind::Fail => Act::Fail,
            Kind::Panic => Act::Panic,
            Kind::Hang => Act::Hang,
        };
        if self.after == 0 { act } else { act.after_ms(self.after) }
    }

    /// The turn of call `number`, counted from 0.
    pub fn of(turns: &[Self], number: usize) -> Self {
        turns.get(number).or_else(|| turns.last()).copied().unwrap_or(Self::OK)
    }
}

/// The plan in words, for people.
impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.purpose {
            Purpose::Replace => "replace the process",
            Purpose::End => "end the modules",
        };
        let limits = &self.limits;
        let budgets = [
            ("ready", limits.ready),
            ("asked every", limits.poll),
            ("save", limits.save),
            ("stop (twice)", limits.stop),
            ("SIGTERM", limits.replacement),
            ("all", limits.overall),
        ];
        let budgets = budgets.map(|(what, time)| format!("{what} {}", format_duration(time)));
        writeln!(out, "order: {order}")?;
        writeln!(out, "budgets: {}", budgets.join(", "))?;
        for number in &self.listed {
            writeln!(out, "{}: {}", self.modules[*number].name, self.modules[*number])?;
        }
        if self.purpose == Purpose::Replace {
            writeln!(out, "controller: {}", self.controller)?;
        }
        for (at, request) in &self.requests {
            writeln!(out, "after {}: {}", seconds(*at), self.in_words(*request))?;
        }
        Ok(())
    }
}

impl Plan {
    pub fn in_words(&self, request: Request) -> String {
        match request {
            Request::Stop => "an operator orders the agent to stop".to_owned(),
            Request::Sigterm => "SIGTERM comes".to_owned(),
            Request::Force => "the order comes again, with force".to_owned(),
            Request::Lost => "the controller finds that nobody will start the successor".to_owned(),
            Request::Stray(Stray::Stranger) => "a stranger answers a call".to_owned(),
            Request::Stray(Stray::Of(number)) => {
                format!("{} answers a call that is over", self.modules[number].name)
            }
        }
    }
}

impl fmt::Display for ModulePlan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.runs {
            return write!(out, "does not run");
        }
        let parts = [
            ("ready", &self.ready),
            ("save", &self.save),
            ("write", &self.keep),
            ("stop", &self.stop),
            ("resume", &self.resume),
        ];
        let turns = |turns: &[Turn]| {
            turns.iter().map(ToString::to_string).collect::<Vec<String>>().join(", then ")
        };
        let parts = parts.iter().filter(|(_, part)| !part.is_empty());
        let mut parts: Vec<String> =
            parts.map(|(what, part)| format!("{what}: {}", turns(part))).collect();
        parts.extend(
            self.lies_every.map(|every| {
                format!("publishes an event every {}, whatever it says", seconds(every))
            }),
        );
        write!(out, "{}", if parts.is_empty() { "willing".to_owned() } else { parts.join("; ") })
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Ok => "good",
            Kind::Busy => "busy",
            Kind::Fail => "fails",
            Kind::Panic => "panics",
            Kind::Hang => "hangs",
        };
        write!(out, "{kind}")?;
        if self.after > 0 { write!(out, " after {}", seconds(self.after)) } else { Ok(()) }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self.answer {
            Word::Accepts => "accepts",
            Word::Unconditional => "agrees and waits for nothing",
            Word::Refuses => "refuses",
            Word::Panics => "panics",
            Word::Hangs => "hangs",
        };
        match self.after {
            0 => write!(out, "{answer}")?,
            after => write!(out, "after {} it {answer}", seconds(after))?,
        }
        if let Some(after) = self.sigterm {
            write!(out, "; after {} it sends SIGTERM", seconds(after))?;
        }
        if let Some(after) = self.lost {
            write!(
                out,
                "; after {} it finds that nobody will start the successor",
                seconds(after)
            )?;
        }
        Ok(())
    }
}

/// As people read it, exact to the millisecond.
pub fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1_000, millis % 1_000)
}
