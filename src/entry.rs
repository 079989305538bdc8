//! From the process to a command and back: arguments, logging, the runtime, the exit code.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::Cli;
use crate::commands;
use crate::failure::{Failure, Style};
use crate::report::{Screen, fault, log, safe};

/// Exit code of wrong usage (`EX_USAGE` of sysexits).
const USAGE: u8 = 64;

/// Options that Terraform's users type with one dash.
const TERRAFORM_FLAGS: &[&str] = &[
    "-auto-approve",
    "-target",
    "-replace",
    "-var",
    "-var-file",
    "-destroy",
    "-detailed-exitcode",
    "-parallelism",
    "-chdir",
    "-json",
    "-out",
    "-lock-timeout",
];

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(fault::tell));
    std::panic::catch_unwind(start).unwrap_or(ExitCode::FAILURE)
}

fn start() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let mut screen = Screen::of_process(cli.globals.no_color, |name| std::env::var(name).ok());
    log_to_stderr(cli.globals.verbose);
    let code = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(commands::run(cli, &mut screen)),
        Err(error) => Err(Failure::new(format!("could not start: {error}"))),
    };
    ExitCode::from(code.unwrap_or_else(|failure| fail(&failure, &screen)))
}

fn fail(failure: &Failure, screen: &Screen) -> u8 {
    let text = failure.message.trim_end();
    let text = match failure.style {
        // What AWS or a function said may hold anything.
        Style::Plain => format!("{}{}", screen.paint_err.red("error: "), safe(text)),
        Style::Report => text.to_owned(),
        Style::Silent => return failure.code,
    };
    screen.note(&format!("{text}\n"));
    if let Some(help) = &failure.help {
        screen.note(&format!("  help: {help}\n"));
    }
    failure.code
}

fn usage(error: &clap::Error) -> ExitCode {
    // Printing can fail only when nobody reads any more.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => {
            let typed = std::env::args()
                .find(|argument| TERRAFORM_FLAGS.iter().any(|flag| argument.split('=').next() == Some(flag)));
            if let Some(flag) = typed {
                let ours = if flag == "-json" { "--format json".to_owned() } else { format!("-{flag}") };
                Screen::default().note(&format!("\nhint: options have two dashes here: {ours}\n"));
            }
            ExitCode::from(USAGE)
        }
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "stackctl=info",
        // The SDK's own debug logs show requests and answers whole, secrets included: they stay off.
        _ => "stackctl=debug,aws_config=info",
    };
    tracing_subscriber::fmt().with_env_filter(level).with_writer(log::Lines::default).with_ansi(false).init();
}
