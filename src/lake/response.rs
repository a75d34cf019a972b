//! Responses as received, saved as evidence under `raw/`: a zstd file whose first frame, which decoders skip, states what the bytes
//! after it are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, Write};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::settlement::columns::hex;

use super::record::Environment;

/// A skippable frame of the zstd format.
const SKIPPABLE: u32 = 0x184D_2A50;

/// What is needed to read a saved response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHeader {
    /// The API that it comes from.
    pub environment: Environment,
    /// The API's root.
    pub source_url: String,
    /// The requested API id.
    pub merchant_id: String,
    /// The requested pay date.
    pub pay_date: NaiveDate,
    /// When its headers arrived.
    pub extracted_at: DateTime<Utc>,
    /// Its `Content-Type`, which names the charset.
    pub content_type: Option<String>,
    /// Its `Content-Encoding`; the bytes are as received.
    pub content_encoding: Option<String>,
    /// Why it was refused when it arrived, if it was. Only its beginning may have been kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The longest header that is read.
const MAX_HEADER: u32 = 64 << 10;

/// A saved response that was found whole.
pub(crate) struct SavedResponse {
    /// What its bytes are.
    pub(crate) header: ResponseHeader,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
    file: File,
}

impl SavedResponse {
    /// Reads a saved response to its end: its header, its hash, and whether all of it can be read. Blocks.
    ///
    /// # Errors
    /// The file is not a response saved by this tool, or has changed.
    pub(crate) fn open(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut hash = HashingReader { from: BufReader::new(&file), hash: Sha256::new() };
        let header = read_header(&mut hash)?;
        let mut frames = zstd::Decoder::new(hash)?;
        io::copy(&mut frames, &mut io::sink())?;
        let sha256 = hex(&frames.finish().into_inner().hash.finalize());
        Ok(Self { header, sha256, file })
    }

    /// The response's bytes, as received.
    pub(crate) fn body(mut self) -> io::Result<impl BufRead + Send + 'static> {
        self.file.rewind()?;
        let mut file = BufReader::new(self.file);
        read_header(&mut file)?;
        Ok(BufReader::new(zstd::Decoder::with_buffer(file)?))
    }
}

fn read_header(from: &mut impl Read) -> io::Result<ResponseHeader> {
    let mut word = [0; 4];
    from.read_exact(&mut word)?;
    if u32::from_le_bytes(word) != SKIPPABLE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a header"));
    }
    from.read_exact(&mut word)?;
    let length = u32::from_le_bytes(word);
    if length > MAX_HEADER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its header is too long"));
    }
    let mut header = vec![0; length as usize];
    from.read_exact(&mut header)?;
    Ok(serde_json::from_slice(&header)?)
}

struct HashingReader<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(out)?;
        self.hash.update(&out[..read]);
        Ok(read)
    }
}

/// Saves one response to `W`.
pub(crate) struct ResponseWriter<W: Write> {
    zstd: zstd::Encoder<'static, Hashed<W>>,
}

impl<W: Write> ResponseWriter<W> {
    /// Writes the header.
    pub(crate) fn new(header: &ResponseHeader, out: W) -> io::Result<Self> {
        let mut out = Hashed { out, hash: Sha256::new() };
        let header = serde_json::to_vec(header)?;
        out.write_all(&SKIPPABLE.to_le_bytes())?;
        out.write_all(&u32::try_from(header.len()).map_err(io::Error::other)?.to_le_bytes())?;
        out.write_all(&header)?;
        let mut zstd = zstd::Encoder::new(out, 1)?;
        zstd.include_checksum(true)?;
        Ok(Self { zstd })
    }

    /// Ends the file; returns its SHA-256.
    pub(crate) fn finish(self) -> io::Result<String> {
        let mut out = self.zstd.finish()?;
        out.flush()?;
        Ok(hex(&out.hash.finalize()))
    }
}

impl<W: Write> Write for ResponseWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.zstd.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.zstd.flush()
    }
}

struct Hashed<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
