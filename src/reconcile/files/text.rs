//! Text of any encoding that merchants have, decoded a block at a time: UTF-8 with or without BOM, UTF-16 with BOM, else CP949.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use encoding_rs::{Decoder, DecoderResult, EUC_KR, Encoding, UTF_8};

/// Bytes read at a time.
pub(super) const BLOCK: usize = 256 * 1024;

/// Why a text cannot be decoded.
#[derive(Debug)]
pub(super) enum TextError {
    Io(io::Error),
    /// Bytes that are no text in the encoding that the file has otherwise; after so many decoded lines.
    Malformed {
        encoding: &'static Encoding,
        lines: u64,
    },
    /// A NUL, which no text has; after so many decoded lines.
    Nul {
        lines: u64,
    },
}

impl From<io::Error> for TextError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The encoding of a text, and the length of its BOM.
pub(super) fn encoding_of(file: &mut File) -> io::Result<(&'static Encoding, usize)> {
    file.seek(SeekFrom::Start(0))?;
    let mut start = [0; 3];
    let read = read_full(file, &mut start)?;
    if let Some((encoding, length)) = Encoding::for_bom(&start[..read]) {
        return Ok((encoding, length));
    }
    Ok((if is_utf8(file)? { UTF_8 } else { EUC_KR }, 0))
}

/// Whether a whole file is UTF-8.
fn is_utf8(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut block = vec![0; BLOCK];
    let mut kept = 0;
    loop {
        let read = read_full(file, &mut block[kept..])?;
        let filled = kept + read;
        match std::str::from_utf8(&block[..filled]) {
            Ok(_) if read == 0 => return Ok(true),
            Ok(_) => kept = 0,
            // a character that goes on in the next block
            Err(error) if error.error_len().is_none() && read > 0 => {
                let valid = error.valid_up_to();
                block.copy_within(valid..filled, 0);
                kept = filled - valid;
            }
            Err(_) => return Ok(false),
        }
    }
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A file as text.
pub(super) struct Text {
    file: File,
    encoding: &'static Encoding,
    decoder: Decoder,
    block: Vec<u8>,
    /// Line breaks decoded so far.
    lines: u64,
    is_at_end: bool,
}

impl Text {
    pub(super) fn open(mut file: File, encoding: &'static Encoding, bom: usize) -> io::Result<Self> {
        file.seek(SeekFrom::Start(bom as u64))?;
        let decoder = encoding.new_decoder_without_bom_handling();
        Ok(Self { file, encoding, decoder, block: vec![0; BLOCK], lines: 0, is_at_end: false })
    }

    /// Appends the next block to `text`; `false` if there is none.
    pub(super) fn append(&mut self, text: &mut String) -> Result<bool, TextError> {
        if self.is_at_end {
            return Ok(false);
        }
        let read = read_full(&mut self.file, &mut self.block)?;
        self.is_at_end = read < self.block.len();
        let start = text.len();
        let room = self.decoder.max_utf8_buffer_length_without_replacement(read).unwrap_or(read * 3 + 16);
        text.reserve(room);
        let (result, _) = self.decoder.decode_to_string_without_replacement(&self.block[..read], text, self.is_at_end);
        let decoded = &text.as_bytes()[start..];
        if let Some(nul) = memchr::memchr(0, decoded) {
            let before = memchr::memchr_iter(b'\n', &decoded[..nul]).count() as u64;
            return Err(TextError::Nul { lines: self.lines + before });
        }
        let lines = memchr::memchr_iter(b'\n', decoded).count() as u64;
        match result {
            DecoderResult::InputEmpty => {
                self.lines += lines;
                Ok(true)
            }
            _ => Err(TextError::Malformed { encoding: self.encoding, lines: self.lines + lines }),
        }
    }

    /// The rest of the file.
    pub(super) fn all(mut self) -> Result<String, TextError> {
        let mut text = String::new();
        while self.append(&mut text)? {}
        Ok(text)
    }
}
