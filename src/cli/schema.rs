//! `schema`: the table's schema, for people or for an engine.

use std::io::Write as _;

use clap::Args;

use crate::exit::ExitCode;
use crate::settlement::ddl::{Dialect, schema};

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Output format or engine
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Dialect,
    /// The lake's root as the engine will see it, for the DDL
    #[arg(long, value_name = "PATH|URL", default_value = "s3://bucket/prefix")]
    dest: String,
}

impl SchemaArgs {
    pub(super) fn run(&self) -> ExitCode {
        let mut dest = self.dest.clone();
        // Spark resolves a relative path against its warehouse, not against the working folder
        if self.format == Dialect::Spark && !dest.contains("://") {
            dest = std::path::absolute(&dest).map_or(dest, |path| path.to_string_lossy().into_owned());
        }
        // a reader that has closed the pipe is not a failure
        let _ = write!(std::io::stdout(), "{}", schema(self.format, &dest));
        ExitCode::Success
    }
}
