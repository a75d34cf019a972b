#![no_main]

#[path = "../checks/settings.rs"]
mod settings;

libfuzzer_sys::fuzz_target!(|text: &str| settings::check(text));
