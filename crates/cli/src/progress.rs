//! Progress while a run goes: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use csc_sender_run::{Event, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console;

/// A plain line is written at most this often, so a night's log stays readable.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Draws a bar on a terminal and writes lines elsewhere.
pub struct Progress {
    face: Face,
    begun: Instant,
    total: u64,
}

enum Face {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// Decides by where standard error goes.
    pub fn new() -> Self {
        let face = if console::can_draw() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            // The template is constant; a faulty one would only lose the decoration.
            if let Ok(style) =
                ProgressStyle::with_template("{bar:30} {pos}/{len} records, {msg}, {eta} left")
            {
                bar.set_style(style);
            }
            console::write_above(Some(bar.clone()));
            Face::Bar(bar)
        } else {
            Face::Lines {
                last: Instant::now(),
            }
        };
        Progress {
            face,
            begun: Instant::now(),
            total: 0,
        }
    }

    fn recorded(&mut self, posts: u64, done: u64, refused: u64) {
        let rate = done as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let total = self.total;
        match &mut self.face {
            Face::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{posts} posts, {refused} refused, {rate:.0}/s"));
            }
            Face::Lines { last } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    let left = Duration::from_secs_f64(
                        total.saturating_sub(done) as f64 / rate.max(0.001),
                    );
                    console::note(&format!(
                        "{done} of {total} records, {posts} posts, {refused} refused, {rate:.0}/s, \
                         about {} s left",
                        left.as_secs()
                    ));
                }
            }
        }
    }

    /// Takes the bar away, for the summary.
    pub fn finish(self) {
        if let Face::Bar(bar) = self.face {
            console::write_above(None);
            bar.finish_and_clear();
        }
    }
}

impl Watch for Progress {
    fn event(&mut self, event: Event) {
        match event {
            Event::Begun { eligible } => {
                self.total = eligible;
                self.begun = Instant::now();
                if let Face::Bar(bar) = &self.face {
                    bar.set_length(eligible);
                }
            }
            Event::Recorded {
                posts,
                done,
                accepted: _,
                refused,
            } => self.recorded(posts, done, refused),
            Event::Waiting { why, wait } => {
                console::note(&format!(
                    "{why}: trying again in {:.1} s",
                    wait.as_secs_f64()
                ));
            }
        }
    }
}
