//! The fuzz targets' checks (`fuzz/`) on their seeds, and on some thousand inputs made of them: what is found by
//! fuzzing stays found, without its tools. `COOKIEPAY_FUZZ_SECONDS` makes each go on for so long.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::pedantic,
    clippy::nonminimal_bool,
    reason = "a check that cannot go on should panic; the checks are the fuzz targets' own"
)]

#[path = "../../fuzz/checks/amount.rs"]
mod amount;
#[path = "../../fuzz/checks/books.rs"]
mod books;
#[path = "../../fuzz/checks/date.rs"]
mod date;
#[path = "../../fuzz/checks/envelope.rs"]
mod envelope;
#[path = "../../fuzz/checks/record.rs"]
mod record;
#[path = "../../fuzz/checks/retry_after.rs"]
mod retry_after;
#[path = "../../fuzz/checks/settings.rs"]
mod settings;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs made of the seeds, where no time is set.
const INPUTS: usize = 3000;

/// Numbers that look random, the same ones each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }

    fn piece<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len());
        &bytes[from..from + self.below(bytes.len() - from + 1)]
    }
}

fn run(target: &str, inputs: usize, check: impl Fn(&[u8])) {
    const WORDS: &[&str] = &[
        "\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "\\u0041",
        "\\ud83d",
        "\"DATA\":",
        "\"RESULTCODE\":\"0000\"",
        "-",
        ".",
        "0",
        "%",
        "9",
        " ",
        "\n",
        "가",
        "=",
        "\u{FEFF}",
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty());
    let tried = |input: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| check(input))).is_err() {
            panic!("{target}: {:?}", String::from_utf8_lossy(input));
        }
    };
    seeds.iter().for_each(|seed| tried(seed));
    let seconds = std::env::var("COOKIEPAY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15 ^ seconds.map_or(0, |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64));
    let mut made = 0;
    while until.map_or(made < inputs, |until| Instant::now() < until) {
        let mut input = seeds[draw.below(seeds.len())].clone();
        for _ in 0..=draw.below(5) {
            let at = draw.below(input.len() + 1);
            let end = at + draw.below((input.len() - at).min(16) + 1);
            let other = &seeds[draw.below(seeds.len())];
            match draw.below(6) {
                0 => drop(input.splice(at..end, [])),
                1 => drop(input.splice(at..at, WORDS[draw.below(WORDS.len())].bytes())),
                2 => drop(input.splice(at..end, draw.piece(other).to_vec())),
                3 if at < input.len() => input[at] ^= 1 << draw.below(8),
                4 => input.truncate(at),
                _ => drop(input.splice(at..end, WORDS[draw.below(WORDS.len())].bytes())),
            }
        }
        tried(&input);
        made += 1;
    }
    println!("{target}: {} seeds, {made} inputs", seeds.len());
}

fn run_text(target: &str, check: impl Fn(&str)) {
    run(target, INPUTS, |bytes| check(&String::from_utf8_lossy(bytes)));
}

#[test]
fn envelopes() {
    run("envelope", INPUTS, envelope::check);
}

#[test]
fn amounts() {
    run_text("amount", amount::check);
}

#[test]
fn dates() {
    run_text("date", date::check);
}

#[test]
fn waits() {
    run_text("retry_after", retry_after::check);
}

#[test]
fn settings_files() {
    run_text("settings", settings::check);
}

#[test]
fn day_records() {
    run("record", INPUTS, record::check);
}

#[test]
fn books_and_statements() {
    // each is a file, which is read in several ways
    run("books", INPUTS / 10, books::check);
}
