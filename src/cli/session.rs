//! Opens what a command needs of the API: the embedded simulator where asked for, and a client.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Url;
use tokio::sync::watch;

use crate::api::client::Client;
use crate::config::{ApiSettings, Root};
use crate::errors::chain;
use crate::lake::layout::MerchantName;
use crate::lake::record::Environment;
use crate::simulator::Simulator;
use crate::walk::Signal;

/// A client, and the simulator it asks where that is embedded.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) environment: Environment,
    /// As records name it: a port that changes with every run says nothing.
    pub(super) source_url: String,
    pub(super) merchant: MerchantName,
    pub(super) empty_codes: Vec<String>,
    _simulator: Option<Simulator>,
}

impl Session {
    /// Starts the simulator where it is embedded, and makes the client. Asks nothing yet.
    pub(super) async fn open(settings: ApiSettings) -> Result<Self, String> {
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
        let config = settings.client_config(base_url);
        let client = Client::new(config, settings.credentials).map_err(|error| format!("cannot set up TLS: {}", chain(&error)))?;
        Ok(Self {
            client,
            environment: settings.environment,
            source_url,
            merchant: settings.merchant,
            empty_codes: settings.empty_codes,
            _simulator: simulator,
        })
    }
}

/// Listens for SIGINT and SIGTERM; the first of them is what the receiver holds.
pub(super) fn signals() -> watch::Receiver<Option<Signal>> {
    let (send, receive) = watch::channel(None);
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            tracing::warn!("signals cannot be listened for");
            return;
        };
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        };
        tracing::warn!("stopping: days in flight are finished or dropped whole");
        // nobody listening means the run is over
        let _ = send.send(Some(signal));
        // keeps the channel open: a closed one would read as "no signal can come"
        send.closed().await;
    });
    receive
}
