//! Go templates, where their engine is not enough: what it lets pass is refused (`blocks`, `calls`),
//! `printf` takes lists (`printf`), and the data of a config or a secret is filled in for one task
//! (`file`). Used by `--format` and by configs and secrets with `--template-driver golang`.
//!
//! Nothing here reads a file, a clock or the environment: what a template may know is an argument.

pub mod blocks;
pub mod calls;
pub mod facts;
pub mod file;
mod functions;
mod lines;
pub mod printf;
