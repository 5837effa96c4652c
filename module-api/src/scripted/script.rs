//! What is written down beforehand: the acts of each method, and what the module does besides.

use std::path::PathBuf;

use serde::Deserialize;

use super::Act;

/// The acts of each method, by number of the call. The last act is repeated; an empty list means `Ok`.
///
/// As a section of the configuration:
///
/// ```yaml
/// start: [fail, ok]                            # succeeds at the second call
/// ready: [busy, {after-ms: 300, then: busy}, ok]
/// stop: [ok-after-ms: 1500]
/// slow_by_ms: 200                              # before each answer of every method
/// publish_every_ms: 50
/// watch: /srv/incoming
/// ask: [ok, hang]                              # answers the verb `echo` with its arguments, then no more
/// lies: [stop]                                 # answers that it stopped, and goes on publishing
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Acts of `start`.
    pub start: Vec<Act>,
    /// Acts of `ready_for_shutdown`.
    pub ready: Vec<Act>,
    /// Acts of `save_state`.
    pub save: Vec<Act>,
    /// Acts of `stop`.
    pub stop: Vec<Act>,
    /// Acts of `resume`.
    pub resume: Vec<Act>,
    /// Acts of `ask`. It answers the verb `echo` with its arguments and knows no other; a busy one finds them invalid.
    pub ask: Vec<Act>,
    /// Fails, as a module whose background task ends with an error, this many milliseconds after each start.
    pub fail_after_ms: Option<u64>,
    /// Waits this many milliseconds before each act of every method.
    pub slow_by_ms: u64,
    /// Once started, publishes an event every so many milliseconds (0 counts as 1), with a checkpoint that says how many
    /// there were; so the next instance goes on counting. Pauses from `ready_for_shutdown` until `resume`,
    /// and ends with a `stop` that answers well, unless it [`Lie`]s.
    pub publish_every_ms: Option<u64>,
    /// Publishes an event for each file that is made in this folder, seen by an inotify instance that it hands out as the
    /// sensor `inotify`: the next instance goes on with it. Needs a runtime with I/O.
    pub watch: Option<PathBuf>,
    /// With [`Script::watch`]: keeps in memory, as the sensor `seen`, how many files were seen so far, before each event; and says
    /// as an event how many an earlier instance had seen.
    pub remember: bool,
    /// With [`Script::watch`]: writes into a recorder, the sensor `count`, how many files were seen so far, before each event; and says
    /// the same event as with [`Script::remember`].
    pub record: bool,
    /// After which answers it goes on publishing all the same.
    pub lies: Vec<Lie>,
}

/// An answer that is not true: the module goes on publishing after it. Means nothing without
/// [`Script::publish_every_ms`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lie {
    /// It was asked whether it is ready, and takes on work as before.
    Ready,
    /// It gave its state away, and publishes events that neither this state nor a checkpoint knows of.
    Save,
    /// It said that it stopped. Its publisher runs where no abort of its tasks reaches it, on the runtime that the
    /// instance was built on if there was one, and goes on even when it is told that its sink is closed.
    Stop,
}
