//! An embedded stand-in for the settlement API: the same requests, responses and refusals, on
//! loopback, from made-up data.
//!
//! ```text
//! Simulator ─ server ─ request → api ┬ tokens, faults, counters
//!                                    └ reply ← body ← json ← lifecycle ← data ← row
//! Books ──────────────────────────────────────────────────┘
//! ```
//!
//! The response for a pay date follows from the seed, the merchant, the pay date and the
//! simulator's today: two simulators with the same options give the same bytes, in any order and at
//! any concurrency. It keeps nothing on disk, knows nothing of the extractor, and is no reference
//! for what the real API does where the manual is silent.

mod api;
mod body;
mod books;
mod counters;
mod data;
mod dates;
mod draw;
mod error;
mod faults;
mod holidays;
mod json;
mod lifecycle;
mod options;
mod reply;
mod request;
mod row;
mod server;
mod tokens;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use api::Api;

pub use books::{Books, BooksError, BooksFault, BooksFaults, Difference};
pub use counters::Counts;
pub use error::OptionsError;
pub use lifecycle::restated_on;
pub use options::{Options, SimulatorArgs};

/// A running simulator; dropping it ends it at once, [`stop`](Self::stop) lets responses finish
/// first.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    api: Arc<Api>,
    stop: oneshot::Sender<()>,
    // a set and not a handle: dropped, it aborts the server and with it every connection
    server: JoinSet<()>,
}

impl Simulator {
    /// Starts serving on `listen` (port 0 takes a free one) until it is stopped or dropped.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(options: Options, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let api = Arc::new(Api::new(options));
        let (stop, stopped) = oneshot::channel();
        let mut server = JoinSet::new();
        server.spawn(server::serve(listener, Arc::clone(&api), stopped));
        tracing::debug!(%address, "simulator started");
        Ok(Self { address, api, stop, server })
    }

    /// The API's root, without a trailing slash, such as `http://127.0.0.1:41234`.
    #[must_use]
    pub fn base_url(&self) -> String {
        let mut reached = self.address;
        // a server on every interface is reached by its loopback address
        match reached.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => reached.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => reached.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{reached}")
    }

    /// The id and the key of the first merchant it accepts.
    #[must_use]
    pub fn credentials(&self) -> (&str, &str) {
        self.api.credentials()
    }

    /// The requests received and the responses sent so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.api.counts()
    }

    /// Stops listening, gives responses in progress one second, and ends.
    pub async fn stop(mut self) {
        // a server that is gone already has dropped the other end
        let _ = self.stop.send(());
        while self.server.join_next().await.is_some() {}
        tracing::debug!(address = %self.address, "simulator stopped");
    }
}
