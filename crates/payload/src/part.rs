//! What a message is put together from: parts of what was read, none of them copied until the
//! whole is made a value or a text.

use std::borrow::Cow;

use serde_json::Value;

use crate::meaning::write_text;
use crate::name::Known;
use crate::node::{Fields as _, Node, View};

/// A value that is put together.
pub(crate) enum Part<'a, N: Node<'a>> {
    /// One of those that were read, as it is.
    Read(N),
    /// None of them.
    Own(Value),
    /// An array.
    Array(Vec<Part<'a, N>>),
    /// An object.
    Object(Parts<'a, N>),
}

/// An object's fields, no key twice.
pub(crate) type Parts<'a, N> = Vec<(Cow<'a, str>, Part<'a, N>)>;

impl<'a, N: Node<'a>> Part<'a, N> {
    /// As a value.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Part::Read(value) => value.to_value(),
            Part::Own(value) => value,
            Part::Array(items) => items.into_iter().map(Part::into_value).collect(),
            Part::Object(fields) => {
                let fields = fields.into_iter();
                fields
                    .map(|(key, value)| (key.into_owned(), value.into_value()))
                    .collect()
            }
        }
    }

    /// As compact JSON: the text of the value.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Part::Read(value) => write_read(*value, out),
            Part::Own(value) => write_read(value, out),
            Part::Array(items) => write_items(items, out, Part::write),
            Part::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| (key.as_ref(), value));
                write_fields(fields, out, Part::write);
            }
        }
    }
}

fn write_read<'a, N: Node<'a>>(value: N, out: &mut String) {
    match value.view() {
        View::Null => out.push_str("null"),
        View::Bool(false) => out.push_str("false"),
        View::Bool(true) => out.push_str("true"),
        View::Number(number) => out.push_str(number),
        View::Text(text) => write_text(text, out),
        View::Array(items) => write_items(items, out, write_read),
        View::Object(fields) => write_fields(fields.each(), out, write_read),
    }
}

fn write_items<T>(items: impl IntoIterator<Item = T>, out: &mut String, write: fn(T, &mut String)) {
    out.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_fields<'k, T>(
    fields: impl Iterator<Item = (&'k str, T)>,
    out: &mut String,
    write: fn(T, &mut String),
) {
    out.push('{');
    for (at, (key, value)) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        match Known::of(key) {
            Some(name) => out.push_str(name.json()),
            None => {
                write_text(key, out);
                out.push(':');
            }
        }
        write(value, out);
    }
    out.push('}');
}
