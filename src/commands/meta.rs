//! `schema`, `completions` and `man`: the program about itself.

use clap::CommandFactory;
use clap_complete::Shell;

use super::DONE;
use crate::cli::{Cli, Described, SchemaArgs};
use crate::failure::Failure;
use crate::kinds;
use crate::report::Screen;

/// Prints a JSON Schema.
pub(super) fn schema(args: &SchemaArgs, screen: &Screen) -> Result<u8, Failure> {
    screen.json(&match args.of {
        Described::Stack => crate::stack::schema::document(kinds::all()),
        Described::Drift => crate::report::drift::schema(),
    })?;
    Ok(DONE)
}

/// Prints completions for a shell.
pub(super) fn completions(shell: Shell, screen: &Screen) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stackctl", &mut script);
    screen.verbatim(&String::from_utf8_lossy(&script))?;
    Ok(DONE)
}

/// Prints the manual page: the program, then each command.
pub(super) fn man(screen: &Screen) -> Result<u8, Failure> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let man = clap_mangen::Man::new(sub.clone().display_name(format!("stackctl {}", sub.get_name())));
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    screen.verbatim(&String::from_utf8_lossy(&page))?;
    Ok(DONE)
}
