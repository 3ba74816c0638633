//! Any text is either a record or a fault, and a record's text is one again, means the
//! same and has nothing that a check trips over. What a run reads of it in one go is what
//! the definitions say.

#![no_main]

use std::sync::LazyLock;

use csc_payload::rules::Rules;
use csc_payload::{Reading, Record, Skeleton, meaning_hash};
use libfuzzer_sys::fuzz_target;

static RULES: LazyLock<Rules> = LazyLock::new(Rules::embedded);

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let checked = RULES.check(text);
    let read = Reading::of(text).record();
    let parsed = Record::parse(text);
    assert_eq!(read.as_ref().map(|(record, _)| record), parsed.as_ref());
    if let Ok((record, essence)) = read {
        assert_eq!(essence.meaning, meaning_hash(&record.value()));
        assert_eq!(essence.skeleton, Skeleton::of(&record.value()));
    }
    match parsed {
        Ok(record) => {
            let again = Record::parse(record.text()).expect("a record's text is a record");
            assert_eq!(again.text(), record.text());
            assert_eq!(again.la_child_id(), record.la_child_id());
            assert_eq!(meaning_hash(&again.value()), meaning_hash(&record.value()));
            let _ = record.shape();
        }
        Err(_) => assert!(checked.errors() > 0, "what is no record has an error"),
    }
});
