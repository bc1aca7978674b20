//! A session that is the standard input of a container: what its client sends is written to the fifo
//! of the run.

use std::io;
use std::path::Path;

use super::channel::Channel;
use super::frame::Kind;
use super::refusal::{CODE_CANNOT_RUN, ExecRefusal, Fault};
use super::target::Target;
use crate::monitor::{control, stdin};

/// Copies until the client has no more input, or is gone, or the container has ended.
pub(super) fn copy(target: &Target, channel: &mut Channel) -> Result<(), ExecRefusal> {
    let here = Path::new(".");
    let mut fifo = stdin::open_to_write(here).map_err(|error| ExecRefusal {
        fault: Fault::Failed,
        code: CODE_CANNOT_RUN,
        message: format!("the container takes no input: {error}"),
    })?;
    channel.send(Kind::Started, &0_i32.to_be_bytes());
    // An error means that one of both sides is gone.
    let _ = io::copy(&mut *channel, &mut fifo);
    drop(fifo);
    let template = &target.order.start.template;
    let once = template.extension.standalone.is_some_and(|standalone| standalone.stdin_once);
    if once && !template.container.tty {
        // A monitor that is gone has closed it.
        let _ = control::send_end_of_input(here);
    }
    channel.send(Kind::Exited, &0_i32.to_be_bytes());
    Ok(())
}
