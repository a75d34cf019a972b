//! Keeps a response as it is received, with `--keep-raw`.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

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
    pub(super) fn tee(&self) -> Box<dyn Write + Send> {
        Box::new(Tee(Arc::clone(&self.writer)))
    }

    /// Ends the object, and returns what the day record states about it.
    pub(super) fn finish(self) -> Result<Evidence, Failure> {
        let writer = Arc::into_inner(self.writer).and_then(|writer| writer.into_inner().ok());
        let writer = writer.ok_or_else(|| Failure::internal("the response is still being read"))?;
        let sha256 = writer.finish().map_err(Failure::internal)?;
        Ok(Evidence { name: self.name, sha256 })
    }
}

struct Tee(Arc<Mutex<ResponseWriter<StagingWriter>>>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.flush()
    }
}
