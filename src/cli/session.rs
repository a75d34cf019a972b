//! Opens what a command needs to call the API: the embedded simulator if requested, and a client for each merchant.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Url;
use tokio::sync::watch;

use crate::calendar::Clock;
use crate::cookiepay::client::Client;
use crate::cookiepay::throttle::Throttle;
use crate::engine::shutdown::{Signal, Signals};
use crate::errors::chain;
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

impl Session {
    /// Starts the simulator if it is embedded, and creates the clients. Sends no request yet.
    pub(super) async fn open(mut settings: ApiSettings, clock: &Clock) -> Result<Self, String> {
        let (base_url, source_url, simulator) = match &settings.root {
            Root::Url(url) => (url.clone(), url.to_string(), None),
            Root::Embedded(options) => {
                let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let started = Simulator::start(options.clone(), listen).await;
                let simulator = started.map_err(|error| format!("cannot start the simulator: {error}"))?;
                let url = Url::parse(&simulator.base_url()).map_err(|error| error.to_string())?;
                (url, "embedded simulator".to_owned(), Some(simulator))
            }
        };
        let pace = settings.pace();
        let mut merchants = Vec::new();
        for Merchant { credentials, name, rate_limit } in std::mem::take(&mut settings.merchants) {
            let pace = rate_limit.map_or_else(|| pace.clone(), Throttle::new);
            let client = Client::new(settings.client_config(base_url.clone(), pace, clock.clone()), credentials);
            let client = client.map_err(|error| format!("cannot set up TLS: {}", chain(&error)))?;
            merchants.push(MerchantClient { client, merchant: name });
        }
        Ok(Self { merchants, environment: settings.environment, source_url, empty_codes: settings.empty_codes, simulator })
    }
}

/// Listens for SIGINT and SIGTERM from now on; the receiver holds the first of them.
pub(super) fn signals() -> Signals {
    use tokio::signal::unix::{SignalKind, signal};
    let (send, receive) = watch::channel(None);
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        tracing::warn!("cannot listen for signals");
        return receive;
    };
    tokio::spawn(async move {
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        };
        tracing::warn!("stopping: days in progress may finish for 4 s, the rest are discarded");
        // if nobody listens, the run is over
        let _ = send.send(Some(signal));
        // keeps the channel open: a closed one would mean that no signal can be received
        send.closed().await;
    });
    receive
}
