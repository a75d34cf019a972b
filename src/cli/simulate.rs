//! `simulate`: the simulated API on a port of its own, until stopped; or its books, once.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::calendar::DateRange;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::files;
use crate::settings::check;
use crate::simulator::{Books, BooksFaults, Options, Simulator, SimulatorArgs};

use super::figures::counted;
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
    /// Write the merchant's books and the bank's statement for --from to --to into this folder, and end: orders.csv, deposits.csv,
    /// and differences.json with the differences that --books-fault makes
    #[arg(long, value_name = "FOLDER", requires = "from", requires = "to")]
    books: Option<PathBuf>,
    /// First date of the books, as YYYY-MM-DD
    #[arg(long, value_name = "DATE", requires = "books")]
    from: Option<String>,
    /// Last date of the books, as YYYY-MM-DD
    #[arg(long, value_name = "DATE", requires = "books")]
    to: Option<String>,
    /// How the books differ from what is served (repeatable): KIND or KINDxN, where KIND is missing, doubled, mispriced or unknown for
    /// a payment, and deposit-missing, deposit-short, deposit-late or deposit-extra for a payout
    #[arg(long, value_name = "SPEC", requires = "books")]
    books_fault: Vec<BooksFaults>,
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
        if let Some(folder) = &self.books {
            return match self.write_books(folder, &options) {
                Ok(written) => output::print(ExitCode::Success, |out| out.write_all(written.as_bytes())),
                Err((code, error)) => {
                    tracing::error!("{error}");
                    code
                }
            };
        }
        let mut signals = signals();
        let simulator = match Simulator::start(options, SocketAddr::from((self.listen, self.port))).await {
            Ok(simulator) => simulator,
            Err(error) => {
                tracing::error!("cannot listen on {}:{}: {error}: choose another --port", self.listen, self.port);
                return ExitCode::Internal;
            }
        };
        let (id, key) = simulator.credentials();
        let printed = output::print(ExitCode::Success, |out| {
            writeln!(out, "export COOKIEPAY_BASE_URL={}", simulator.base_url())?;
            writeln!(out, "export COOKIEPAY_API_ID={id}")?;
            writeln!(out, "export COOKIEPAY_API_KEY={key}")
        });
        if printed != ExitCode::Success {
            return printed;
        }
        // ends by a signal, which is how a server is meant to end
        let _ = signals.wait_for(Option::is_some).await;
        simulator.stop().await;
        ExitCode::Success
    }

    /// Writes the books, and returns what a person should know of them.
    fn write_books(&self, folder: &Path, options: &Options) -> Result<String, (ExitCode, String)> {
        let usage = |error: &dyn std::error::Error| (ExitCode::Usage, chain(error));
        let date =
            |flag: &str, date: &Option<String>| check::pay_date(flag, date.as_deref().unwrap_or_default()).map_err(|error| usage(&error));
        let (from, to) = (date("--from", &self.from)?, date("--to", &self.to)?);
        if from > to {
            return Err((ExitCode::Usage, format!("--from {from} is after --to {to}")));
        }
        let books = Books::new(options, DateRange { from, to }, &self.books_fault).map_err(|error| usage(&error))?;
        let differences = serde_json::to_vec_pretty(&books.differences).unwrap_or_default();
        let mut written = String::new();
        for (name, bytes, what) in [
            ("orders.csv", &books.orders, counted(books.order_lines as u64, "line")),
            ("deposits.csv", &books.deposits, counted(books.deposit_lines as u64, "deposit")),
            ("differences.json", &differences, counted(books.differences.len() as u64, "difference")),
        ] {
            let path = folder.join(name);
            std::fs::create_dir_all(folder)
                .and_then(|()| files::replace(&path, |file| file.write_all(bytes)))
                .map_err(|error| (ExitCode::Usage, format!("cannot write {}: {error}", path.display())))?;
            let _ = writeln!(written, "{}: {what}", path.display());
        }
        Ok(written)
    }
}
