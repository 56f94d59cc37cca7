//! Where the writer and the backup meet.
//!
//! The writer says after each flush how long the log is, and has what is new in it read before a checkpoint, so that no frame
//! is lost when the log starts over. While a snapshot is copied it leaves the database's file as it is, as long as the log
//! does not grow past a limit: a backup that is slow costs itself, never the shop.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::log::{Log, Pages};
use crate::clock::Clock;

/// Frames in the log past which it is checkpointed, although a snapshot is being copied: about 256 MiB.
pub(super) const HELD_FRAMES_MAX: u32 = 65_536;
/// Pages that may wait for the backup's disk; past that the backup begins again: about 64 MiB.
pub(super) const WAITING_PAGES_MAX: usize = 16_384;

/// What the writer and the backup share.
pub(in super::super) struct Tap {
    state: Mutex<State>,
    changed: Condvar,
    clock: Clock,
}

#[derive(Default)]
struct State {
    /// Frames of the log that are flushed.
    frames: u32,
    /// Whether there was a flush since the log was read.
    fresh: bool,
    /// The log as the backup reads it, and what waits to be stored. None while there is nothing to continue.
    follow: Option<(Log, Pages)>,
    /// Whether the database's file stays as it is.
    held: bool,
    /// Whether the shop is closed.
    ended: bool,
    /// Whether everything is stored since then.
    stored: bool,
}

impl State {
    /// Reads what is new in the log. When that fails, or nobody stores what was read, there is nothing to continue.
    fn read(&mut self) {
        let Some((log, pages)) = &mut self.follow else { return };
        if !std::mem::take(&mut self.fresh) {
            return;
        }
        let trouble = match log.read(self.frames, pages) {
            Err(error) => format!("{error:#}"),
            Ok(()) if pages.images.len() > WAITING_PAGES_MAX => "its disk is too slow".into(),
            Ok(()) => return,
        };
        tracing::warn!(reason = trouble, "the backup has lost the log");
        self.follow = None;
    }
}

impl Tap {
    pub(in super::super) fn new(clock: Clock) -> Tap {
        Tap { state: Mutex::default(), changed: Condvar::new(), clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer has flushed the log up to this frame, or has written nothing since a checkpoint, which is 0.
    pub(in super::super) fn flushed(&self, frames: u32) {
        if frames == 0 {
            return;
        }
        let mut state = self.state();
        state.frames = frames;
        state.fresh = true;
    }

    /// Runs a checkpoint, unless a snapshot is being copied.
    pub(in super::super) fn checkpoint(&self, run: impl FnOnce()) {
        let mut state = self.state();
        if state.held && state.frames < HELD_FRAMES_MAX {
            return;
        }
        state.held = false;
        state.read();
        run();
    }

    /// The writer is about to close the database, which checkpoints and removes the log.
    pub(in super::super) fn close(&self) {
        let mut state = self.state();
        state.held = false;
        state.read();
    }

    /// The shop is closed: what waits is to be stored now. Answers whether it was in that time.
    pub(super) fn end(&self, at_most: Duration) -> bool {
        let mut state = self.state();
        state.ended = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, at_most, |state| !state.stored);
        waited.unwrap_or_else(PoisonError::into_inner).0.stored
    }

    /// The backup is over.
    pub(super) fn stored(&self) {
        self.state().stored = true;
        self.changed.notify_all();
    }

    /// Waits so long, or until the shop is closed; answers whether it is.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), at_most, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Keeps the database's file as it is from now on.
    pub(super) fn hold(&self) {
        self.state().held = true;
    }

    /// Lets the database's file change again.
    pub(super) fn release(&self) {
        self.state().held = false;
    }

    /// Fails when the database's file may have changed since it was to be kept.
    pub(super) fn check_held(&self) -> anyhow::Result<()> {
        if !self.state().held {
            bail!("the log grew too long while the snapshot was copied");
        }
        Ok(())
    }

    /// All of the log that is flushed, and the instant of that. Everything acknowledged before it is in there, or in the
    /// database's file.
    pub(super) fn whole(&self, path: PathBuf) -> anyhow::Result<(Log, Pages, i64)> {
        let frames = self.state().frames;
        let (mut log, mut pages) = (Log::new(path.clone()), Pages::default());
        if log.read(frames, &mut pages).is_err() {
            // When it has started over meanwhile, it is short now; when it is damaged, it still is.
            (log, pages) = (Log::new(path), Pages::default());
        }
        // The writer waits only for the rest.
        let state = self.state();
        log.read(state.frames, &mut pages)?;
        Ok((log, pages, self.clock.now_ms()))
    }

    /// Goes on from here with a snapshot that is whole, and lets the database's file change again.
    pub(super) fn follow(&self, log: Log) -> anyhow::Result<()> {
        let mut state = self.state();
        let held = std::mem::take(&mut state.held);
        if !held {
            bail!("the log grew too long while the snapshot was copied");
        }
        state.follow = Some((log, Pages::default()));
        state.fresh = true;
        state.read();
        Ok(())
    }

    /// What was committed since it was last asked, and the instant of this. Everything acknowledged before it is in there.
    pub(super) fn take(&self) -> anyhow::Result<(Pages, i64)> {
        let mut state = self.state();
        state.read();
        let (_, pages) = state.follow.as_mut().context("the log was lost")?;
        Ok((std::mem::take(pages), self.clock.now_ms()))
    }

    /// There is nothing to continue: what was taken is not stored.
    pub(super) fn lose(&self) {
        self.state().follow = None;
    }
}
