//! The errors that libcontainer logs while it works, in any of its processes.
//!
//! All of them write to one memory file, which the calling helper process reads afterwards. It must
//! stay small: it is only for the helper, whose memory is freed when the container runs.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{Read, Seek, Write};

use nix::sys::memfd::{MFdFlags, memfd_create};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

/// Complaints that are reported; the first ones say most.
const COMPLAINTS_MAX: usize = 3;

/// The memory file.
#[derive(Debug, Default)]
pub struct Complaints {
    file: Option<File>,
}

impl Complaints {
    /// Collects from here on, for the rest of this process' life.
    pub fn begin(&mut self) {
        if self.file.is_some() {
            return;
        }
        let file = memfd_create(c"complaints", MFdFlags::MFD_CLOEXEC).map(File::from);
        let Ok(file) = file else { return };
        if let Ok(copy) = file.try_clone() {
            // A subscriber that is set already gets the messages instead.
            let _ = tracing::subscriber::set_global_default(Recorder { file: copy });
        }
        self.file = Some(file);
    }

    /// The messages so far, each once.
    pub fn take(&self) -> Vec<String> {
        let Some(mut file) = self.file.as_ref() else { return Vec::new() };
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        if read.is_err() {
            return Vec::new();
        }
        let mut told: Vec<String> = Vec::new();
        for line in text.lines() {
            if !told.iter().any(|known| known.contains(line) || line.contains(known)) {
                told.push(line.to_owned());
            }
        }
        told.truncate(COMPLAINTS_MAX);
        told
    }
}

struct Recorder {
    file: File,
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR && metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let text = line.0.replace('\n', " ");
        let _ = (&self.file).write_all(format!("{text}\n").as_bytes());
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let gap = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{gap}{value:?}"),
            name => write!(self.0, "{gap}{name}={value:?}"),
        };
    }
}
