//! The assignments of a PowerShell script whose values stand there as they are. Nothing is
//! run: what would have to be is only said to be computed.

/// A variable that is given a value. It may hold a secret: no `Debug`.
pub struct Assignment {
    /// Where, from 1.
    pub line: usize,
    /// The variable's name, without `$` and scope.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Whether it stands in a block `{ … }`, which may not be run.
    pub is_conditional: bool,
}

/// A value. It may be a secret: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A text in quotes, or a here-string.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// `$true`.
    True,
    /// `$false`.
    False,
    /// `$null`.
    Null,
    /// Anything else.
    Computed,
}

/// All assignments, in their order.
pub fn assignments(text: &str) -> Vec<Assignment> {
    let mut script = Script {
        chars: text.trim_start_matches('\u{feff}').chars().collect(),
        at: 0,
        braces: 0,
        parens: 0,
    };
    let mut found = Vec::new();
    while let Some(c) = script.peek(0) {
        match c {
            '#' if script.begins_a_word() => script.skip_line(),
            '<' if script.peek(1) == Some('#') => script.skip_comment(),
            '@' if script.peek(1).is_some_and(is_quote) => {
                script.here_string();
            }
            c if is_quote(c) => {
                script.quoted();
            }
            '`' => script.at += 2,
            '{' => {
                script.braces += 1;
                script.at += 1;
            }
            '}' => {
                script.braces = script.braces.saturating_sub(1);
                script.at += 1;
            }
            '(' => {
                script.parens += 1;
                script.at += 1;
            }
            ')' => {
                script.parens = script.parens.saturating_sub(1);
                script.at += 1;
            }
            '$' => {
                if let Some(assignment) = script.variable() {
                    found.push(assignment);
                }
            }
            _ => script.at += 1,
        }
    }
    found
}

/// PowerShell takes what word processors make of quotes for quotes.
fn is_single(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}')
}

fn is_double(c: char) -> bool {
    matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

fn is_quote(c: char) -> bool {
    is_single(c) || is_double(c)
}

struct Script {
    chars: Vec<char>,
    at: usize,
    braces: usize,
    parens: usize,
}

impl Script {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        Some(c)
    }

    fn skip_while(&mut self, so: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&so) {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|c| c.is_whitespace() && c != '\n' && c != '\r');
    }

    fn skip_line(&mut self) {
        self.skip_while(|c| c != '\n');
    }

    fn skip_comment(&mut self) {
        self.at += 2;
        while self.at < self.chars.len() {
            if self.peek(0) == Some('#') && self.peek(1) == Some('>') {
                self.at += 2;
                return;
            }
            self.at += 1;
        }
    }

    /// A `#` within a word is part of it.
    fn begins_a_word(&self) -> bool {
        match self
            .at
            .checked_sub(1)
            .and_then(|before| self.chars.get(before))
        {
            None => true,
            Some(c) => c.is_whitespace() || matches!(c, ';' | ',' | '(' | ')' | '{' | '}' | '='),
        }
    }

    /// `'…'` or `"…"`; `None` for what has variables in it, or no end.
    fn quoted(&mut self) -> Option<String> {
        let is_end = match self.take() {
            Some(c) if is_double(c) => is_double,
            Some(_) | None => is_single,
        };
        let expands = is_end('"');
        let mut text = Some(String::new());
        while let Some(c) = self.take() {
            if is_end(c) {
                // Twice is once.
                match self.peek(0) {
                    Some(again) if is_end(again) => {
                        self.at += 1;
                        push(&mut text, again);
                    }
                    Some(_) | None => return text,
                }
            } else if expands {
                self.expand(c, &mut text);
            } else {
                push(&mut text, c);
            }
        }
        None
    }

    /// A character of a text in which backticks and variables mean something.
    fn expand(&mut self, c: char, text: &mut Option<String>) {
        match c {
            '`' => match self.take() {
                Some('n') => push(text, '\n'),
                Some('r') => push(text, '\r'),
                Some('t') => push(text, '\t'),
                Some('0') => push(text, '\0'),
                Some('a') => push(text, '\u{7}'),
                Some('b') => push(text, '\u{8}'),
                Some('f') => push(text, '\u{c}'),
                Some('v') => push(text, '\u{b}'),
                // `u{…}` is for PowerShell 6 alone.
                Some('u') if self.peek(0) == Some('{') => *text = None,
                Some(other) => push(text, other),
                None => *text = None,
            },
            '$' if self.peek(0).is_some_and(|next| {
                next.is_alphanumeric() || matches!(next, '_' | '{' | '(' | '?' | '$' | '^' | ':')
            }) =>
            {
                *text = None;
            }
            c => push(text, c),
        }
    }

    /// `@'` and `@"`: all lines until one that begins with the closing quote and `@`.
    fn here_string(&mut self) -> Option<String> {
        self.at += 1;
        let is_end = match self.take() {
            Some(c) if is_double(c) => is_double,
            Some(_) | None => is_single,
        };
        let expands = is_end('"');
        self.skip_blanks();
        if !self.line_end() {
            return None;
        }
        let mut text = Some(String::new());
        let mut is_first = true;
        loop {
            // At the beginning of a line.
            if self.peek(0).is_some_and(is_end) && self.peek(1) == Some('@') {
                self.at += 2;
                return text;
            }
            if !is_first {
                push(&mut text, '\n');
            }
            is_first = false;
            loop {
                if self.line_end() {
                    break;
                }
                match self.take()? {
                    c if expands => self.expand(c, &mut text),
                    c => push(&mut text, c),
                }
            }
        }
    }

    fn line_end(&mut self) -> bool {
        let length = match (self.peek(0), self.peek(1)) {
            (Some('\r'), Some('\n')) => 2,
            (Some('\n'), _) => 1,
            (_, _) => return false,
        };
        self.at += length;
        true
    }

    /// `$name`, and what it is set to where it is.
    fn variable(&mut self) -> Option<Assignment> {
        let begin = self.at;
        self.at += 1;
        let name = if self.peek(0) == Some('{') {
            self.at += 1;
            let name = self.word(|c| c != '}' && c != '\n');
            self.at += 1;
            name
        } else {
            self.word(|c| c.is_alphanumeric() || c == '_' || c == ':')
        };
        self.skip_blanks();
        if self.peek(0) != Some('=') || self.peek(1) == Some('=') {
            return None;
        }
        self.at += 1;
        let name = name.rsplit(':').next().unwrap_or(&name).to_string();
        let (braces, line) = (self.braces, 1 + self.newlines_before(begin));
        let is_default = braces == 1 && self.is_parameters_default(begin, &name);
        Some(Assignment {
            line,
            value: self.value(),
            is_conditional: braces > 0 && !is_default,
            name,
        })
    }

    fn word(&mut self, so: impl Fn(char) -> bool) -> String {
        let begin = self.at;
        self.skip_while(so);
        self.chars[begin..self.at].iter().collect()
    }

    fn newlines_before(&self, at: usize) -> usize {
        self.chars[..at].iter().filter(|c| **c == '\n').count()
    }

    /// `if (-not $PSBoundParameters.ContainsKey('Name')) { $Name = … }` on one line: the
    /// pilot's way of setting what no flag sets.
    fn is_parameters_default(&self, at: usize, name: &str) -> bool {
        let begin = self.chars[..at]
            .iter()
            .rposition(|c| *c == '\n')
            .map_or(0, |newline| newline + 1);
        let before: String = self.chars[begin..at].iter().collect();
        let before = before.to_lowercase();
        let asked = format!("$psboundparameters.containskey('{}')", name.to_lowercase());
        before.trim_start().starts_with("if")
            && before.contains(&format!("-not {asked}"))
            && !before.contains("-and")
    }

    fn value(&mut self) -> Value {
        self.skip_blanks();
        self.skip_cast();
        let value = match self.peek(0) {
            Some('@') if self.peek(1).is_some_and(is_quote) => self.here_string().map(Value::Text),
            Some(c) if is_quote(c) => self.quoted().map(Value::Text),
            Some('$') => self.constant(),
            Some(c) if c.is_ascii_digit() => {
                let number = self.word(|c| c.is_ascii_digit() || c == '.');
                Some(Value::Number(number))
            }
            Some(_) | None => None,
        };
        match value {
            Some(value) if self.ends_here() => value,
            Some(_) | None => Value::Computed,
        }
    }

    /// `[string]` before a value.
    fn skip_cast(&mut self) {
        if self.peek(0) != Some('[') {
            return;
        }
        let begin = self.at;
        self.at += 1;
        self.skip_while(|c| c.is_alphanumeric() || c == '.');
        if self.peek(0) == Some(']') {
            self.at += 1;
            self.skip_blanks();
        } else {
            self.at = begin;
        }
    }

    fn constant(&mut self) -> Option<Value> {
        let begin = self.at;
        self.at += 1;
        let name = self.word(|c| c.is_alphanumeric() || c == '_' || c == ':');
        match name.to_lowercase().as_str() {
            "true" => Some(Value::True),
            "false" => Some(Value::False),
            "null" => Some(Value::Null),
            // It may be given a value in its turn.
            _ => {
                self.at = begin;
                None
            }
        }
    }

    /// Whether nothing is done with the value that was read.
    fn ends_here(&mut self) -> bool {
        self.skip_blanks();
        match self.peek(0) {
            None | Some('\n' | '\r' | ';' | '#' | ')' | '}') => true,
            Some('<') => self.peek(1) == Some('#'),
            // In `param(…)` it ends a parameter; elsewhere it makes a list.
            Some(',') => self.parens > 0,
            Some(_) => false,
        }
    }
}

fn push(text: &mut Option<String>, c: char) {
    if let Some(text) = text {
        text.push(c);
    }
}
