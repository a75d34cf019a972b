//! A response's body as it arrives: neither silent for long nor endless at a trickle; and its way to the thread that reads it.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use reqwest::Response;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::error::ApiError;

/// Bytes per second that a body must bring on average, over each timeout that it is waited for.
pub(crate) const SLOWEST_PACE: u64 = 1024;

/// A body, chunk by chunk.
pub(crate) struct ResponseBody {
    response: Response,
    timeout: Duration,
    /// Bytes received.
    bytes: u64,
    pace: Pace,
}

impl ResponseBody {
    pub(super) fn new(response: Response, timeout: Duration) -> Self {
        Self { response, timeout, bytes: 0, pace: Pace::default() }
    }

    /// The next chunk; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        let began = Instant::now();
        let chunk = match timeout(self.timeout, self.response.chunk()).await {
            Err(_) => return Err(ApiError::Silent(self.timeout)),
            Ok(Err(error)) => return Err(ApiError::BrokenBody { bytes: self.bytes, source: Arc::new(error.without_url()) }),
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(chunk))) => chunk,
        };
        self.bytes += chunk.len() as u64;
        self.pace.add(chunk.len() as u64, began.elapsed(), self.timeout)?;
        Ok(Some(chunk))
    }

    /// Sends the body, chunk by chunk as it arrives, to the thread that reads it. Returns when the body has ended or failed, or
    /// when nobody reads any more.
    pub(crate) async fn pump(mut self, events: mpsc::Sender<BodyEvent>) {
        loop {
            let event = match self.chunk().await {
                Ok(Some(chunk)) => BodyEvent::Chunk(chunk),
                Ok(None) => BodyEvent::End,
                Err(error) => BodyEvent::Failed(error),
            };
            let last = !matches!(event, BodyEvent::Chunk(_));
            if events.send(event).await.is_err() || last {
                return;
            }
        }
    }
}

/// How fast a body arrives. Time that the receiver takes does not count.
#[derive(Debug, Default)]
struct Pace {
    /// Time waited since the pace was last checked, and the bytes received in it.
    waited: Duration,
    received: u64,
}

impl Pace {
    /// Adds a chunk; fails if less than [`SLOWEST_PACE`] arrived over a whole `timeout`.
    fn add(&mut self, bytes: u64, waited: Duration, timeout: Duration) -> Result<(), ApiError> {
        self.received += bytes;
        self.waited += waited;
        if self.waited < timeout {
            return Ok(());
        }
        let due = u128::from(SLOWEST_PACE) * self.waited.as_millis() / 1000;
        if u128::from(self.received) < due {
            return Err(ApiError::Slow { bytes: self.received, waited: self.waited });
        }
        *self = Self::default();
        Ok(())
    }
}

/// What a body sends: chunks, then one end or one failure. A channel that closes without either belongs to a call that was
/// dropped.
#[derive(Debug)]
pub(crate) enum BodyEvent {
    Chunk(Bytes),
    End,
    Failed(ApiError),
}

/// Reads a body's chunks from a channel, on a blocking thread.
pub(crate) struct BodyReader {
    events: mpsc::Receiver<BodyEvent>,
    chunk: Bytes,
    ended: bool,
    /// Receives every byte as it arrived.
    tee: Option<Box<dyn Write + Send>>,
}

impl BodyReader {
    pub(crate) fn new(events: mpsc::Receiver<BodyEvent>, tee: Option<Box<dyn Write + Send>>) -> Self {
        Self { events, chunk: Bytes::new(), ended: false, tee }
    }
}

impl BufRead for BodyReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() && !self.ended {
            match self.events.blocking_recv() {
                Some(BodyEvent::Chunk(chunk)) => {
                    if let Some(tee) = &mut self.tee {
                        tee.write_all(&chunk)?;
                    }
                    self.chunk = chunk;
                }
                Some(BodyEvent::End) => self.ended = true,
                Some(BodyEvent::Failed(error)) => return Err(io::Error::other(error)),
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount);
    }
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let taken = have.len().min(out.len());
        out[..taken].copy_from_slice(&have[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Whether a body passes that brings chunks of so many bytes, each after so many seconds.
    fn passes(bytes: u64, seconds: u64, chunks: usize) -> bool {
        let mut pace = Pace::default();
        (0..chunks).all(|_| pace.add(bytes, Duration::from_secs(seconds), TIMEOUT).is_ok())
    }

    #[test]
    fn a_body_must_bring_a_kibibyte_per_second_over_each_timeout() {
        assert!(passes(1024, 1, 100));
        assert!(!passes(1000, 1, 100));
        // a slow start is made up for within the timeout
        assert!(passes(9216, 9, 1));
        assert!(passes(5 * 1024, 5, 10));
    }

    #[test]
    fn bytes_received_earlier_do_not_pay_for_a_trickle_later() {
        let mut pace = Pace::default();
        assert!(pace.add(1 << 20, TIMEOUT, TIMEOUT).is_ok());
        let trickle = (0..10).try_for_each(|_| pace.add(1, Duration::from_secs(1), TIMEOUT));
        assert!(matches!(trickle, Err(ApiError::Slow { bytes: 10, .. })));
    }
}
