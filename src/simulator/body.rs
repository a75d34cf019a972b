//! Bodies as hyper sends them: short ones at once, settlement responses piece by piece, and those
//! that a fault ends early.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::counters::Counters;
use super::json::{PIECE_BYTES, SettlementJson};

/// How long a stalled body sends nothing before the connection is closed.
const STALL: Duration = Duration::from_hours(1);

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// After its last byte.
    Whole,
    /// Half way, in framing that looks complete.
    CutJson,
    /// Half way, in the middle of the framing.
    CutFraming,
    /// Half way, with the connection left open.
    Stall,
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct ReplyBody {
    /// Generated and not yet sent.
    ready: Bytes,
    /// What is still to be generated.
    source: Option<SettlementJson>,
    ending: Ending,
    /// Bytes until the ending, if it comes early.
    left: Option<u64>,
    /// Counts the rows of a complete response.
    counters: Option<Arc<Counters>>,
    /// Whether other tasks have run since the last piece.
    yielded: bool,
    stall: Option<Pin<Box<Sleep>>>,
}

impl ReplyBody {
    /// A short body, sent at once.
    pub(super) fn short(bytes: impl Into<Bytes>) -> Self {
        Self { ready: bytes.into(), source: None, ending: Ending::Whole, left: None, counters: None, yielded: true, stall: None }
    }

    /// A settlement response, whose first piece is generated here; `counters` counts the rows of a
    /// complete one.
    pub(super) async fn streamed(mut source: SettlementJson, ending: Ending, counters: Option<Arc<Counters>>) -> Self {
        let mut first = Vec::new();
        loop {
            source.fill(&mut first);
            if source.is_done() || first.len() >= PIECE_BYTES {
                break;
            }
            // one transaction may be searched for among millions
            tokio::task::yield_now().await;
        }
        let known = u64::try_from(first.len()).unwrap_or(u64::MAX);
        let total = if source.is_done() { known } else { source.estimated_bytes() };
        let left = (ending != Ending::Whole).then_some(total / 2);
        Self { source: Some(source), ending, left, counters, ..Self::short(first) }
    }

    fn more(&mut self) -> Bytes {
        while self.ready.is_empty()
            && let Some(source) = self.source.as_mut().filter(|source| !source.is_done())
        {
            self.ready = source.piece().into();
        }
        let mut piece = std::mem::take(&mut self.ready);
        if let Some(left) = &mut self.left {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= u64::try_from(piece.len()).unwrap_or(0);
        }
        piece
    }

    fn count_rows(&mut self) {
        if self.ending == Ending::Whole
            && let Some(source) = self.source.as_ref().filter(|source| source.is_done())
            && let Some(counters) = self.counters.take()
        {
            counters.rows_served(source.rows());
        }
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.ending {
            Ending::Whole | Ending::CutJson => Poll::Ready(None),
            Ending::CutFraming => Poll::Ready(Some(Err(io::Error::other("simulated cut")))),
            Ending::Stall => {
                let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
                ready!(stall.as_mut().poll(cx));
                Poll::Ready(Some(Err(io::Error::other("simulated stall"))))
            }
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if !this.yielded {
            // generating a piece never waits: without this a large response would keep its thread
            // busy; what precedes a cut is flushed meanwhile
            this.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = this.more();
        if piece.is_empty() {
            return this.poll_ending(cx);
        }
        this.yielded = false;
        // before the last byte is sent: a client that has read the whole response finds it counted
        this.count_rows();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let complete = self.source.as_ref().is_none_or(SettlementJson::is_done);
        let ready = u64::try_from(self.ready.len()).unwrap_or(u64::MAX);
        match (self.ending, self.left) {
            (Ending::Whole, _) if complete => SizeHint::with_exact(ready),
            (Ending::CutJson, Some(left)) if complete => SizeHint::with_exact(ready.min(left)),
            _ => SizeHint::default(),
        }
    }
}
