//! The seal: SHA-256 of a file's bytes with the seal's own digits as zeros. It shows whether the file is as it was written; engines
//! disagree on what a flipped bit means.
//!
//! The writer holds the footer back until everything before it is hashed, then inserts the digits: the file is written in one pass.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use sha2::{Digest as _, Sha256};

use crate::settlement::columns::hex;

/// The seal's digits before it is known.
pub(super) const NO_SEAL: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const KEY: &str = "\"seal\":\"";

/// Where in `footer` the digits of a record's `seal` begin: the last such place, because the key-value metadata follows everything
/// that rows can put into a footer.
pub(super) fn position(footer: &[u8], seal: &str) -> Option<usize> {
    let mark = format!("{KEY}{seal}\"");
    memchr::memmem::rfind(footer, mark.as_bytes()).map(|found| found + KEY.len())
}

/// A file's SHA-256 as it is.
///
/// # Errors
/// The file cannot be read.
pub(super) fn sha256(file: &mut File) -> io::Result<String> {
    of_file(file, u64::MAX)
}

/// The seal that a file should have, whose digits begin at offset `at`.
///
/// # Errors
/// The file cannot be read.
pub(super) fn of_file(file: &mut File, at: u64) -> io::Result<String> {
    const BLOCK: usize = 64 * 1024;
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        for (byte, place) in block[..read].iter_mut().zip(offset..) {
            if (at..at.saturating_add(NO_SEAL.len() as u64)).contains(&place) {
                *byte = b'0';
            }
        }
        hash.update(&block[..read]);
        offset += read as u64;
    }
}
