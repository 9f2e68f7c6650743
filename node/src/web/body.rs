//! What is answered: bytes that are there, or a long list that is written while it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// Bytes of a chunk of a long list, about.
pub const CHUNK: usize = 64 << 10;

/// A response's body.
pub enum Body {
    /// Nothing more to send.
    Empty,
    /// All of it.
    Full(Bytes),
    /// Piece by piece.
    Chunks(Chunks),
}

/// A body that is made while it is sent, so that a long list never stands in memory as text.
pub struct Chunks {
    next: Box<dyn FnMut() -> Option<Bytes> + Send>,
    /// Bytes to come, if they can be told beforehand.
    remaining: Option<u64>,
}

impl Body {
    /// A JSON array and a line break.
    pub fn array<T, W>(items: Vec<T>, length: Option<u64>, write: W) -> Self
    where
        T: Send + 'static,
        W: FnMut(&T, &mut Vec<u8>) + Send + 'static,
    {
        Self::list(b"[".to_vec(), items, b"]\n".to_vec(), length, write)
    }

    /// Items with `", "` between them, in front of them `head`, behind them `tail`; `write` appends one item. Up to
    /// about [`CHUNK`] bytes are made at once; a longer list follows in pieces. `length`: the bytes of all of it, if the
    /// caller can tell.
    pub fn list<T, W>(head: Vec<u8>, items: Vec<T>, tail: Vec<u8>, length: Option<u64>, mut write: W) -> Self
    where
        T: Send + 'static,
        W: FnMut(&T, &mut Vec<u8>) + Send + 'static,
    {
        let mut items = items.into_iter();
        let mut first = true;
        // Appends what fits into a piece; `true`: the tail is on.
        let mut fill = move |text: &mut Vec<u8>| {
            while text.len() < CHUNK {
                let Some(item) = items.next() else {
                    text.extend_from_slice(&tail);
                    return true;
                };
                if !first {
                    text.extend_from_slice(b", ");
                }
                first = false;
                write(&item, text);
            }
            false
        };
        let mut begin = head;
        if fill(&mut begin) {
            return Self::Full(begin.into());
        }
        let mut begin = Some(begin);
        let mut over = false;
        let next = move || {
            if let Some(begin) = begin.take() {
                return Some(begin.into());
            }
            if over {
                return None;
            }
            let mut text = Vec::with_capacity(CHUNK + 1024);
            over = fill(&mut text);
            Some(text.into())
        };
        Self::Chunks(Chunks { next: Box::new(next), remaining: length })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(bytes)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        let data = match body {
            Self::Empty => None,
            Self::Full(_) => match std::mem::replace(body, Self::Empty) {
                Self::Full(bytes) if !bytes.is_empty() => Some(bytes),
                _ => None,
            },
            Self::Chunks(chunks) => {
                let data = (chunks.next)();
                if let (Some(remaining), Some(data)) = (&mut chunks.remaining, &data) {
                    *remaining = remaining.saturating_sub(data.len() as u64);
                }
                data
            }
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Chunks(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Chunks(chunks) => chunks.remaining.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mut body: Body) -> (String, usize) {
        let (mut text, mut pieces) = (String::new(), 0);
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) = hyper::body::Body::poll_frame(Pin::new(&mut body), &mut context) {
            text.push_str(&frame.into_data().map(|d| String::from_utf8_lossy(&d).into_owned()).unwrap_or_default());
            pieces += 1;
        }
        (text, pieces)
    }

    fn numbers(n: u32, length: Option<u64>) -> Body {
        Body::array((0..n).collect(), length, |n, out| out.extend_from_slice(n.to_string().as_bytes()))
    }

    #[test]
    fn a_list_is_the_same_text_in_one_piece_and_in_many() {
        assert_eq!(text(numbers(0, None)), ("[]\n".to_owned(), 1));
        assert_eq!(text(numbers(3, None)), ("[0, 1, 2]\n".to_owned(), 1));
        let all: Vec<u32> = (0..50_000).collect();
        let (long, pieces) = text(numbers(50_000, None));
        assert_eq!(long, format!("{all:?}\n"));
        assert_eq!(pieces, long.len().div_ceil(CHUNK + 7).max(6));
    }

    #[test]
    fn a_length_that_is_known_counts_down() {
        let (long, _) = text(numbers(50_000, None));
        let mut body = numbers(50_000, Some(long.len() as u64));
        assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(long.len() as u64));
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(_)) = hyper::body::Body::poll_frame(Pin::new(&mut body), &mut context) {}
        assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(0));
    }
}
