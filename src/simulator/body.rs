//! Bodies as hyper sends them: short ones at once, answers piece by piece, and those that a fault
//! ends early.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::answer::{Answer, PIECE_BYTES};
use super::counters::Counters;

/// How long a stalled body says nothing before the connection is given up.
const STALL: Duration = Duration::from_hours(1);

/// How an answer comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// After its last byte.
    Whole,
    /// Half way, in a framing that looks whole.
    CutJson,
    /// Half way, the framing broken off.
    CutFraming,
    /// Half way, and nothing follows.
    Stall,
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct ReplyBody {
    /// Made and not yet sent.
    ready: Bytes,
    /// What is left to make.
    answer: Option<Answer>,
    ending: Ending,
    /// Bytes until the ending, when it comes early.
    left: Option<u64>,
    /// Where to count the rows of a whole answer.
    counters: Option<Arc<Counters>>,
    /// Whether the other tasks have had their turn since the last piece.
    yielded: bool,
    stall: Option<Pin<Box<Sleep>>>,
}

impl ReplyBody {
    /// A short body, sent at once.
    pub(super) fn short(bytes: impl Into<Bytes>) -> Self {
        Self { ready: bytes.into(), answer: None, ending: Ending::Whole, left: None, counters: None, yielded: true, stall: None }
    }

    /// An answer, of which the first piece is made here; rows served whole go to `counters`.
    pub(super) async fn answer(mut answer: Answer, ending: Ending, counters: Option<Arc<Counters>>) -> Self {
        let mut first = Vec::new();
        loop {
            answer.fill(&mut first);
            if answer.is_done() || first.len() >= PIECE_BYTES {
                break;
            }
            // one transaction may be looked for among millions
            tokio::task::yield_now().await;
        }
        let known = u64::try_from(first.len()).unwrap_or(u64::MAX);
        let total = if answer.is_done() { known } else { answer.estimated_bytes() };
        let left = (ending != Ending::Whole).then_some(total / 2);
        Self { answer: Some(answer), ending, left, counters, ..Self::short(first) }
    }

    fn more(&mut self) -> Bytes {
        while self.ready.is_empty()
            && let Some(answer) = self.answer.as_mut().filter(|answer| !answer.is_done())
        {
            self.ready = answer.piece().into();
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
            && let Some(answer) = self.answer.as_ref().filter(|answer| answer.is_done())
            && let Some(counters) = self.counters.take()
        {
            counters.rows_served(answer.rows());
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
            // making a piece never waits: without this a large answer would keep its thread to
            // itself; what was made before a cut is flushed meanwhile
            this.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = this.more();
        if piece.is_empty() {
            return this.poll_ending(cx);
        }
        this.yielded = false;
        // before the last byte leaves: whoever has read the answer to its end finds it counted
        this.count_rows();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let made = self.answer.as_ref().is_none_or(Answer::is_done);
        let ready = u64::try_from(self.ready.len()).unwrap_or(u64::MAX);
        match (self.ending, self.left) {
            (Ending::Whole, _) if made => SizeHint::with_exact(ready),
            (Ending::CutJson, Some(left)) if made => SizeHint::with_exact(ready.min(left)),
            _ => SizeHint::default(),
        }
    }
}
