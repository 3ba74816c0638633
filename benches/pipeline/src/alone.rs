//! What is measured with no limit beside it: a paced receiver, and a table with nothing to
//! do.

use std::fmt;
use std::time::Duration;

use crate::figures::{median, thousands};
use crate::measure::Cost;
use crate::place::Database;

/// MIN_GAP_MS where the receiver is paced.
pub const GAP: Duration = Duration::from_millis(400);
/// What csc-sender adds to a gap at random, on average (its pacing: 25 to 150 ms).
const JITTER: Duration = Duration::from_micros(87_500);
/// How long it takes for each post.
pub const ANSWER: Duration = Duration::from_millis(300);

/// The table as `init` makes it.
const AS_MADE: &str = "as it is made";
/// The same without its index on submission_status and row_state.
pub const WITHOUT_INDEX: &str = "without the index";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// Posts, so long apart.
    Paced,
    /// Every row is sent.
    Nothing,
}

impl Alone {
    /// What it is measured on.
    pub fn variants(self) -> &'static [&'static str] {
        match self {
            Alone::Paced => &[AS_MADE],
            Alone::Nothing => &[AS_MADE, WITHOUT_INDEX],
        }
    }
}

/// One size.
pub struct AloneLine {
    pub rows: u64,
    pub what: &'static str,
    pub posts: usize,
    pub taken: Vec<Cost>,
}

impl AloneLine {
    fn of(&self, figure: impl Fn(&Cost) -> f64) -> f64 {
        median(self.taken.iter().map(figure).collect())
    }

    /// The time that the gaps alone take, jitter included.
    fn gaps(&self) -> f64 {
        self.posts as f64 * (GAP + JITTER).as_secs_f64()
    }
}

/// What one call of the benchmark measured.
pub struct AloneMeasured {
    pub database: Database,
    pub task: Alone,
    pub lines: Vec<AloneLine>,
}

impl fmt::Display for AloneMeasured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database.name();
        match self.task {
            Alone::Paced => {
                let (gap, jitter) = (GAP.as_millis(), JITTER.as_secs_f64() * 1e3);
                writeln!(
                    f,
                    "### {database}, a post every {gap} ms and {jitter} ms of jitter\n"
                )?;
                writeln!(
                    f,
                    "| rows | posts | seconds | to posts x gap | CPU seconds | peak MB |"
                )?;
                writeln!(f, "| ---: | ---: | ---: | ---: | ---: | ---: |")?;
            }
            Alone::Nothing => {
                writeln!(f, "### {database}, nothing to do\n")?;
                writeln!(f, "| rows | table | seconds | CPU seconds | peak MB |")?;
                writeln!(f, "| ---: | --- | ---: | ---: | ---: |")?;
            }
        }
        for line in &self.lines {
            let rows = thousands(line.rows);
            let (seconds, cpu) = (line.of(|c| c.seconds), line.of(|c| c.cpu_seconds));
            let peak = line.of(|c| c.peak_bytes as f64 / 1e6);
            match self.task {
                Alone::Paced => writeln!(
                    f,
                    "| {rows} | {} | {seconds:.2} | {:.3}x | {cpu:.2} | {peak:.1} |",
                    line.posts,
                    seconds / line.gaps(),
                )?,
                Alone::Nothing => writeln!(
                    f,
                    "| {rows} | {} | {seconds:.3} | {cpu:.3} | {peak:.1} |",
                    line.what
                )?,
            }
        }
        let rounds = self.lines.first().map_or(0, |line| line.taken.len());
        write!(f, "\nMedians of {rounds} rounds.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(task: Alone) -> String {
        let cost = |seconds| Cost {
            seconds,
            cpu_seconds: 0.5,
            peak_bytes: 30_000_000,
        };
        let lines = task.variants().iter().map(|what| AloneLine {
            rows: 1000,
            what,
            posts: 10,
            taken: vec![cost(4.1), cost(9.0), cost(4.0)],
        });
        AloneMeasured {
            database: Database::Sqlite,
            task,
            lines: lines.collect(),
        }
        .to_string()
    }

    #[test]
    fn a_paced_run_is_held_to_its_gaps() {
        let text = measured(Alone::Paced);
        assert!(
            text.contains("| 1,000 | 10 | 4.10 | 0.841x | 0.50 | 30.0 |"),
            "{text}"
        );
    }

    #[test]
    fn nothing_to_do_is_measured_with_the_index_and_without() {
        let text = measured(Alone::Nothing);
        for table in [AS_MADE, WITHOUT_INDEX] {
            let line = format!("| 1,000 | {table} | 4.100 | 0.500 | 30.0 |");
            assert!(text.contains(&line), "{text}");
        }
    }
}
