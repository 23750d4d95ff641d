//! Copies one output of the command to where it would have gone, at once and byte for byte, and records it on the way.
//!
//! It is a thread of its own with blocking calls: a terminal that is paused, or a pager that is not read, holds up the
//! command as it would without `exec`, and nothing else.
//!
//! What the command started may go on after it with the outputs still open. They are copied for as long as they are
//! busy: until the end, or until nothing was written for [`LINGER_TIME`] after the command itself has ended.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::lines::{Cutter, Stream};
use super::queue::Queue;
use crate::cli::notice::say;
use crate::clock;

/// One read takes at most this much; a pipe holds as much by default.
const READ_BYTES: usize = 64 * 1024;
/// How long an output may be silent after the command has ended, while something else still has it open.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// One output.
pub(super) struct Pump {
    pub stream: Stream,
    /// What the command writes.
    pub source: PipeReader,
    /// Where it goes.
    pub target: File,
    /// Closed at the other end when the command has ended.
    pub ended: PipeReader,
    pub queue: Arc<Queue>,
}

/// What a pump can do next.
enum Ready {
    Output,
    CommandEnded,
    Silent,
}

impl Pump {
    /// Runs it on a thread. The receiver hears when the output has ended.
    pub(super) fn spawn(self) -> io::Result<oneshot::Receiver<()>> {
        let (done, finished) = oneshot::channel();
        thread::Builder::new().name(format!("exec-{}", self.stream.name())).spawn(move || {
            let stream = self.stream.name();
            if let Err(error) = self.run() {
                say(format_args!("cannot read the command's {stream}: {error}"));
            }
            // When nobody waits any more, the process is about to end.
            done.send(()).ok();
        })?;
        Ok(finished)
    }

    fn run(mut self) -> io::Result<()> {
        let mut cutter = Cutter::new(self.stream);
        let mut buffer = vec![0; READ_BYTES];
        let mut lingering = false;
        let mut copying = true;
        loop {
            match self.wait(lingering)? {
                Ready::Output => {}
                Ready::CommandEnded => {
                    lingering = true;
                    continue;
                }
                Ready::Silent => break,
            }
            let bytes = match self.source.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => &buffer[..len],
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let at = clock::now();
            let copied = if copying { write_all(&mut self.target, bytes) } else { Ok(()) };
            cutter.feed(bytes, at, |block| self.queue.push(block));
            match copied {
                Ok(()) => {}
                // Whoever read it is gone. Closing our end tells the command as it would have been told without us.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => {
                    say(format_args!(
                        "cannot write the command's {}, only record it: {error}",
                        self.stream.name()
                    ));
                    copying = false;
                }
            }
        }
        if let Some(block) = cutter.finish(clock::now()) {
            self.queue.push(block);
        }
        Ok(())
    }

    fn wait(&self, lingering: bool) -> io::Result<Ready> {
        let source = PollFd::new(&self.source, PollFlags::IN);
        loop {
            let ready = if lingering {
                let limit = Timespec::try_from(LINGER_TIME).map_err(io::Error::other)?;
                match poll(&mut [source.clone()], Some(&limit)) {
                    Ok(0) => return Ok(Ready::Silent),
                    Ok(_) => return Ok(Ready::Output),
                    Err(error) => Err(error),
                }
            } else {
                let mut both = [source.clone(), PollFd::new(&self.ended, PollFlags::IN)];
                match poll(&mut both, None) {
                    Ok(_) if both[0].revents().is_empty() => return Ok(Ready::CommandEnded),
                    Ok(_) => return Ok(Ready::Output),
                    Err(error) => Err(error),
                }
            };
            match ready {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {}
            }
        }
    }
}

/// `write_all` that also works on a terminal or pipe that another program has made non-blocking.
fn write_all(target: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for_room(target.as_fd())?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_for_room(target: BorrowedFd<'_>) -> io::Result<()> {
    match poll(&mut [PollFd::new(&target, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
