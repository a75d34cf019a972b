//! The binary: everything is in the library, so that it can be tested and read from one place.

use std::process::ExitCode;

fn main() -> ExitCode {
    cookiepay_etl::cli::main()
}
