//! Answers as received, kept as evidence: a zstd file whose first frame, which decoders skip, says
//! what the bytes after it are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, Write};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::settlement::columns::hex;

use super::record::Environment;

/// A skippable frame of the zstd format.
const SKIPPABLE: u32 = 0x184D_2A50;

/// What is to be known to read an answer again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawHeader {
    /// Which API gave it.
    pub environment: Environment,
    /// The API's root.
    pub source_url: String,
    /// The API id asked for.
    pub merchant_id: String,
    /// The pay date asked for.
    pub pay_date: NaiveDate,
    /// When its headers arrived.
    pub extracted_at: DateTime<Utc>,
    /// The answer's `Content-Type`, which names its charset.
    pub content_type: Option<String>,
    /// The answer's `Content-Encoding`; the bytes are as they came.
    pub content_encoding: Option<String>,
}

/// The longest header that is read.
const MAX_HEADER: u32 = 64 << 10;

/// A kept answer, fetched and found whole.
pub(crate) struct RawAnswer {
    /// What its bytes are.
    pub(crate) header: RawHeader,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
    file: File,
}

impl RawAnswer {
    /// Reads a kept answer through once: its header, its hash, and whether all of it can be read.
    ///
    /// # Errors
    /// A file that is not an answer kept by this tool, or not as it was kept.
    pub(crate) fn open(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut hash = HashingReader { from: BufReader::new(&file), hash: Sha256::new() };
        let header = read_header(&mut hash)?;
        let mut frames = zstd::Decoder::new(hash)?;
        io::copy(&mut frames, &mut io::sink())?;
        let sha256 = hex(&frames.finish().into_inner().hash.finalize());
        Ok(Self { header, sha256, file })
    }

    /// The answer's bytes, as they came.
    pub(crate) fn body(mut self) -> io::Result<impl BufRead + Send + 'static> {
        self.file.rewind()?;
        let mut file = BufReader::new(self.file);
        read_header(&mut file)?;
        Ok(BufReader::new(zstd::Decoder::with_buffer(file)?))
    }
}

fn read_header(from: &mut impl Read) -> io::Result<RawHeader> {
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

/// Writes one answer to `W`.
pub(crate) struct RawWriter<W: Write> {
    zstd: zstd::Encoder<'static, Hashed<W>>,
}

impl<W: Write> RawWriter<W> {
    /// Begins with the header.
    pub(crate) fn new(header: &RawHeader, out: W) -> io::Result<Self> {
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

impl<W: Write> Write for RawWriter<W> {
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
