//! Decodes a response's bytes to UTF-8 text, block by block: gzip, charset, size limit. Runs on a blocking thread.

use std::io::{self, BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use flate2::bufread::MultiGzDecoder;

use super::error::ApiError;
use super::redact::Redactor;

/// The charset of a response.
#[derive(Debug, Clone, Copy)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// The charset that a `Content-Type` declares; UTF-8 if it declares none.
    ///
    /// # Errors
    /// It declares one that is unknown.
    pub fn from_content_type(header: Option<&str>) -> Result<Self, ApiError> {
        let Some(label) = header.and_then(charset_label).filter(|label| !label.is_empty()) else { return Ok(Self(UTF_8)) };
        // names for CP949 that the WHATWG list lacks
        let known = match label.to_ascii_lowercase().as_str() {
            "cp949" | "ms949" | "uhc" | "x-windows-949" | "euckr" => Some(encoding_rs::EUC_KR),
            label => Encoding::for_label(label.as_bytes()),
        };
        known.map(Self).ok_or_else(|| ApiError::Encoding { what: "charset", name: label.into() })
    }
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

/// The response's text, block by block: decompressed, in UTF-8, without a byte order mark.
pub struct TextReader {
    source: Box<dyn BufRead + Send>,
    charset: Charset,
    decoder: Decoder,
    /// Decompressed bytes read.
    read: u64,
    limit: u64,
    /// Whether text has been returned: a byte order mark can only come before it.
    begun: bool,
    /// A sequence of UTF-8 that the last block ended inside.
    partial: Vec<u8>,
    /// Occurred behind text that has yet to be returned.
    failed: Option<ApiError>,
    ended: bool,
    watch: Option<Watch>,
}

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
        let source: Box<dyn BufRead + Send> = if first.starts_with(&GZIP_MAGIC[..first.len().min(2)]) && !first.is_empty() {
            Box::new(BufReader::with_capacity(BLOCK, MultiGzDecoder::new(body)))
        } else {
            Box::new(body)
        };
        Ok(Self {
            source,
            charset,
            decoder: charset.0.new_decoder_with_bom_removal(),
            read: 0,
            limit,
            begun: false,
            partial: Vec::new(),
            failed: None,
            ended: false,
            watch: None,
        })
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

    /// Appends the next block's text to `out`; returns `false` when the response has ended.
    ///
    /// # Errors
    /// The body, its gzip stream or its charset is broken. Text before that place is returned first.
    pub(crate) fn fill(&mut self, out: &mut String) -> Result<bool, ApiError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        let block = self.source.fill_buf().map_err(|error| failure(error, self.read))?;
        let length = block.len();
        let start = self.read;
        self.read += length as u64;
        if self.read > self.limit {
            return Err(ApiError::TooLarge(self.limit >> 20));
        }
        self.ended = length == 0;
        let begin = out.len();
        let valid = if self.charset.0 == UTF_8 {
            append_utf8(block, &mut self.partial, &mut self.begun, out)
        } else {
            append_decoded(&mut self.decoder, block, self.ended, out)
        };
        if let Some(watch) = &mut self.watch {
            watch.search(&out[begin..]);
        }
        self.source.consume(length);
        if let Err(at) = valid {
            self.failed = Some(if self.ended {
                // the end came inside a character
                ApiError::Cut { bytes: self.read }
            } else {
                // at most a few bytes of a split sequence are before this block
                ApiError::Charset { charset: self.charset.0.name(), at: start + at as u64 }
            });
        }
        Ok(!self.ended || self.failed.is_some())
    }
}

/// Appends a block of UTF-8, holding back a sequence that it ends inside; the offset of what is not UTF-8.
fn append_utf8(block: &[u8], partial: &mut Vec<u8>, begun: &mut bool, out: &mut String) -> Result<(), usize> {
    let held = partial.len();
    let mut joined = std::mem::take(partial);
    let bytes = if held == 0 {
        block
    } else {
        joined.extend_from_slice(block);
        &joined[..]
    };
    let (text, error) = match simdutf8::compat::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => (simdutf8::compat::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(), Some(error)),
    };
    let marked = !*begun && text.starts_with('\u{FEFF}');
    *begun |= !text.is_empty();
    out.push_str(if marked { &text['\u{FEFF}'.len_utf8()..] } else { text });
    let Some(error) = error else { return Ok(()) };
    if error.error_len().is_some() || block.is_empty() {
        return Err(text.len().saturating_sub(held));
    }
    *partial = bytes[text.len()..].to_vec();
    Ok(())
}

/// Appends a block of another charset, decoded; the offset of what is not in it.
fn append_decoded(decoder: &mut Decoder, block: &[u8], last: bool, out: &mut String) -> Result<(), usize> {
    let mut at = 0;
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(block.len() - at).unwrap_or(BLOCK);
        out.reserve(room);
        let (result, used) = decoder.decode_to_string_without_replacement(&block[at..], out, last);
        at += used;
        match result {
            DecoderResult::InputEmpty => return Ok(()),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return Err(at),
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
