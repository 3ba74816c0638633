#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| csc_laws::connection(bytes));
