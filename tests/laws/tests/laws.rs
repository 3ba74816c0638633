//! The laws, held against the seeds of the fuzz targets, against what fuzzing found, and
//! against variations of these: the same at every run. `PROPTEST_CASES` sets how many.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// The seeds of a fuzz target, with the findings among them.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// The words of the seeds, what stands between them, and characters that mean something
/// to one reader or another.
fn pieces(seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80;
    let mut pieces: Vec<Vec<u8>> = seeds
        .iter()
        .flat_map(|seed| seed.chunk_by(|a, b| is_word(*a) == is_word(*b)))
        .map(<[u8]>::to_vec)
        .collect();
    let characters = "\n\r\t \0\u{a0}\u{feff}é\u{10FFFF};=,:@/?&%+-_.#'\"\\{}[]()<>$0918";
    pieces.extend(characters.chars().map(|c| c.to_string().into_bytes()));
    pieces.push(vec![0xff]);
    pieces.sort();
    pieces.dedup();
    pieces
}

/// At a place, so many bytes less and a piece more.
type Edit = (Index, usize, Vec<u8>);

fn edited(mut text: Vec<u8>, edits: Vec<Edit>) -> Vec<u8> {
    for (place, less, piece) in edits {
        let from = place.index(text.len() + 1);
        let to = text.len().min(from + less);
        text.splice(from..to, piece);
    }
    text
}

fn variations(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let pieces = pieces(&seeds);
    let edit = (any::<Index>(), 0..12_usize, select(pieces.clone()));
    prop_oneof![
        1 => vec(any::<u8>(), 0..100),
        4 => vec(select(pieces), 0..40).prop_map(|pieces| pieces.concat()),
        8 => (select(seeds), vec(edit, 0..8)).prop_map(|(seed, edits)| edited(seed, edits)),
    ]
}

fn holds(target: &str, law: fn(&[u8])) {
    let seeds = seeds(target);
    for seed in &seeds {
        law(seed);
    }
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let config = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig {
            cases: 2000,
            ..config
        },
    };
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, chance);
    let outcome = runner.run(&variations(seeds), |bytes| {
        law(&bytes);
        Ok(())
    });
    if let Err(broken) = outcome {
        panic!("{target}: {broken}");
    }
}

#[test]
fn an_env_file_is_read_line_by_line_and_means_the_same_in_every_encoding() {
    holds("env_file", csc_laws::env_file);
}

#[test]
fn a_connection_string_means_the_same_in_every_form_and_hides_its_password() {
    holds("connection", csc_laws::connection);
}

#[test]
fn receipts_are_as_many_as_records_or_a_fault() {
    holds("receipts", csc_laws::receipts);
}

#[test]
fn a_refusal_names_records_of_the_batch_only_and_shows_no_secret() {
    holds("refusal", csc_laws::refusal);
}

#[test]
fn no_retry_after_makes_a_run_wait_longer_than_it_may() {
    holds("retry_after", csc_laws::retry_after);
}

#[test]
fn a_token_is_one_word_of_one_header_and_no_message_shows_a_secret() {
    holds("token", csc_laws::token);
}
