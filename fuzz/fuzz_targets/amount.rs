#![no_main]

#[path = "../checks/amount.rs"]
mod amount;

libfuzzer_sys::fuzz_target!(|text: &str| amount::check(text));
