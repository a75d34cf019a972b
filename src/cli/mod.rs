//! What a person types and sees: one file a command. No business logic.

mod backfill;
mod check;
mod fetch;
mod logging;
mod lookup;
mod options;
mod output;
mod progress;
mod rebuild;
mod schema;
mod scope;
mod session;
mod simulate;
mod status;
mod sync;
mod verify;

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::exit::ExitCode;

use options::GlobalArgs;

/// Extracts CookiePay settlements, one pay date at a time, to a partitioned Parquet lake.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

const AFTER_HELP: &str = "\
Try it without credentials:
  cookiepay-etl backfill --env simulator --from 2024-01-01 --to 2024-01-31 --dest ./lake

Exit codes: 0 success, 2 usage or settings, 3 partial, 4 credentials refused, 5 answers refused,
6 API failed, 7 lake failed, 130 and 143 interrupted, 1 internal error.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch a range of pay dates into the lake
    Backfill(backfill::BackfillArgs),
    /// Bring the lake up to today: the daily job
    Sync(sync::SyncArgs),
    /// Check settings, token, one settlement call and the lake, a line each
    Check(check::CheckArgs),
    /// Print one pay date's rows, without a lake
    Lookup(lookup::LookupArgs),
    /// Show what is in the lake, day by day
    Status(status::StatusArgs),
    /// Read every file back and hold it against its record
    Verify(verify::VerifyArgs),
    /// Make days again from the answers kept by --keep-raw, without asking the API
    Rebuild(rebuild::RebuildArgs),
    /// Print the table's schema, for people or for an engine
    Schema(schema::SchemaArgs),
    /// Serve the simulated API until stopped
    Simulate(simulate::SimulateArgs),
    /// Print shell completions
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Write manual pages, one a command
    Man {
        /// The folder to write them to, such as /usr/local/share/man/man1
        folder: PathBuf,
    },
}

impl Command {
    /// The flags of a command that asks the API.
    fn api(&mut self) -> Option<&mut options::ApiArgs> {
        match self {
            Self::Backfill(args) => Some(args.api()),
            Self::Sync(args) => Some(args.api()),
            Self::Check(args) => Some(&mut args.api),
            Self::Lookup(args) => Some(&mut args.api),
            Self::Status(_)
            | Self::Verify(_)
            | Self::Rebuild(_)
            | Self::Schema(_)
            | Self::Simulate(_)
            | Self::Completions { .. }
            | Self::Man { .. } => None,
        }
    }
}

/// Parses the command line, runs its command and gives the exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (mut cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return output::usage(&error),
    };
    if let (Some((_, given)), Some(api)) = (matches.subcommand(), cli.command.api()) {
        api.settle_root(given);
    }
    logging::start(&cli.global);
    leave_no_core();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::Internal.into();
        }
    };
    let code = runtime.block_on(async {
        match cli.command {
            Command::Backfill(args) => args.run(&cli.global).await,
            Command::Sync(args) => args.run(&cli.global).await,
            Command::Check(args) => args.run(&cli.global).await,
            Command::Lookup(args) => args.run(&cli.global).await,
            Command::Status(args) => args.run(&cli.global).await,
            Command::Verify(args) => args.run(&cli.global).await,
            Command::Rebuild(args) => args.run(&cli.global).await,
            Command::Schema(args) => args.run(),
            Command::Simulate(args) => args.run().await,
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "cookiepay-etl", &mut std::io::stdout());
                ExitCode::Success
            }
            Command::Man { folder } => man(&folder),
        }
    });
    // a thread may still read a body that a signal cut off; it holds nothing that matters
    runtime.shutdown_background();
    code.into()
}

/// Keeps a crash from writing the key to disk with the rest of the memory.
fn leave_no_core() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum }) {
        tracing::warn!(%error, "a crash may leave the key in a core file");
    }
}

fn man(folder: &Path) -> ExitCode {
    match clap_mangen::generate_to(Cli::command(), folder) {
        Ok(()) => ExitCode::Success,
        Err(error) => {
            tracing::error!("cannot write manual pages to {}: {error}", folder.display());
            ExitCode::Usage
        }
    }
}
