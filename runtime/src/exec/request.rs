//! The request of a session; it travels between nodes unchanged.

use serde::{Deserialize, Serialize};

/// What a session is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecRequest {
    /// To run a command.
    Exec(ExecOrder),
    /// To send input to the container itself.
    Input,
    /// To report what is at a path.
    Stat {
        /// Within the task's root.
        path: String,
    },
    /// To pack what is at a path into a tar archive.
    Get {
        /// Within the task's root.
        path: String,
    },
    /// To pack all files of a container, without what is mounted into it.
    Export,
    /// To pack what a container wrote as a layer of an image.
    Layer,
    /// To tell what a container changed in its image.
    Changes,
    /// To unpack a tar archive.
    Put(PutOrder),
}

/// A command to run beside a task's program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOrder {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// `NAME=value`, over those of the task.
    pub env: Vec<String>,
    /// Instead of the task's user.
    pub user: Option<String>,
    /// Instead of the task's working directory.
    pub dir: Option<String>,
    /// With every capability. A program of the host has those of its user anyway.
    pub privileged: bool,
    /// On a terminal of this size, instead of pipes.
    pub terminal: Option<Size>,
    /// The client will write to it; else it reads an end of file at once.
    pub stdin: bool,
    /// No client listens, and the command continues when the client is gone.
    pub detached: bool,
}

/// Of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub columns: u16,
}

impl Default for Size {
    /// The size that programs assume when none is known.
    fn default() -> Size {
        Size { rows: 24, columns: 80 }
    }
}

/// An archive to unpack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOrder {
    /// A folder within the task's root.
    pub path: String,
    /// A folder never takes the place of something else, nor the other way round.
    pub keep_kinds: bool,
    /// Files belong to the task's user, not to the owner in the archive.
    pub own: bool,
}
