//! What a person types and sees: one file per command, and no business logic.

mod check;
mod delta;
mod fetch;
mod logging;
mod lookup;
mod options;
mod output;
mod progress;
mod rebuild;
mod reconcile;
mod reconciled;
mod report;
mod run;
mod schema;
mod scope;
mod session;
mod simulate;
mod status;
mod summary;
mod verify;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::command::Command;
use crate::errors::print_unguarded_panics_only;
use crate::exit::ExitCode;
use crate::figures;
use crate::settings::groups::ApiLayer;

use options::GlobalArgs;

/// Extracts CookiePay settlements, one pay date at a time, to a partitioned Parquet lake.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: CommandArgs,
    #[command(flatten)]
    global: GlobalArgs,
}

const AFTER_HELP: &str = "\
Try it without credentials:
  cookiepay-etl backfill --env simulator --from 2024-01-01 --to 2024-01-31 --dest ./lake

Exit codes: 0 success, 2 usage or settings, 3 partial, 4 credentials refused, 5 responses refused,
6 API failed, 7 lake failed, 129, 130 and 143 interrupted, 1 internal error.";

#[derive(Debug, Subcommand)]
enum CommandArgs {
    /// Fetch a range of pay dates into the lake
    Backfill(fetch::BackfillArgs),
    /// Bring the lake up to today: the daily job
    Sync(fetch::SyncArgs),
    /// Check settings, token, one settlement call and the lake
    Check(check::CheckArgs),
    /// Print the rows of one pay date, without a lake
    Lookup(lookup::LookupArgs),
    /// Show what the lake holds, day by day
    Status(status::StatusArgs),
    /// Read every file back and check it against its day record
    Verify(verify::VerifyArgs),
    /// Write a page or a workbook for people: what was paid out, what will be, what is missing, what it cost
    Report(report::ReportArgs),
    /// Rebuild days from the responses saved by --keep-raw, without calling the API
    Rebuild(rebuild::RebuildArgs),
    /// Create the lake's Delta table, or bring it up to date
    Delta(delta::DeltaArgs),
    /// Compare the merchant's books and the bank's statement with the lake
    Reconcile(Box<reconcile::ReconcileArgs>),
    /// Print a table of the lake, for people or as DDL for an engine
    Schema(schema::SchemaArgs),
    /// Serve the simulated API until stopped
    Simulate(simulate::SimulateArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages, one per command
    Man {
        /// The folder to write them to, such as /usr/local/share/man/man1
        folder: PathBuf,
    },
}

impl CommandArgs {
    /// The API of a command that calls it.
    fn api(&mut self) -> Option<&mut ApiLayer> {
        match self {
            Self::Backfill(args) => Some(args.api()),
            Self::Sync(args) => Some(args.api()),
            Self::Check(args) => Some(args.api()),
            Self::Lookup(args) => Some(args.api()),
            Self::Status(_)
            | Self::Verify(_)
            | Self::Report(_)
            | Self::Rebuild(_)
            | Self::Delta(_)
            | Self::Reconcile(_)
            | Self::Schema(_)
            | Self::Simulate(_)
            | Self::Completions { .. }
            | Self::Man { .. } => None,
        }
    }

    async fn run(self, global: &GlobalArgs) -> ExitCode {
        match self {
            Self::Backfill(args) => args.run(global).await,
            Self::Sync(args) => args.run(global).await,
            Self::Check(args) => args.run(global).await,
            Self::Lookup(args) => args.run(global).await,
            Self::Status(args) => args.run(global).await,
            Self::Verify(args) => args.run(global).await,
            Self::Report(args) => args.run(global).await,
            Self::Rebuild(args) => args.run(global).await,
            Self::Delta(args) => args.run(global).await,
            Self::Reconcile(args) => args.run(global).await,
            Self::Schema(args) => args.run(global),
            Self::Simulate(args) => args.run().await,
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "cookiepay-etl", &mut script);
                output::print(ExitCode::Success, |out| out.write_all(&script))
            }
            Self::Man { folder } => man(&folder),
        }
    }
}

/// Parses the command line, runs its command and returns the exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let matches = match Cli::command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return output::usage(&error, meant_command(&arguments)).into(),
    };
    let mut cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error, meant_command(&arguments)).into(),
    };
    if let (Some((_, flags)), Some(api)) = (matches.subcommand(), cli.command.api()) {
        api.prefer_simulator_flag(flags);
    }
    logging::start(&cli.global);
    disable_core_dumps();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::Internal.into();
        }
    };
    print_unguarded_panics_only();
    let code = catch_unwind(AssertUnwindSafe(|| runtime.block_on(cli.command.run(&cli.global)))).unwrap_or(ExitCode::Internal);
    // a thread may still read a body that a signal cut off; it holds nothing that matters
    runtime.shutdown_background();
    code.into()
}

/// The command of a command line that cannot be parsed.
fn meant_command(arguments: &[OsString]) -> Option<Command> {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    let name = matches.subcommand_name()?;
    Command::ALL.into_iter().find(|command| command.name() == name)
}

/// Keeps a crash from writing the key to disk with the rest of the memory.
fn disable_core_dumps() {
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
