//! Where output goes: for people, or as JSON objects for programs, one a line.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::error::CliError;
use super::paint::{Paint, Tone};
use crate::exit::Exit;

/// Standard output and standard error of the program.
///
/// Somebody who stops reading must not stop a command from being followed to its end, so a failed write is kept until
/// [`finish`](Self::finish).
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    json: bool,
    paint: Paint,
    /// Whether a line can be rewritten.
    is_terminal: bool,
    /// Whether there is a line that the next one has to replace.
    has_progress: bool,
    broken: Option<io::Error>,
}

impl Screen {
    /// The program's own streams; in colour when that is wanted and both are a terminal.
    pub(super) fn standard(json: bool, no_color: bool) -> Self {
        let terminals = io::stdout().is_terminal() && io::stderr().is_terminal();
        let paint = Paint { on: terminals && !no_color };
        let mut screen = Self::new(Box::new(io::stdout()), Box::new(io::stderr()), json, paint);
        screen.is_terminal = terminals;
        screen
    }

    pub(super) fn new(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        json: bool,
        paint: Paint,
    ) -> Self {
        let (is_terminal, has_progress) = (false, false);
        Self { out, err, json, paint, is_terminal, has_progress, broken: None }
    }

    /// The answer: `value` for programs, `text` for people.
    pub(super) fn answer(&mut self, value: &Value, text: impl FnOnce(Paint) -> String) {
        self.wipe();
        let text = if self.json { format!("{value}\n") } else { text(self.paint) };
        self.keep(|screen| screen.out.write_all(text.as_bytes()));
    }

    /// One of many answers, shown at once: `value` on a line for programs, `text` for people.
    pub(super) fn item(&mut self, value: &Value, text: impl FnOnce(Paint) -> String) {
        self.answer(value, text);
        self.keep(|screen| screen.out.flush());
    }

    /// From now on lines can be rewritten.
    #[cfg(test)]
    pub(super) fn becomes_a_terminal(&mut self) {
        self.is_terminal = true;
    }

    /// Whether something could not be written. Nothing is written any more then.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// A line that shows how far something is. Programs get it on standard error, so that standard output is one object.
    pub(super) fn live(&mut self, line: impl FnOnce(Paint) -> String) {
        self.wipe();
        let line = format!("{}\n", line(self.paint));
        self.keep(|screen| {
            let stream = if screen.json { &mut screen.err } else { &mut screen.out };
            stream.write_all(line.as_bytes())?;
            stream.flush()
        });
    }

    /// A line for people at a terminal that replaces the one before it, and is replaced by whatever is shown next. It has to be
    /// narrower than the terminal.
    pub(super) fn progress(&mut self, line: impl FnOnce(Paint) -> String) {
        if !self.is_terminal || self.json {
            return;
        }
        // The rest of the line before it is erased after it, not the whole line before it: that would flicker.
        let line = format!("\r{}\x1b[K", line(self.paint));
        self.has_progress = true;
        self.keep(|screen| {
            screen.out.write_all(line.as_bytes())?;
            screen.out.flush()
        });
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.has_progress) {
            self.keep(|screen| {
                screen.out.write_all(b"\r\x1b[K")?;
                screen.out.flush()
            });
        }
    }

    /// Reports `error`, for people on standard error, for programs on standard output.
    pub(super) fn report(&mut self, error: &CliError) -> Exit {
        if self.json {
            self.answer(&error.to_json(), |_| String::new());
        } else {
            self.wipe();
            let text = format!("{} {error}\n", self.paint.text(Tone::Bad, "error:"));
            self.keep(|screen| screen.err.write_all(text.as_bytes()));
        }
        error.exit()
    }

    /// Ends the output. `exit` stands, unless the answer could not be written for another reason than that nobody
    /// reads it any more.
    pub(super) fn finish(mut self, exit: Exit) -> Exit {
        self.wipe();
        self.keep(|screen| screen.out.flush());
        match self.broken.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let text = format!("error: the output could not be written: {error}\n");
                match self.err.write_all(text.as_bytes()) {
                    Ok(()) if exit != Exit::Success => exit,
                    Ok(()) | Err(_) => Exit::Failed,
                }
            }
            Some(_) | None => exit,
        }
    }

    fn keep(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.broken.is_none()
            && let Err(error) = write(self)
        {
            self.broken = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn exit_after_writing_to(kind: io::ErrorKind) -> Exit {
        let paint = Paint { on: false };
        let mut screen = Screen::new(Box::new(Failing(kind)), Box::new(Vec::new()), false, paint);
        screen.live(|_| "a step".to_owned());
        screen.answer(&Value::Null, |_| "text".to_owned());
        screen.finish(Exit::Success)
    }

    #[test]
    fn a_reader_who_goes_away_changes_nothing_and_a_full_disk_is_a_failure() {
        assert_eq!(exit_after_writing_to(io::ErrorKind::BrokenPipe), Exit::Success);
        assert_eq!(exit_after_writing_to(io::ErrorKind::StorageFull), Exit::Failed);
    }
}
