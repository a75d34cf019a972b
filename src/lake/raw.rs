//! Answers as received, kept as evidence: a zstd file whose first frame, which decoders skip, says
//! what the bytes after it are.

use std::io::{self, Write};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::settlement::columns::hex;

use super::record::Environment;

/// A skippable frame of the zstd format.
const SKIPPABLE: u32 = 0x184D_2A50;

/// What the day record says of a day's evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The object's path inside the lake.
    pub name: String,
    /// SHA-256 of the object.
    pub sha256: String,
}

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
        Ok(Self { zstd: zstd::Encoder::new(out, 1)? })
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
