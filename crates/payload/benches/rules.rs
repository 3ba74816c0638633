//! What it costs to check a record, beside plain `serde_json` parsing of the same
//! bytes: `cargo bench -p csc-payload --bench rules`.
//!
//! Each measurement goes through 1,000 invented children; criterion's elements
//! are records, its bytes are JSON.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use csc_payload::Fakes;
use csc_payload::rules::Rules;
use jiff::civil::date;
use serde_json::Value;

const CHILDREN: u64 = 1_000;

fn children() -> Vec<String> {
    let fakes = Fakes::new(3, date(2026, 9, 1));
    (0..CHILDREN).map(|n| fakes.child(n).to_string()).collect()
}

fn each(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    payloads: &[String],
    work: impl Fn(&str),
) {
    let bytes = payloads.iter().map(|text| text.len() as u64).sum();
    group.throughput(Throughput::ElementsAndBytes {
        elements: CHILDREN,
        bytes,
    });
    group.bench_function(name, |bencher| {
        bencher.iter(|| payloads.iter().for_each(|text| work(text)));
    });
}

fn validate(criterion: &mut Criterion) {
    let rules = Rules::embedded();
    let payloads = children();
    let with_unknown_key: Vec<String> = payloads
        .iter()
        .map(|text| text.replacen('{', "{\"local_reference\":{\"a\":[1,2]},", 1))
        .collect();
    let mut group = criterion.benchmark_group("validate");
    each(&mut group, "serde_json Value", &payloads, |text| {
        black_box(serde_json::from_str::<Value>(text).is_ok());
    });
    each(&mut group, "check", &payloads, |text| {
        black_box(rules.check(text));
    });
    each(
        &mut group,
        "check with an unknown key",
        &with_unknown_key,
        |text| {
            black_box(rules.check(text));
        },
    );
    group.finish();
}

criterion_group!(benches, validate);
criterion_main!(benches);
