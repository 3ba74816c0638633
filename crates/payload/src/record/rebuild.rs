//! A text without its nulls, everything else spelled as it was.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Writes a value that has been walked through without its nulls, and with the
/// last of several equal keys.
pub(super) fn rebuild(raw: &str, out: &mut String) -> Result<(), serde_json::Error> {
    match raw.as_bytes().first() {
        Some(b'{') => {
            out.push('{');
            let fields: RawFields<'_> = serde_json::from_str(raw)?;
            let mut first = true;
            for (key, value) in fields.0 {
                if value.get() == "null" {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                out.push_str(key.get());
                out.push(':');
                rebuild(value.get(), out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            out.push('[');
            let items: Vec<&RawValue> = serde_json::from_str(raw)?;
            let mut first = true;
            for item in items.into_iter().filter(|item| item.get() != "null") {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                rebuild(item.get(), out)?;
            }
            out.push(']');
        }
        Some(_) | None => out.push_str(raw),
    }
    Ok(())
}

/// An object's keys and values as they are spelled, each key once.
struct RawFields<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'t> de::Deserialize<'t> for RawFields<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'t> Visitor<'t> for Fields {
            type Value = RawFields<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<RawFields<'t>, A::Error> {
                let mut fields: Vec<(&RawValue, &RawValue)> = Vec::new();
                let mut places: HashMap<String, usize> = HashMap::new();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    // Two spellings of one key are one key.
                    let name: String =
                        serde_json::from_str(key.get()).map_err(de::Error::custom)?;
                    match places.entry(name) {
                        Entry::Occupied(place) => {
                            fields[*place.get()].1 = value;
                        }
                        Entry::Vacant(place) => {
                            place.insert(fields.len());
                            fields.push((key, value));
                        }
                    }
                }
                Ok(RawFields(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
