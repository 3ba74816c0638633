//! The `.env` reader. It is our own, because the usual ones substitute `$` and undo
//! backslashes in plain values, and connection strings and secrets are full of both
//! (`SERVER\INSTANCE`, `Pwd=a$b`).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

/// One line that sets something. The value may be a secret: no `Debug`.
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As written.
    pub name: String,
    /// Without its quotes.
    pub value: String,
}

/// A line that can't be read; what stands in it may be a secret, so it is not repeated.
#[derive(Debug, PartialEq, Eq)]
pub struct LineFault {
    /// From 1; 0 for the file as a whole.
    pub number: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// Reads a file's bytes: UTF-8 with or without a byte-order mark, or UTF-16 with one (what
/// PowerShell's `>` writes).
pub fn read(bytes: &[u8]) -> (Vec<Line>, Vec<LineFault>) {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    let Some(text) = decode(bytes) else {
        faults.push(LineFault {
            number: 0,
            why: "the file is neither UTF-8 nor UTF-16 with a byte-order mark: save it as UTF-8",
        });
        return (lines, faults);
    };
    for (n, line) in text.lines().enumerate() {
        let number = n + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match assignment(line) {
            Ok((name, value)) => lines.push(Line {
                number,
                name,
                value,
            }),
            Err(why) => faults.push(LineFault { number, why }),
        }
    }
    (lines, faults)
}

/// A text's bytes: UTF-8 with or without a byte-order mark, or UTF-16 with one. `None`
/// where they are neither.
pub fn decode(bytes: &[u8]) -> Option<String> {
    let wide = |from: fn([u8; 2]) -> u16, rest: &[u8]| {
        // Half a unit at the end: a part of the file is missing, or it is another encoding.
        let (units, []) = rest.as_chunks::<2>() else {
            return None;
        };
        let units: Vec<u16> = units.iter().map(|unit| from(*unit)).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xFE, 0xFF, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// A line that [`read`] gives back as this name and value; `None` where there is none,
/// since the value has a line break or another control character in it.
pub fn line(name: &str, value: &str) -> Option<String> {
    if value.chars().any(char::is_control) {
        return None;
    }
    let plain = format!("{name}={value}");
    let reads_back = |line: &str| assignment(line.trim()).is_ok_and(|(_, read)| read == value);
    if reads_back(&plain) {
        return Some(plain);
    }
    if !value.contains('\'') {
        return Some(format!("{name}='{value}'"));
    }
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
    Some(format!("{name}=\"{escaped}\""))
}

fn assignment(line: &str) -> Result<(String, String), &'static str> {
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
        Some(_) | None => line,
    };
    let (name, value) = line
        .split_once('=')
        .ok_or("there is no `=` in it; a setting is NAME=value, a comment begins with #")?;
    let name = name.trim();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("what stands before `=` is no name: letters, digits and _ only");
    }
    Ok((name.to_string(), unquoted(value.trim())?))
}

fn unquoted(value: &str) -> Result<String, &'static str> {
    const OPEN: &str = "its quotation mark is not closed";
    const AFTER: &str = "something other than a comment follows the closing quotation mark";
    let rest_is_comment = |rest: &str| {
        let rest = rest.trim_start();
        rest.is_empty() || rest.starts_with('#')
    };
    if let Some(inside) = value.strip_prefix('\'') {
        let (text, rest) = inside.split_once('\'').ok_or(OPEN)?;
        return rest_is_comment(rest).then(|| text.to_string()).ok_or(AFTER);
    }
    if let Some(inside) = value.strip_prefix('"') {
        let mut text = String::new();
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    return rest_is_comment(&inside[at + 1..])
                        .then_some(text)
                        .ok_or(AFTER);
                }
                // Only these two: a Windows path keeps its backslashes.
                '\\' => match chars.clone().next() {
                    Some((_, escaped @ ('"' | '\\'))) => {
                        text.push(escaped);
                        chars.next();
                    }
                    Some(_) | None => text.push('\\'),
                },
                c => text.push(c),
            }
        }
        return Err(OPEN);
    }
    // A # after white space begins a comment; `Pwd=ab#c` keeps it.
    let end = value
        .char_indices()
        .find(|(at, c)| *c == '#' && (*at == 0 || value[..*at].ends_with(char::is_whitespace)))
        .map_or(value.len(), |(at, _)| at);
    Ok(value[..end].trim_end().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        let (lines, faults) = read(text.as_bytes());
        assert!(faults.is_empty(), "{text}: {faults:?}");
        assert_eq!(lines.len(), 1, "{text}");
        format!("{}|{}", lines[0].name, lines[0].value)
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        let table = [
            ("A=b", "A|b"),
            ("A = b ", "A|b"),
            ("export A=b", "A|b"),
            ("exported=b", "exported|b"),
            ("A=", "A|"),
            ("A=b # c", "A|b"),
            ("A=# c", "A|"),
            ("A=ab#c", "A|ab#c"),
            ("A=x=y=z", "A|x=y=z"),
            ("A=a$b${c}", "A|a$b${c}"),
            (r"A=SERVER\INSTANCE", r"A|SERVER\INSTANCE"),
            (r#"A="C:\new\table" # x"#, r"A|C:\new\table"),
            (r#"A="a\"b\\c""#, r#"A|a"b\c"#),
            (r"A='a\b # c' # d", r"A|a\b # c"),
            ("A='Driver={X};Pwd=p;'", "A|Driver={X};Pwd=p;"),
            (
                "A=Driver={ODBC Driver 17 for SQL Server};Pwd=a#b;",
                "A|Driver={ODBC Driver 17 for SQL Server};Pwd=a#b;",
            ),
            ("# c\r\n\r\nA=b\r\n", "A|b"),
            ("\u{feff}A=b", "A|b"),
        ];
        for (text, expected) in table {
            assert_eq!(one(text), expected, "{text}");
        }
    }

    #[test]
    fn utf_16_files_of_powershell_are_read() {
        for big in [false, true] {
            let mut bytes = if big {
                vec![0xFE, 0xFF]
            } else {
                vec![0xFF, 0xFE]
            };
            for unit in "A=é\r\nB=2".encode_utf16() {
                bytes.extend(if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                });
            }
            let (lines, faults) = read(&bytes);
            assert!(faults.is_empty());
            assert_eq!(lines[0].value, "é");
            assert_eq!(lines[1].value, "2");
        }
    }

    #[test]
    fn all_faulty_lines_are_told_and_none_is_repeated() {
        let (lines, faults) = read(b"A=1\nsecretword\n=x\nB='open\nC=\"open\nD='a' b\nE=2");
        assert_eq!(lines.len(), 2);
        let numbers: Vec<usize> = faults.iter().map(|fault| fault.number).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
        assert!(!format!("{faults:?}").contains("secretword"));
    }

    #[test]
    fn a_file_that_is_no_text_is_a_fault_of_its_own() {
        for bytes in [&b"A=\xff"[..], b"\xff\xfeA\0=\0b", b"\xff\xfe\0\xd8"] {
            let (lines, faults) = read(bytes);
            assert!(lines.is_empty());
            assert_eq!(faults[0].number, 0, "{bytes:?}");
        }
    }
}
