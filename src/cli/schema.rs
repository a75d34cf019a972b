//! `schema`: the lake's tables, for people or as statements for an engine.

use clap::Args;

use crate::ddl::{self, Days, Format, Request, Root, Table};
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::settings::groups::{LakeLayer, LangLayer};
use crate::settings::{RawSettings, check};

use super::options::GlobalArgs;
use super::output;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct SchemaArgs {
    /// Output format or engine
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Which of the lake's tables
    #[arg(long, value_name = "TABLE", default_value = "settlements")]
    table: Table,
    /// First pay date to read, for engines that then open fewer files [default: the lake's first]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last pay date to read, inclusive [default: the lake's last]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    #[command(flatten)]
    lake: LakeLayer,
    #[command(flatten)]
    lang: LangLayer,
}

const AFTER_HELP: &str = "\
Without --dest, the statements name s3://bucket/prefix, to be replaced. Schemes that only an engine knows are kept: s3a:// for
Spark, gs:// for BigQuery and Snowflake.";

impl SchemaArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> ExitCode {
        let printed = self.request(global).and_then(|request| ddl::print(&request).map_err(|error| chain(&error)));
        match printed {
            Ok(text) => output::print(ExitCode::Success, |out| write!(out, "{text}")),
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::Usage
            }
        }
    }

    fn request(&self, global: &GlobalArgs) -> Result<Request, String> {
        let flags = RawSettings { lake: self.lake.clone(), lang: self.lang.clone(), ..RawSettings::default() };
        let raw = global.settings(flags).map_err(|error| chain(&error))?;
        let dest = check::dest_as_typed(&raw.lake).map_err(|error| chain(&error))?;
        let root = dest.map(Root::parse).transpose().map_err(|error| chain(&error))?;
        Ok(Request {
            format: self.format,
            table: self.table,
            root: root.unwrap_or_else(Root::placeholder),
            days: self.days().map_err(|error| chain(&error))?,
            lang: raw.lang.lang(),
        })
    }

    fn days(&self) -> Result<Days, crate::settings::SettingsError> {
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            let range = check::range(from, to)?;
            return Ok(Days { from: Some(range.from), to: Some(range.to) });
        }
        let day = |flag, text: &Option<String>| text.as_deref().map(|text| check::pay_date(flag, text)).transpose();
        Ok(Days { from: day("--from", &self.from)?, to: day("--to", &self.to)? })
    }
}
