//! `policy`: prints the IAM policy for whoever checks or deploys stacks.

use super::{DONE, open};
use crate::cli::{Globals, PolicyArgs};
use crate::drift::reads;
use crate::failure::Failure;
use crate::kinds;
use crate::policy;
use crate::report::Screen;

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &PolicyArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let emulator = is_emulator(globals);
    let document = if args.deployer {
        let opened = open(globals, &args.stack, screen).await?;
        let reads = reads::actions(kinds::all(), emulator, false);
        policy::deployer(&opened.stack, &opened.aws.place, kinds::KINDS, &reads)
    } else {
        policy::on_all(&reads::actions(kinds::all(), emulator, args.who))
    };
    screen.json(&document)?;
    Ok(DONE)
}

/// Tells whether commands go to an emulator, whose tagging API cannot be relied on, so that more has to be listed.
fn is_emulator(globals: &Globals) -> bool {
    let elsewhere = globals.endpoint_url.is_some() || std::env::var_os("AWS_ENDPOINT_URL").is_some();
    elsewhere && !globals.local
}
