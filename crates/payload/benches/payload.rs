//! What it costs to read a record, to hash its meaning and to compare it with
//! its baseline, beside plain `serde_json` parsing of the same bytes:
//! `cargo bench -p csc-payload --bench payload`.
//!
//! Each measurement goes through 1,000 invented children; criterion's elements
//! are records (for a diff, pairs of records), its bytes are JSON.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use csc_payload::{Fakes, Previous, Record, Skeleton, apply, diff, meaning_hash};
use jiff::civil::date;
use serde_json::Value;

const CHILDREN: u64 = 1_000;

/// A child today and tomorrow.
struct Pair {
    previous: String,
    current: String,
    before: Value,
    now: Value,
    /// The current text, and what the previous one means.
    record: Record,
    held: [u8; 32],
}

fn pairs() -> Vec<Pair> {
    let fakes = Fakes::new(3, date(2026, 9, 1));
    let pair = |n| {
        let before = fakes.child(n);
        let now = fakes.changed(&before, 1);
        let current = now.to_string();
        Some(Pair {
            previous: before.to_string(),
            record: Record::parse(&current).ok()?,
            current,
            held: meaning_hash(&before),
            before,
            now,
        })
    };
    (0..CHILDREN).filter_map(pair).collect()
}

fn each(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    pairs: &[Pair],
    bytes: fn(&Pair) -> usize,
    work: impl Fn(&Pair),
) {
    group.throughput(Throughput::ElementsAndBytes {
        elements: CHILDREN,
        bytes: pairs.iter().map(|pair| bytes(pair) as u64).sum(),
    });
    group.bench_function(name, |bencher| {
        bencher.iter(|| pairs.iter().for_each(&work));
    });
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn one_record(criterion: &mut Criterion) {
    let pairs = pairs();
    let bytes = |pair: &Pair| pair.current.len();
    let with_null: Vec<Pair> = self::pairs()
        .into_iter()
        .map(|pair| Pair {
            current: pair.current.replacen('{', "{\"null\":null,", 1),
            ..pair
        })
        .collect();
    let mut group = criterion.benchmark_group("one record");
    each(&mut group, "serde_json Value", &pairs, bytes, |pair| {
        black_box(parsed(&pair.current));
    });
    each(&mut group, "Record::parse", &pairs, bytes, |pair| {
        black_box(Record::parse(&pair.current).is_ok());
    });
    each(
        &mut group,
        "Record::parse with a null",
        &with_null,
        bytes,
        |pair| {
            black_box(Record::parse(&pair.current).is_ok());
        },
    );
    each(&mut group, "meaning_hash", &pairs, bytes, |pair| {
        black_box(meaning_hash(&pair.now));
    });
    each(&mut group, "Skeleton::of", &pairs, bytes, |pair| {
        black_box(Skeleton::of(&pair.now));
    });
    let records: Vec<Record> = pairs
        .iter()
        .filter_map(|pair| Record::parse(&pair.current).ok())
        .collect();
    group.bench_function("essence", |bencher| {
        bencher.iter(|| {
            records.iter().for_each(|record| {
                black_box(record.essence());
            });
        });
    });
    group.finish();
}

fn two_records(criterion: &mut Criterion) {
    let pairs = pairs();
    let bytes = |pair: &Pair| pair.previous.len() + pair.current.len();
    let mut group = criterion.benchmark_group("two records");
    each(&mut group, "serde_json Value", &pairs, bytes, |pair| {
        black_box((parsed(&pair.previous), parsed(&pair.current)));
    });
    each(&mut group, "diff", &pairs, bytes, |pair| {
        black_box(diff(Some(&pair.before), &pair.now));
    });
    each(&mut group, "diff of the same", &pairs, bytes, |pair| {
        black_box(diff(Some(&pair.now), &pair.now));
    });
    each(&mut group, "parse and diff", &pairs, bytes, |pair| {
        let (before, now) = (parsed(&pair.previous), parsed(&pair.current));
        black_box(diff(Some(&before), &now));
    });
    each(&mut group, "a delta from a text", &pairs, bytes, |pair| {
        let previous = Previous::of(pair.previous.clone());
        black_box(pair.record.delta_from(previous, &pair.held, None));
    });
    each(&mut group, "apply", &pairs, bytes, |pair| {
        black_box(apply(Some(&pair.before), &pair.now));
    });
    group.finish();
}

criterion_group!(payload, one_record, two_records);
criterion_main!(payload);
