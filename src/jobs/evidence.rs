//! Keeps a response as it is received, with `--keep-raw`: the whole of one that is read to its end, and the beginning of one
//! that is refused.
//!
//! A response is stored before anything refers to it. One that repeats the key or a token is not kept. What was refused is kept with the reason in
//! its header, so that `rebuild` passes it over unless it can be read by then.

use std::io::{self, Read as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::MultiGzDecoder;

use crate::cookiepay::redact::Redactor;
use crate::engine::failure::Failure;
use crate::lake::record::Evidence;
use crate::lake::response::{ResponseHeader, ResponseWriter};
use crate::lake::staged::StagingWriter;

/// Where a response goes while it is read. Finished when the response has ended.
pub(super) struct EvidenceWriter {
    name: String,
    writer: Arc<Mutex<ResponseWriter<StagingWriter>>>,
}

impl EvidenceWriter {
    /// Begins the object `name`.
    pub(super) fn new(name: String, header: &ResponseHeader, out: StagingWriter) -> Result<Self, Failure> {
        let writer = ResponseWriter::new(header, out).map_err(Failure::internal)?;
        Ok(Self { name, writer: Arc::new(Mutex::new(writer)) })
    }

    /// For the reader of the body, which must be dropped before [`EvidenceWriter::finish`].
    pub(super) fn tee(&self, beginning: Beginning) -> Box<dyn Write + Send> {
        Box::new(Tee { writer: Arc::clone(&self.writer), beginning })
    }

    /// Ends the object, and returns what the day record states about it.
    pub(super) fn finish(self) -> Result<Evidence, Failure> {
        let writer = Arc::into_inner(self.writer).and_then(|writer| writer.into_inner().ok());
        let writer = writer.ok_or_else(|| Failure::internal("the response is still being read"))?;
        let sha256 = writer.finish().map_err(Failure::internal)?;
        Ok(Evidence { name: self.name, sha256 })
    }
}

struct Tee {
    writer: Arc<Mutex<ResponseWriter<StagingWriter>>>,
    beginning: Beginning,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)?;
        self.beginning.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.lock().map_err(|_| io::ErrorKind::Other)?.flush()
    }
}

/// The beginning of a response, as received. Held in memory, because whether it contains a secret is only known once it is
/// refused.
#[derive(Clone, Default)]
pub(super) struct Beginning(Arc<Mutex<Vec<u8>>>);

impl Beginning {
    /// Bytes that are kept of a refused response.
    const MOST: usize = 4 << 20;

    fn add(&self, bytes: &[u8]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Self::MOST - held.len();
        held.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The bytes; `None` if there are none, or if they contain a secret as they are or decompressed.
    pub(super) fn without_secrets(self, secrets: &Redactor) -> Option<Vec<u8>> {
        let held = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut plain = Vec::new();
        // of a stream that is cut off, what there is
        let _ = MultiGzDecoder::new(&held[..]).take(Self::MOST as u64).read_to_end(&mut plain);
        let secret = [&held, &plain].into_iter().any(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            secrets.finds(&text) || secrets.begins_at_the_end_of(&text)
        });
        (!held.is_empty() && !secret).then_some(held)
    }
}

/// A response that was refused, as an object to be stored.
///
/// # Errors
/// None that memory does not have.
pub(super) fn encode_refused(header: &ResponseHeader, received: &[u8]) -> io::Result<Vec<u8>> {
    let mut object = Vec::new();
    let mut writer = ResponseWriter::new(header, &mut object)?;
    writer.write_all(received)?;
    writer.finish()?;
    Ok(object)
}
