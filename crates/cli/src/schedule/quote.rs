//! Quoting, for each of the languages that a task is written in.

use std::fmt::Write;

use super::Unfit;

/// In PowerShell, in single quotes: nothing is substituted. Curly ones close a string too.
/// A line break or a double quotation mark would end the command line around it.
pub fn power_shell(text: &str) -> Result<String, Unfit> {
    fits(text, "PowerShell on a command line", &[('"', "\"")])?;
    let mut quoted = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    Ok(quoted)
}

/// In a POSIX shell, in single quotes.
pub fn shell(text: &str) -> Result<String, Unfit> {
    fits(text, "a shell's line", &[])?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// An argument in a systemd unit's `ExecStart=`, where a dollar sign begins a variable.
pub fn exec_argument(text: &str) -> Result<String, Unfit> {
    Ok(exec_program(text)?.replace('$', "$$"))
}

/// The program in a systemd unit's `ExecStart=`.
pub fn exec_program(text: &str) -> Result<String, Unfit> {
    fits(text, "a systemd unit", &[])?;
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            // It begins a specifier.
            '%' => quoted.push_str("%%"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

/// A Unicode literal of T-SQL, in ASCII, whatever a console makes of other characters on
/// their way.
pub fn t_sql(text: &str) -> String {
    let mut quoted = String::from("N'");
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("''"),
            c if c.is_ascii() => quoted.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(quoted, "' + NCHAR({unit}) + N'");
                }
            }
        }
    }
    quoted.push('\'');
    quoted
}

/// XML text in ASCII, whatever a console makes of other characters on their way.
pub fn xml(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match c {
            '&' => quoted.push_str("&amp;"),
            '<' => quoted.push_str("&lt;"),
            '>' => quoted.push_str("&gt;"),
            '"' => quoted.push_str("&quot;"),
            c if c.is_ascii() => quoted.push(c),
            c => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "&#{};", u32::from(c));
            }
        }
    }
    quoted
}

/// One line, without what the language has no way to write.
pub fn fits(
    text: &str,
    place: &'static str,
    without: &[(char, &'static str)],
) -> Result<(), Unfit> {
    let unfit = |what| Unfit {
        text: text.to_string(),
        what,
        place,
    };
    if text.chars().any(char::is_control) {
        return Err(unfit("a control character"));
    }
    match without.iter().find(|(c, _)| text.contains(*c)) {
        Some((_, what)) => Err(unfit(what)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_takes_its_own_quotes() {
        let hostile = r"C:\O'Neil & Söhne\%x%\$y";
        assert_eq!(
            power_shell(hostile).unwrap(),
            r"'C:\O''Neil & Söhne\%x%\$y'"
        );
        assert_eq!(power_shell("a\u{2019}b").unwrap(), "'a\u{2019}\u{2019}b'");
        assert_eq!(shell("it's").unwrap(), r"'it'\''s'");
        assert_eq!(
            exec_argument(r#"/a b/$x%y"\z"#).unwrap(),
            r#""/a b/$$x%%y\"\\z""#
        );
        assert_eq!(exec_program("/a b/$x%y").unwrap(), r#""/a b/$x%%y""#);
        assert_eq!(t_sql("O'Neil"), "N'O''Neil'");
        assert_eq!(t_sql("Söhne"), "N'S' + NCHAR(246) + N'hne'");
        assert_eq!(xml("<a & \"é\">"), "&lt;a &amp; &quot;&#233;&quot;&gt;");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        assert_eq!(power_shell("a\"b").unwrap_err().what, "\"");
        for quote in [power_shell, shell, exec_argument] {
            assert_eq!(quote("a\nb").unwrap_err().what, "a control character");
        }
    }
}
