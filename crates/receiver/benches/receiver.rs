//! What it costs to put a batch's body together, to read its receipts and to find the
//! records that a refusal names: `cargo bench -p csc-receiver`.
//!
//! Each measurement is one batch of 100 records of about 2.3 KB; criterion's elements are
//! records, its bytes are those of the body or of the reply.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use csc_receiver::{body_of, receipts, refused_records};

const RECORDS: usize = 100;

fn bench(criterion: &mut Criterion, name: &str, bytes: usize, work: impl Fn()) {
    let mut group = criterion.benchmark_group("one batch");
    group.throughput(Throughput::ElementsAndBytes {
        elements: RECORDS as u64,
        bytes: bytes as u64,
    });
    group.bench_function(name, |bencher| bencher.iter(&work));
    group.finish();
}

fn body(criterion: &mut Criterion) {
    let record = format!("{{\"la_child_id\":\"{}\"}}", "x".repeat(2_280));
    let records = vec![record; RECORDS];
    let all = || records.iter().map(String::as_str);
    let length = body_of(all()).len();
    bench(criterion, "body_of", length, || {
        black_box(body_of(all()));
    });
}

fn receipt(n: usize) -> String {
    format!("2026-11-24_02:00:01.25_00000000-0000-4000-8000-{n:012}.json")
}

fn acceptance(criterion: &mut Criterion) {
    let names: Vec<String> = (0..RECORDS).map(receipt).collect();
    let array = format!("[\"{}\"]", names.join("\",\""));
    for (name, reply) in [
        ("receipts of an array", array),
        ("receipts of a text", names.join("\n")),
    ] {
        assert_eq!(
            receipts(reply.as_bytes(), RECORDS).map_or(0, |list| list.len()),
            RECORDS
        );
        bench(criterion, name, reply.len(), || {
            black_box(receipts(reply.as_bytes(), RECORDS).is_ok());
        });
    }
}

fn refusal(criterion: &mut Criterion) {
    let of_all = |entry: fn(usize) -> String, between: &str| -> String {
        (0..RECORDS).map(entry).collect::<Vec<_>>().join(between)
    };
    let path = |n| format!("body[{n}].social_care_episodes[0].referral_date: not a date");
    let loc = |n| {
        format!(
            "{{\"loc\":[\"body\",{n},\"child_details\",\"sex\"],\"msg\":\"not one of the codes\"}}"
        )
    };
    for (name, reply) in [
        ("refused_records of a text", of_all(path, ", ")),
        (
            "refused_records of JSON",
            format!("{{\"detail\":[{}]}}", of_all(loc, ",")),
        ),
    ] {
        assert_eq!(refused_records(reply.as_bytes(), RECORDS).len(), RECORDS);
        bench(criterion, name, reply.len(), || {
            black_box(refused_records(reply.as_bytes(), RECORDS));
        });
    }
}

criterion_group!(receiver, body, acceptance, refusal);
criterion_main!(receiver);
