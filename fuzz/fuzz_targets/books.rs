#![no_main]

#[path = "../checks/books.rs"]
mod books;

// the reader of workbooks panics on damaged ones, which is taken as an error; here any panic ends the process
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if !input.starts_with(b"PK") && !input.starts_with(&[0xD0, 0xCF]) {
        books::check(input);
    }
});
