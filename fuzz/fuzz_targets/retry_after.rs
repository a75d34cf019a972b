#![no_main]

#[path = "../checks/retry_after.rs"]
mod retry_after;

libfuzzer_sys::fuzz_target!(|text: &str| retry_after::check(text));
