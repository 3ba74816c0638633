//! Progress of work that goes through a table: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use csc_anon::{Step, Watch};
use csc_sender_run::Stop;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console;

/// A plain line is written at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far it has got, and hands on that somebody wants to stop.
pub struct Steps {
    stop: Stop,
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Steps {
    /// Decides by where standard error goes.
    pub fn new(stop: Stop) -> Self {
        let bar = console::can_draw().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            // The template is constant; a faulty one would only lose the decoration.
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            console::write_above(Some(bar.clone()));
            bar
        });
        Steps {
            stop,
            bar,
            last: Instant::now(),
        }
    }

    /// Takes the bar away, for the result.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            console::write_above(None);
            bar.finish_and_clear();
        }
    }
}

impl Watch for Steps {
    fn step(&mut self, step: Step) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(step.of);
                bar.set_position(step.done);
                bar.set_message(step.what);
            }
            None if self.last.elapsed() >= LINE_EVERY => {
                self.last = Instant::now();
                console::note(&format!("{} of {} {}", step.done, step.of, step.what));
            }
            None => {}
        }
    }

    fn stopped(&self) -> bool {
        self.stop.asked()
    }
}
