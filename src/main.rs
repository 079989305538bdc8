//! The command-line entry point: everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    stackctl::entry::main()
}
