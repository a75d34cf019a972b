//! `simulate`: the simulated API on a port of its own, until stopped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

use crate::exit::ExitCode;
use crate::simulator::{Options, Simulator, SimulatorArgs};

use super::output;
use super::session::signals;

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// Port to listen on, 0 for a free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Loopback address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = loopback)]
    listen: IpAddr,
    #[command(flatten)]
    simulator: SimulatorArgs,
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => Ok(address),
        Ok(_) => Err("the simulator listens only on loopback".into()),
        Err(error) => Err(error.to_string()),
    }
}

impl SimulateArgs {
    pub(super) async fn run(self) -> ExitCode {
        let options = match Options::try_from(&self.simulator) {
            Ok(options) => options,
            Err(error) => {
                tracing::error!("{error}");
                return ExitCode::Usage;
            }
        };
        let mut signals = signals();
        let simulator = match Simulator::start(options, SocketAddr::from((self.listen, self.port))).await {
            Ok(simulator) => simulator,
            Err(error) => {
                tracing::error!("cannot listen on {}:{}: {error}: choose another --port", self.listen, self.port);
                return ExitCode::Internal;
            }
        };
        let (id, key) = simulator.credentials();
        output::line(format_args!("export COOKIEPAY_BASE_URL={}", simulator.base_url()));
        output::line(format_args!("export COOKIEPAY_API_ID={id}"));
        output::line(format_args!("export COOKIEPAY_API_KEY={key}"));
        // ends by a signal, which is how a server is meant to end
        let _ = signals.wait_for(Option::is_some).await;
        simulator.stop().await;
        ExitCode::Success
    }
}
