//! Opens what a command needs to call the API: the embedded simulator if requested, and a client for each merchant.

use std::net::{Ipv4Addr, SocketAddr};

use futures::future::OptionFuture;
use reqwest::Url;
use tokio::sync::watch;

use crate::calendar::Clock;
use crate::cookiepay::client::Client;
use crate::cookiepay::throttle::Throttle;
use crate::engine::shutdown::{Signal, Signals};
use crate::exit::ExitCode;
use crate::http;
use crate::jobs::fetch::MerchantClient;
use crate::lake::record::Environment;
use crate::settings::{ApiSettings, Merchant, Root};
use crate::simulator::Simulator;

/// The merchants' clients, and the simulator that they call if it is embedded.
pub(super) struct Session {
    pub(super) merchants: Vec<MerchantClient>,
    pub(super) environment: Environment,
    /// As records name it, without a port that changes with every run.
    pub(super) source_url: String,
    pub(super) empty_codes: Vec<String>,
    /// Serves until it is dropped.
    pub(super) simulator: Option<Simulator>,
}

/// Why a session could not be opened.
pub(super) enum Unopened {
    /// This machine, or its settings, cannot be used.
    Settings(String),
    /// A defect, or a machine without ports.
    Internal(String),
}

impl Unopened {
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::Usage,
            Self::Internal(_) => ExitCode::Internal,
        }
    }

    pub(super) fn message(self) -> String {
        match self {
            Self::Settings(message) | Self::Internal(message) => message,
        }
    }
}

impl Session {
    /// Starts the simulator if it is embedded, and creates the clients. Sends no request yet.
    pub(super) async fn open(mut settings: ApiSettings, clock: &Clock) -> Result<Self, Unopened> {
        let (base_url, source_url, simulator) = match &settings.root {
            Root::Url(url) => (url.clone(), url.to_string(), None),
            Root::Embedded(options) => {
                let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let started = Simulator::start(options.clone(), listen).await;
                let simulator = started.map_err(|error| Unopened::Internal(format!("cannot start the simulator: {error}")))?;
                let url = Url::parse(&simulator.base_url()).map_err(|error| Unopened::Internal(error.to_string()))?;
                (url, "embedded simulator".to_owned(), Some(simulator))
            }
        };
        let pace = settings.pace();
        let mut merchants = Vec::new();
        for Merchant { credentials, name, since, rate_limit } in std::mem::take(&mut settings.merchants) {
            let pace = rate_limit.map_or_else(|| pace.clone(), Throttle::new);
            let client = Client::new(settings.client_config(base_url.clone(), pace, clock.clone()), credentials);
            let client = client.map_err(|error| Unopened::Settings(format!("cannot set up TLS: {}", http::explained(&error))))?;
            merchants.push(MerchantClient { client, merchant: name, since });
        }
        Ok(Self { merchants, environment: settings.environment, source_url, empty_codes: settings.empty_codes, simulator })
    }
}

/// Whether this process was started with SIGHUP ignored.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // the lowest bit is signal 1
    ignored.is_some_and(|signals| signals & 1 == 1)
}

/// Listens for SIGINT, SIGTERM and SIGHUP from now on; the receiver holds the first of them.
pub(super) fn signals() -> Signals {
    use tokio::signal::unix::{SignalKind, signal};
    let (send, receive) = watch::channel(None);
    let listen = |kind: SignalKind| signal(kind);
    let (Ok(mut interrupt), Ok(mut terminate)) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate())) else {
        tracing::warn!("cannot listen for signals");
        return receive;
    };
    // under nohup, a run is to go on when its terminal is closed
    let mut hang_up = if ignores_hang_up() { None } else { listen(SignalKind::hangup()).ok() };
    tokio::spawn(async move {
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
            Some(_) = OptionFuture::from(hang_up.as_mut().map(tokio::signal::unix::Signal::recv)) => Signal::HangUp,
        };
        tracing::warn!("stopping: days in progress may finish for 4 s, the rest are discarded");
        // if nobody listens, the run is over
        let _ = send.send(Some(signal));
        // keeps the channel open: a closed one would mean that no signal can be received
        send.closed().await;
    });
    receive
}
