//! `reconcile`: do the merchant's books, the PG and the bank agree?

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::document::workbook::WorkbookError;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::files::replace;
use crate::lang::Lang;
use crate::reconcile::books::Meaning;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::files::{AmountPer, ColumnChoice, DepositsFilter, FileOptions, OrdersFilter, WordChoice};
use crate::reconcile::outcome::Outcome;
use crate::reconcile::page::page;
use crate::reconcile::result::{ReconcileResult, exit_code, notification};
use crate::reconcile::workbook::workbook;
use crate::reconcile::{Request, export, reconcile};
use crate::settings::groups::{LangLayer, OutputFormat, OutputLayer, TelemetryLayer};
use crate::settings::{RawSettings, SettingsError, TelemetrySettings, check, setting};
use crate::telemetry::notify;

use super::options::{GlobalArgs, read_format};
use super::output::{self, write_json};
use super::reconciled;
use super::scope::{Absence, By, Days, HeldLake};

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ReconcileArgs {
    /// The merchant's orders: CSV, a workbook (FILE or FILE#SHEET) or Parquet; a path, a pattern, or s3://; repeat for several
    #[arg(long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new(), help_heading = "Files")]
    orders: Vec<String>,
    /// The bank's statement, in the same forms; repeat for several
    #[arg(long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new(), help_heading = "Files")]
    deposits: Vec<String>,
    /// The contracted rates: CSV or TOML with pay_type, acquirer_code, rate and from
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    rates: Option<PathBuf>,
    /// The header to use for a field, such as amount=결제금액 or deposits.amount=입금; repeat for several
    #[arg(long = "column", value_name = "FIELD=HEADER", help_heading = "Files")]
    columns: Vec<ColumnChoice>,
    /// What a word of the books means: paid, back, part or none; repeat for several
    #[arg(long = "word", value_name = "WORD=MEANING", help_heading = "Files")]
    words: Vec<WordChoice>,
    /// What the lines of the orders mean [default: found out from the columns]
    #[arg(long, value_name = "WHAT", help_heading = "Files")]
    orders_are: Option<Meaning>,
    /// What an amount of the orders is the amount of [default: found out from the columns]
    #[arg(long, value_name = "WHAT", help_heading = "Files")]
    amount_per: Option<AmountPer>,
    /// Only the order lines whose column has one of these values; repeat for several columns
    #[arg(long, value_name = "HEADER=VALUE|VALUE", help_heading = "Files")]
    orders_where: Vec<OrdersFilter>,
    /// Only the deposits whose column contains this text; repeat for several columns
    #[arg(long, value_name = "HEADER~TEXT", help_heading = "Files")]
    deposits_where: Vec<DepositsFilter>,
    /// First date of orders and deposits, and first pay date of fees [default: the files' first; all fees]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last date of orders and deposits, and last pay date of fees, inclusive [default: the files' last; all fees]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Days from an order to its payout [default: what 99 of 100 approved rows stay within]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(..=3660))]
    settle_days: Option<u32>,
    /// How many days late a deposit may be
    #[arg(long, value_name = "DAYS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=3660))]
    deposit_days: u32,
    #[command(flatten)]
    held: HeldLake,
    /// Also write every case to this file: .csv, .parquet, .xlsx or .html; repeat for several
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: Vec<PathBuf>,
    #[command(flatten)]
    lang: LangLayer,
    /// Format of the result on stdout [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
    /// Post a JSON message to this URL if something differs; works with Slack's incoming webhooks (if the URL is secret, set it through the environment variable)
    #[arg(long, env = crate::settings::env::NOTIFY_URL, value_name = "URL", hide_env_values = true, help_heading = "Notification")]
    notify_url: Option<String>,
}

const AFTER_HELP: &str = "\
Exit codes: 0 everything agrees, 5 something differs, 2 usage, settings or files, 7 lake failed, 1 internal error.";

/// What is known before anything is read.
struct Ready {
    request: Request,
    outs: Vec<Out>,
    lang: Lang,
    format: OutputFormat,
    telemetry: TelemetrySettings,
}

impl ReconcileArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let flags = RawSettings {
            output: OutputLayer { output: self.output, ..OutputLayer::default() },
            lang: self.lang.clone(),
            telemetry: TelemetryLayer { notify_url: self.notify_url.clone(), ..TelemetryLayer::default() },
            ..RawSettings::default()
        };
        let raw = match self.held.settings(flags, global) {
            Ok(raw) => raw,
            Err(code) => return code,
        };
        let Ready { request, outs, lang, format, telemetry } = match self.ready(&raw) {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                return ExitCode::Usage;
            }
        };
        let read = async |lake: &_, scope: &_, held| match reconcile(lake, scope, &held, &request).await {
            Err(ReconcileError::Lake(error)) => Err(error),
            found => Ok(found),
        };
        let days = Days { from: self.from.as_deref(), to: self.to.as_deref() };
        let outcome = match self.held.read(&raw, days, Absence::IsAnError, By::Index, read).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::error!("{}", chain(&error));
                return error.exit_code();
            }
            Err(code) => return code,
        };
        for out in &outs {
            if let Err(code) = out.write(&outcome, lang) {
                return code;
            }
        }
        if outcome.differs()
            && let Some(url) = telemetry.webhook
        {
            notify(url, notification(&outcome, lang)).await;
        }
        let code = exit_code(&outcome);
        output::print(code, |stdout| match format {
            OutputFormat::Json => {
                let written = outs.iter().map(|out| out.path.display().to_string()).collect();
                write_json(&ReconcileResult::new(&outcome, written), stdout)
            }
            OutputFormat::Text => reconciled::write(&outcome, lang, stdout),
        })
    }

    /// Checks everything that can be checked before the lake is read.
    fn ready(&self, raw: &RawSettings) -> Result<Ready, SettingsError> {
        let lang = raw.lang.lang();
        let outs = self.out.iter().map(|path| Out::new(path)).collect::<Result<Vec<_>, _>>()?;
        // of the settings file, only the webhook is of use here
        let webhook = TelemetryLayer { metrics_file: None, ..raw.telemetry.clone() };
        let files = FileOptions {
            columns: self.columns.clone(),
            words: self.words.clone(),
            orders_are: self.orders_are,
            amount_per: self.amount_per,
            orders_where: self.orders_where.clone(),
            deposits_where: self.deposits_where.clone(),
        };
        let request = Request {
            orders: self.orders.clone(),
            deposits: self.deposits.clone(),
            files,
            rates: self.rates.clone(),
            settle_days: self.settle_days,
            deposit_days: self.deposit_days,
            names: raw.file.merchant.iter().map(|table| (table.name.clone(), table.api_id.clone())).collect(),
        };
        Ok(Ready { request, outs, lang, format: read_format(raw), telemetry: TelemetrySettings::new(&webhook, lang)? })
    }
}

/// A file that receives every case.
struct Out {
    path: PathBuf,
    format: Format,
}

/// The form of such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Parquet,
    Workbook,
    Page,
}

impl Out {
    fn new(path: &Path) -> Result<Self, SettingsError> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let format = match extension.as_deref() {
            Some("csv") => Format::Csv,
            Some("parquet") => Format::Parquet,
            Some("xlsx") => Format::Workbook,
            Some("html") => Format::Page,
            _ => return setting(format!("--out {}: its name must end in .csv, .parquet, .xlsx or .html", path.display())),
        };
        check::writable_file("--out", path)?;
        Ok(Self { path: path.to_owned(), format })
    }

    /// Writes the file, whole or not at all; logs what failed.
    fn write(&self, outcome: &Outcome, lang: Lang) -> Result<(), ExitCode> {
        let now = Utc::now();
        let made = match self.format {
            Format::Page => Some(page(outcome, now, lang).into_bytes()),
            Format::Workbook => Some(workbook(outcome, now, lang).map_err(|error| {
                tracing::error!("--out {}: {}", self.path.display(), chain(&error));
                if matches!(error, WorkbookError::TooLong(_)) { ExitCode::Usage } else { ExitCode::Internal }
            })?),
            Format::Csv | Format::Parquet => None,
        };
        let written = replace(&self.path, |file: &mut dyn Write| match (&made, self.format) {
            (Some(made), _) => file.write_all(made),
            (None, Format::Parquet) => file.write_all(&export::parquet(outcome, lang).map_err(io::Error::other)?),
            (None, _) => export::csv(outcome, lang, file),
        });
        written.map_err(|error| {
            tracing::error!("cannot write --out {}: {error}", self.path.display());
            ExitCode::Internal
        })
    }
}
