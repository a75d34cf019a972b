//! Decodes a response's bytes to UTF-8 text, block by block: gzip, charset, size limit. Runs on a blocking thread.
//!
//! Bytes without a declared charset, or with a Latin one (what common servers declare for everything), are UTF-8 if they are UTF-8, else CP949.
//! This is decided on the first 4 MiB, which is nearly always the whole. A sequence that the charset does not have becomes a noncharacter, by
//! which the row that holds it is found and refused.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use encoding_rs::{Decoder, DecoderResult, EUC_KR, Encoding, UTF_8};
use flate2::bufread::MultiGzDecoder;

use crate::settlement::source::UNDECODABLE;

use super::error::ApiError;
use super::redact::Redactor;

/// How a response's bytes are to be read as text.
#[derive(Debug, Clone, Copy)]
pub struct Charset(Declared);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    /// No charset, or a Latin one, which common servers declare for whatever they send: UTF-8 if the bytes are UTF-8, else CP949.
    Nothing,
    /// This one.
    Encoding(&'static Encoding),
}

/// Charsets without Korean: to declare one of them is to declare nothing.
const LATIN: [&Encoding; 14] = [
    encoding_rs::WINDOWS_1252,
    encoding_rs::WINDOWS_1250,
    encoding_rs::WINDOWS_1254,
    encoding_rs::WINDOWS_1257,
    encoding_rs::WINDOWS_1258,
    encoding_rs::ISO_8859_2,
    encoding_rs::ISO_8859_3,
    encoding_rs::ISO_8859_4,
    encoding_rs::ISO_8859_10,
    encoding_rs::ISO_8859_13,
    encoding_rs::ISO_8859_14,
    encoding_rs::ISO_8859_15,
    encoding_rs::ISO_8859_16,
    encoding_rs::MACINTOSH,
];

impl Charset {
    /// The charset that a `Content-Type` declares.
    ///
    /// # Errors
    /// It declares one that is unknown.
    pub fn from_content_type(header: Option<&str>) -> Result<Self, ApiError> {
        let Some(label) = header.and_then(charset_label).filter(|label| !label.is_empty()) else { return Ok(Self(Declared::Nothing)) };
        // names for CP949 that the WHATWG list lacks
        let known = match label.to_ascii_lowercase().as_str() {
            "cp949" | "ms949" | "uhc" | "x-windows-949" | "euckr" | "euc_kr" => Some(EUC_KR),
            label => Encoding::for_label(label.as_bytes()),
        };
        match known {
            Some(latin) if LATIN.contains(&latin) => Ok(Self(Declared::Nothing)),
            Some(encoding) => Ok(Self(Declared::Encoding(encoding))),
            None => Err(ApiError::Encoding { what: "charset", name: label.into() }),
        }
    }
}

/// A short text whose charset nobody need have declared, such as an error page: bytes that cannot be read are replaced.
pub(crate) fn short_text(bytes: &[u8], content_type: Option<&str>) -> String {
    let declared = Charset::from_content_type(content_type).map_or(Declared::Nothing, |charset| charset.0);
    let encoding = match declared {
        Declared::Encoding(encoding) => encoding,
        Declared::Nothing if is_utf8_so_far(bytes) => UTF_8,
        Declared::Nothing => EUC_KR,
    };
    encoding.decode_with_bom_removal(bytes).0.into_owned()
}

/// Whether bytes are UTF-8, perhaps cut off inside a character.
fn is_utf8_so_far(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn charset_label(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// The beginning of every gzip stream, and of no JSON.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const BLOCK: usize = 64 * 1024;

/// The response's text, block by block: decompressed, in UTF-8, without a byte order mark. Bytes that the charset does not have
/// become [`UNDECODABLE`], so that only the row in which they are is lost.
pub struct TextReader {
    source: Box<dyn BufRead + Send>,
    decoder: Decoder,
    /// Whether CP949 may still turn out to be what the bytes are: none of them was outside ASCII yet.
    undecided: bool,
    /// Decompressed bytes read.
    read: u64,
    limit: u64,
    /// Whether bytes could not be decoded.
    damaged: bool,
    end: End,
    watch: Option<Watch>,
}

/// Whether the response has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Reached,
    /// It came inside a character, behind text that was returned.
    InsideCharacter,
}

/// Bytes of a response without a charset that are read before it is decided: nearly all responses are shorter.
const DECIDED_BY: u64 = 4 << 20;

/// Searches the text for secrets as it passes.
struct Watch {
    secrets: Redactor,
    seen: Arc<AtomicBool>,
    /// The end of what passed: a secret may be split between two blocks.
    tail: String,
}

impl Watch {
    fn search(&mut self, text: &str) {
        let reach = |text: &str, bytes: usize| text.floor_char_boundary(bytes.min(text.len()));
        let longest = self.secrets.longest();
        self.tail.push_str(&text[..reach(text, longest)]);
        if self.secrets.finds(text) || self.secrets.finds(&self.tail) {
            self.seen.store(true, Ordering::Relaxed);
        }
        if text.len() >= longest {
            self.tail.clear();
            self.tail.push_str(&text[reach(text, text.len() - longest)..]);
        } else {
            let from = reach(&self.tail, self.tail.len().saturating_sub(longest));
            self.tail.drain(..from);
        }
    }
}

impl TextReader {
    /// Begins to read. Gzip is detected by its first bytes, whatever the headers state. More than `limit` bytes, decompressed, are
    /// refused.
    ///
    /// # Errors
    /// The body's first read fails.
    pub fn new(mut body: impl BufRead + Send + 'static, charset: Charset, limit: u64) -> Result<Self, ApiError> {
        let first = body.fill_buf().map_err(|error| failure(error, 0))?;
        // no JSON begins with these bytes, so a proxy that drops or adds the header does no harm
        let mut source: Box<dyn BufRead + Send> = if first.starts_with(&GZIP_MAGIC[..first.len().min(2)]) && !first.is_empty() {
            Box::new(BufReader::with_capacity(BLOCK, MultiGzDecoder::new(body)))
        } else {
            Box::new(body)
        };
        let (encoding, undecided) = match charset.0 {
            Declared::Encoding(encoding) => (encoding, false),
            Declared::Nothing => {
                let held;
                (held, source) = hold(source, DECIDED_BY);
                let encoding = if is_utf8_so_far(&held) { UTF_8 } else { EUC_KR };
                let undecided = held.is_ascii();
                source = Box::new(BufReader::with_capacity(BLOCK, Cursor::new(held).chain(source)));
                (encoding, undecided)
            }
        };
        let decoder = encoding.new_decoder_with_bom_removal();
        Ok(Self { source, decoder, undecided, read: 0, limit, damaged: false, end: End::NotYet, watch: None })
    }

    /// The same, with a flag that is set when a secret has passed.
    pub(crate) fn watching(mut self, secrets: Redactor) -> (Self, Arc<AtomicBool>) {
        let seen = Arc::new(AtomicBool::new(false));
        self.watch = Some(Watch { secrets, seen: Arc::clone(&seen), tail: String::new() });
        (self, seen)
    }

    /// Bytes read so far, decompressed.
    pub(crate) fn bytes(&self) -> u64 {
        self.read
    }

    /// Whether bytes could not be decoded so far.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Appends the next block's text to `out`; returns `false` when the response has ended.
    ///
    /// # Errors
    /// The body or its gzip stream is broken, or the response ends inside a character. Text before that place is returned
    /// first.
    pub(crate) fn fill(&mut self, out: &mut String) -> Result<bool, ApiError> {
        match self.end {
            End::NotYet => {}
            End::Reached => return Ok(false),
            End::InsideCharacter => return Err(ApiError::Cut { bytes: self.read }),
        }
        let block = self.source.fill_buf().map_err(|error| failure(error, self.read))?;
        let length = block.len();
        self.read += length as u64;
        if self.read > self.limit {
            return Err(ApiError::TooLarge(self.limit >> 20));
        }
        let ended = length == 0;
        if self.undecided && !block.is_ascii() {
            self.undecided = false;
            if !is_utf8_so_far(block) {
                self.decoder = EUC_KR.new_decoder_without_bom_handling();
            }
        }
        let begin = out.len();
        let undecodable = append(&mut self.decoder, block, ended, out);
        if let Some(watch) = &mut self.watch {
            watch.search(&out[begin..]);
        }
        self.source.consume(length);
        match (ended, undecodable) {
            (true, 0) => self.end = End::Reached,
            (true, _) => self.end = End::InsideCharacter,
            (false, undecodable) => self.damaged |= undecodable > 0,
        }
        Ok(self.end != End::Reached)
    }
}

/// Reads up to so many bytes ahead; returns them, and the source behind them. What fails is reported when the reader gets
/// there.
fn hold(mut source: Box<dyn BufRead + Send>, most: u64) -> (Vec<u8>, Box<dyn BufRead + Send>) {
    let mut held = Vec::new();
    let read = source.by_ref().take(most).read_to_end(&mut held);
    match read {
        Ok(_) => (held, source),
        Err(error) => (held, Box::new(BufReader::with_capacity(1, Failing(Some(error))))),
    }
}

/// Fails once, with what was met while reading ahead.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Appends a block, decoded; returns how many sequences of it the charset does not have. At the end, that is one if it came
/// inside a character.
fn append(decoder: &mut Decoder, block: &[u8], last: bool, out: &mut String) -> usize {
    let (mut at, mut undecodable) = (0, 0);
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(block.len() - at).unwrap_or(BLOCK);
        out.reserve(room);
        let (result, used) = decoder.decode_to_string_without_replacement(&block[at..], out, last);
        at += used;
        match result {
            DecoderResult::InputEmpty => return undecodable,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                undecodable += 1;
                out.push(UNDECODABLE);
            }
        }
    }
}

/// Distinguishes the transport's failure, which passes through readers unchanged, from the decoder's own.
fn failure(error: io::Error, bytes: u64) -> ApiError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ApiError::Gzip(format!("ends early, after {bytes} bytes decompressed")),
        io::ErrorKind::BrokenPipe => ApiError::Cut { bytes },
        _ => match error.downcast::<ApiError>() {
            Ok(error) => error,
            Err(error) => ApiError::Gzip(error.to_string()),
        },
    }
}
