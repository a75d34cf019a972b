//! `report`: a page and a workbook for people, made from the lake.

use std::path::{Path, PathBuf};

use chrono::{NaiveDate, Utc};
use clap::Args;
use serde::Serialize;

use crate::calendar::seoul_date;
use crate::command::Command;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::files;
use crate::report::{Figures, Making, Shown, figures};
use crate::settings::groups::{LangLayer, OutputFormat, OutputLayer};
use crate::settings::{RawSettings, SettingsError, check, setting, settle_window};
use crate::texts::pay_dates;

use super::options::{GlobalArgs, read_format};
use super::output::{self, write_json};
use super::scope::{Absence, By, Days, HeldLake};

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// First pay date [default: the first of the month twelve months ago in Seoul, or the lake's first if that is later]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last pay date, inclusive [default: the lake's last]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// File to write: a page if it ends in .html, a workbook if it ends in .xlsx; repeat for both
    #[arg(long, value_name = "FILE", required = true, help_heading = "Output")]
    out: Vec<PathBuf>,
    #[command(flatten)]
    lang: LangLayer,
    #[command(flatten)]
    held: HeldLake,
    /// Format of the result on stdout [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

impl ReportArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let outs = match self.out.into_iter().map(Out::new).collect::<Result<Vec<_>, _>>() {
            Ok(outs) => outs,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                return ExitCode::Usage;
            }
        };
        let output = OutputLayer { output: self.output, ..OutputLayer::default() };
        let flags = RawSettings { output, lang: self.lang.clone(), ..RawSettings::default() };
        let raw = match self.held.settings(flags, global) {
            Ok(raw) => raw,
            Err(code) => return code,
        };
        let now = Utc::now();
        let window = settle_window(&raw, seoul_date(now));
        let making = Making { now, window, name: &|id| raw.merchant_name(id) };
        let days = Days { from: self.from.as_deref(), to: self.to.as_deref() };
        let read = self.held.read(&raw, days, Absence::IsAnError, By::Table, async |lake, scope, held| {
            let dest = lake.dest().to_string();
            Ok((figures(lake, scope, &held, &making).await?, dest))
        });
        let (figures, dest) = match read.await {
            Ok((Ok(figures), dest)) => (figures, dest),
            Ok((Err(reason), _)) => {
                tracing::error!("{reason}");
                return ExitCode::Usage;
            }
            Err(code) => return code,
        };
        let shown = Shown { lang: raw.lang.lang(), dest: &dest, settle_window: window.days };
        if let Err(code) = write(&figures, shown, &outs) {
            return code;
        }
        let out: Vec<String> = outs.iter().map(|out| out.path.display().to_string()).collect();
        let (from, to) = (figures.range.from, figures.range.to);
        output::print(ExitCode::Success, |stdout| match read_format(&raw) {
            OutputFormat::Json => {
                let (status, exit_code) = ("success", ExitCode::Success);
                write_json(&Report { command: Command::Report, status, exit_code, dest: &dest, from, to, out: &out }, stdout)
            }
            OutputFormat::Text => {
                let covered = pay_dates(from, to, raw.lang.lang());
                out.iter().try_for_each(|path| writeln!(stdout, "{path}: {covered}"))
            }
        })
    }
}

#[derive(Serialize)]
struct Report<'a> {
    command: Command,
    status: &'static str,
    exit_code: ExitCode,
    dest: &'a str,
    from: NaiveDate,
    to: NaiveDate,
    out: &'a [String],
}

/// A file to write.
struct Out {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Workbook,
}

impl Out {
    fn new(path: PathBuf) -> Result<Self, SettingsError> {
        let kind = match path.extension().map(std::ffi::OsStr::to_ascii_lowercase) {
            Some(extension) if extension == "html" => Kind::Page,
            Some(extension) if extension == "xlsx" => Kind::Workbook,
            _ => return setting(format!("--out {}: its name must end in .html or .xlsx", path.display())),
        };
        check::writable_file("--out", &path)?;
        Ok(Self { path, kind })
    }
}

/// Writes every file, each whole or not at all, once all of them are made.
fn write(figures: &Figures, shown: Shown<'_>, outs: &[Out]) -> Result<(), ExitCode> {
    let made = |out: &Out| match out.kind {
        Kind::Page => figures.page(shown).map(String::into_bytes),
        Kind::Workbook => figures.workbook(shown),
    };
    let contents = outs.iter().map(made).collect::<Result<Vec<_>, _>>().map_err(|error| {
        tracing::error!("{}", chain(&error));
        if error.is_about_the_range() { ExitCode::Usage } else { ExitCode::Internal }
    })?;
    outs.iter().zip(contents).try_for_each(|(out, content)| replace(&out.path, &content))
}

fn replace(path: &Path, content: &[u8]) -> Result<(), ExitCode> {
    files::replace(path, |file| file.write_all(content)).map_err(|error| {
        tracing::error!("--out {} cannot be written: {error}", path.display());
        ExitCode::Internal
    })
}
