//! `delta`: brings the Delta table up to date with the lake.

use clap::Args;

use crate::command::Command;
use crate::exit::ExitCode;
use crate::settings::groups::{LakeLayer, LangLayer, OutputLayer, TelemetryLayer};
use crate::settings::{RawSettings, ReadSettings};

use super::options::GlobalArgs;
use super::run::{RunCommand, Setting};
use super::scope::HeldMerchants;

#[derive(Debug, Args)]
#[command(mut_arg("output", |output| output.help("Format of the result on stdout [default: text]")))]
pub(super) struct DeltaArgs {
    #[command(flatten)]
    merchants: HeldMerchants,
    #[command(flatten)]
    lake: LakeLayer,
    #[command(flatten)]
    output: OutputLayer,
    #[command(flatten)]
    lang: LangLayer,
    #[command(flatten)]
    telemetry: TelemetryLayer,
}

impl DeltaArgs {
    pub(super) async fn run(&self, global: &GlobalArgs) -> ExitCode {
        let Self { lake, output, lang, telemetry, .. } = self;
        let command = RunCommand { command: Command::Delta, lake, output, lang, telemetry, global, dry_run: false, range: None };
        let flags = RawSettings { held: self.merchants.api_id.clone(), ..RawSettings::default() };
        let work = async |setting: Setting<'_>| {
            let ReadSettings { dest, merchants } = ReadSettings::new(&setting.raw)?;
            Ok(command.update_delta(&dest, &merchants, setting).await)
        };
        command.conduct(flags, work).await
    }
}
