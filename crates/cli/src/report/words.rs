//! Numbers, sizes and times as people read them.

use std::time::Duration;

/// With a comma between thousands.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 post`, `1,234 posts`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// `812 bytes`, `61 KiB`, `1.2 MiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => counted(bytes, "byte", "bytes"),
        1_024..1_048_576 => format!("{} KiB", number(bytes.div_ceil(1024))),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// `340 ms`, `1.2 s`, `4 min 05 s`.
pub fn time(took: Duration) -> String {
    match took.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", took.as_secs_f64()),
        _ => {
            let seconds = took.as_secs();
            format!("{} min {:02} s", number(seconds / 60), seconds % 60)
        }
    }
}

/// `2026-11-24T02:00:01.020Z` without what nobody reads.
pub fn moment(stamp: &str) -> String {
    match stamp.split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.get(..8).unwrap_or(time)),
        None => stamp.to_string(),
    }
}

/// The same to the minute.
pub fn minute(stamp: &str) -> String {
    match stamp.split_once('T') {
        Some((day, time)) => format!("{day} {}", time.get(..5).unwrap_or(time)),
        None => stamp.to_string(),
    }
}

/// The day of such a stamp.
pub fn day(stamp: &str) -> &str {
    stamp.split_once('T').map_or(stamp, |(day, _)| day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sizes_and_times_are_read_at_a_glance() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(62_000), "61 KiB");
        assert_eq!(size(1_258_292), "1.2 MiB");
        assert_eq!(time(Duration::from_millis(340)), "340 ms");
        assert_eq!(time(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(time(Duration::from_secs(245)), "4 min 05 s");
        assert_eq!(
            moment("2026-11-24T02:00:01.020Z"),
            "2026-11-24 02:00:01 UTC"
        );
        assert_eq!(minute("2026-11-24T02:00:01.020Z"), "2026-11-24 02:00");
        assert_eq!(day("2026-11-24T02:00:01.020Z"), "2026-11-24");
    }
}
