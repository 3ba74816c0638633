//! What was measured, as the tables of `docs/performance.md`: ratios first.

use std::fmt;
use std::time::Duration;

use crate::bench::Mode;
use crate::measure::Cost;
use crate::place::Database;

/// One run of a program.
#[derive(Clone, Copy)]
pub struct Taken {
    /// What it cost.
    pub cost: Cost,
    /// From its start until the receiver had its first post.
    pub to_first_post: Duration,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost {
            seconds,
            cpu_seconds,
            ..
        } = self.cost;
        write!(
            f,
            "{seconds:.3} s, {cpu_seconds:.2} CPU s, {:.1} MB",
            self.megabytes()
        )
    }
}

impl Taken {
    /// A megabyte is a million bytes.
    fn megabytes(&self) -> f64 {
        self.cost.peak_bytes as f64 / 1e6
    }
}

/// The two, one after the other.
pub struct Round {
    pub sender: Taken,
    pub limit: Taken,
}

/// One size of table.
pub struct Size {
    /// Rows in the table.
    pub rows: u64,
    /// Of these, the rows that went.
    pub sent_rows: u64,
    pub rounds: Vec<Round>,
    /// The machine's load before each round and after the last.
    pub loads: Vec<f64>,
}

impl Size {
    /// The median over the rounds.
    fn of(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    /// csc-sender's figure by the limit's of the same round.
    fn ratio(&self, figure: impl Fn(&Taken) -> f64) -> f64 {
        self.of(|round| figure(&round.sender) / figure(&round.limit))
    }
}

/// What one call of the benchmark measured.
pub struct Measured {
    pub database: Database,
    pub mode: Mode,
    /// Whether the table keeps one row for each child.
    pub unique: bool,
    pub sizes: Vec<Size>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database.name();
        let mode = match self.mode {
            Mode::Full => "full records",
            Mode::Deltas => "deltas",
        };
        let unique = match self.unique {
            true => ", one row for each child",
            false => "",
        };
        writeln!(f, "### {database}, {mode}{unique}\n")?;
        writeln!(
            f,
            "| rows | rows sent | seconds to the limit's | CPU to the limit's | memory to the limit's |"
        )?;
        writeln!(f, "| ---: | ---: | ---: | ---: | ---: |")?;
        for size in &self.sizes {
            writeln!(
                f,
                "| {} | {} | {:.2}x | {:.2}x | {:.2}x |",
                thousands(size.rows),
                thousands(size.sent_rows),
                size.ratio(|taken| taken.cost.seconds),
                size.ratio(|taken| taken.cost.cpu_seconds),
                size.ratio(Taken::megabytes),
            )?;
        }
        writeln!(
            f,
            "\n| rows | | seconds | rows/s | CPU seconds | CPU µs a row | peak MB | ms to first post |"
        )?;
        writeln!(
            f,
            "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        )?;
        for size in &self.sizes {
            line(f, size, "csc-sender", |round| &round.sender)?;
            line(f, size, "limit", |round| &round.limit)?;
        }
        self.growth(f)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let loads = || self.sizes.iter().flat_map(|size| &size.loads).copied();
        write!(
            f,
            "\nMedians of {} rounds; {cores} cores, load average {:.1} to {:.1}.",
            self.sizes.first().map_or(0, |size| size.rounds.len()),
            loads().fold(f64::INFINITY, f64::min),
            loads().fold(0.0, f64::max),
        )
    }
}

impl Measured {
    /// What a row costs at each size to what it costs at the smallest.
    fn growth(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, others @ ..] = self.sizes.as_slice() else {
            return Ok(());
        };
        if others.is_empty() {
            return Ok(());
        }
        let smallest = thousands(first.rows);
        writeln!(
            f,
            "\n| rows | | seconds a row to {smallest}'s | CPU a row to {smallest}'s | memory to {smallest}'s |"
        )?;
        writeln!(f, "| ---: | --- | ---: | ---: | ---: |")?;
        for size in others {
            for (name, of) in [
                (
                    "csc-sender",
                    (|round| &round.sender) as fn(&Round) -> &Taken,
                ),
                ("limit", |round| &round.limit),
            ] {
                let a_row = |size: &Size, figure: fn(&Taken) -> f64| {
                    size.of(|round| figure(of(round))) / size.sent_rows as f64
                };
                let grown = |figure| a_row(size, figure) / a_row(first, figure);
                writeln!(
                    f,
                    "| {} | {name} | {:.2}x | {:.2}x | {:.2}x |",
                    thousands(size.rows),
                    grown(|taken| taken.cost.seconds),
                    grown(|taken| taken.cost.cpu_seconds),
                    size.of(|round| of(round).megabytes())
                        / first.of(|round| of(round).megabytes()),
                )?;
            }
        }
        Ok(())
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    size: &Size,
    name: &str,
    of: impl Fn(&Round) -> &Taken,
) -> fmt::Result {
    let seconds = size.of(|round| of(round).cost.seconds);
    let cpu = size.of(|round| of(round).cost.cpu_seconds);
    let sent = size.sent_rows as f64;
    writeln!(
        f,
        "| {} | {name} | {seconds:.2} | {} | {cpu:.2} | {:.0} | {:.1} | {:.0} |",
        thousands(size.rows),
        thousands((sent / seconds).round() as u64),
        cpu / sent * 1e6,
        size.of(|round| of(round).megabytes()),
        size.of(|round| of(round).to_first_post.as_secs_f64() * 1000.0),
    )
}

/// The middle one, or what lies between the two middle ones.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match (figures.get(middle), figures.len() % 2) {
        (Some(one), 1) => *one,
        (Some(upper), _) => (figures[middle - 1] + upper) / 2.0,
        (None, _) => f64::NAN,
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(seconds: f64, peak_bytes: u64) -> Taken {
        Taken {
            cost: Cost {
                seconds,
                cpu_seconds: seconds / 2.0,
                peak_bytes,
            },
            to_first_post: Duration::from_millis(40),
        }
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [
            (7, "7"),
            (123, "123"),
            (1234, "1,234"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn what_a_row_costs_is_told_from_size_to_size() {
        let size = |rows, seconds, peak| Size {
            rows,
            sent_rows: rows,
            rounds: vec![Round {
                sender: taken(seconds, peak),
                limit: taken(1.0, 20_000_000),
            }],
            loads: vec![1.0],
        };
        let measured = Measured {
            database: Database::Sqlite,
            mode: Mode::Full,
            unique: false,
            sizes: vec![size(1000, 1.0, 30_000_000), size(10_000, 15.0, 33_000_000)],
        };
        let text = measured.to_string();
        for line in [
            "| 10,000 | csc-sender | 1.50x | 1.50x | 1.10x |",
            "| 10,000 | limit | 0.10x | 0.10x | 1.00x |",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn ratios_are_medians_over_the_pairs() {
        let pair = |sender, limit| Round {
            sender: taken(sender, 30_000_000),
            limit: taken(limit, 20_000_000),
        };
        let measured = Measured {
            database: Database::Postgres,
            mode: Mode::Full,
            unique: false,
            sizes: vec![Size {
                rows: 10_000,
                sent_rows: 10_000,
                // A pair that met a busy machine changes neither median.
                rounds: vec![pair(1.2, 1.0), pair(9.0, 2.0), pair(1.3, 1.0)],
                loads: vec![0.5, 2.0],
            }],
        };
        let text = measured.to_string();
        assert!(!text.contains("a row to"), "one size does not grow: {text}");
        assert!(
            text.contains("| 10,000 | 10,000 | 1.30x | 1.30x | 1.50x |"),
            "{text}"
        );
        assert!(
            text.contains("| 10,000 | csc-sender | 1.30 | 7,692 | 0.65 | 65 | 30.0 | 40 |"),
            "{text}"
        );
        assert!(text.contains("load average 0.5 to 2.0"), "{text}");
    }
}
