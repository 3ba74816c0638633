use csc_dotenv::{Line, LineFault, decode, read};

/// Any bytes as a `.env` file.
///
/// - Each line that is neither blank nor a comment is a setting or a fault, and no other is.
/// - A name is letters, digits and `_`; a value has no line end in it.
/// - A setting that is written again, in either kind of quotation marks, is the same.
/// - The file means the same as UTF-8 and as both kinds of UTF-16.
pub fn env_file(bytes: &[u8]) {
    let (lines, faults) = read(bytes);
    let Some(text) = decode(bytes) else {
        assert!(lines.is_empty());
        let numbers: Vec<usize> = faults.iter().map(|fault| fault.number).collect();
        assert_eq!(numbers, [0], "a file that is no text is one fault");
        return;
    };
    let says_something = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let expected: Vec<usize> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| says_something(line))
        .map(|(n, _)| n + 1)
        .collect();
    let mut numbers: Vec<usize> = lines
        .iter()
        .map(|line| line.number)
        .chain(faults.iter().map(|fault| fault.number))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, expected, "each line once");
    for line in &lines {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(!line.name.is_empty() && line.name.chars().all(is_name));
        assert!(!line.value.contains('\n'));
        written_again(line);
    }
    let meant = meaning(&lines, &faults);
    for big in [false, true] {
        let (lines, faults) = read(&utf_16(&text, big));
        assert_eq!(meaning(&lines, &faults), meant);
    }
}

fn meaning(lines: &[Line], faults: &[LineFault]) -> Vec<(usize, String)> {
    let lines = lines
        .iter()
        .map(|line| (line.number, format!("{}={}", line.name, line.value)));
    let faults = faults
        .iter()
        .map(|fault| (fault.number, fault.why.to_string()));
    lines.chain(faults).collect()
}

/// With a byte-order mark.
fn utf_16(text: &str, big: bool) -> Vec<u8> {
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    units
        .flat_map(|unit| match big {
            true => unit.to_be_bytes(),
            false => unit.to_le_bytes(),
        })
        .collect()
}

fn written_again(line: &Line) {
    let Line { name, value, .. } = line;
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
    let mut again = vec![
        format!("{name}=\"{escaped}\""),
        format!("\texport {name} = \"{escaped}\"  # a comment with \" and '\r\n"),
    ];
    if !value.contains('\'') {
        again.push(format!("{name}='{value}'#"));
    }
    for text in again {
        let (lines, faults) = read(text.as_bytes());
        assert_eq!(faults, []);
        let read: Vec<(&str, &str)> = lines
            .iter()
            .map(|line| (line.name.as_str(), line.value.as_str()))
            .collect();
        assert_eq!(read, [(name.as_str(), value.as_str())]);
    }
}
