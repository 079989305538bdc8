//! `verify`: whether data gets through the stack, hop by hop.

use std::sync::Arc;
use std::time::Duration;

use super::{DONE, Opened, check_account, graph_of, headline, load_stack, open, remark, wish};
use crate::cli::{Globals, RunFormat, VerifyArgs};
use crate::failure::Failure;
use crate::live::Live;
use crate::report::send::waiting;
use crate::report::{Screen, verify as report};
use crate::session::{self, Moving};
use crate::stack::canary::Canary;
use crate::stack::duration;
use crate::verify::Outcome;
use crate::verify::canary::fly;
use crate::verify::probe::probe;

/// Exit code when a hop is broken.
const BROKEN: u8 = 2;

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &VerifyArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let timeout = duration(&args.timeout)
        .ok_or_else(|| Failure::usage(format!("--timeout {}: expected a time such as 60s or 5m", args.timeout)))?;
    if !args.canary {
        let opened = open(globals, &args.stack, screen).await?;
        return verify(globals, args, &opened, None, screen).await;
    }
    let (opened, moving) = open_moving(globals, args, screen).await?;
    let canary = opened.stack.canary.clone().ok_or_else(|| {
        Failure::new("the stack file has no canary")
            .help("say in `verify: {canary: {stream: ID, record: {…}}}` which record goes all the way through")
    });
    let code = match canary {
        Ok(canary) => verify(globals, args, &opened, Some((&canary, timeout)), screen).await,
        Err(failure) => Err(failure),
    };
    if let Some(moving) = moving {
        moving.stop().await?;
    }
    code
}

/// Opens a stack as other commands do; a local cloud that is opened here also moves its records.
async fn open_moving(
    globals: &Globals,
    args: &VerifyArgs,
    screen: &mut Screen,
) -> Result<(Opened, Option<Moving>), Failure> {
    let stack = load_stack(&args.stack, screen)?;
    let graph = graph_of(&stack)?;
    let (aws, moving) = session::open_moving(&wish(globals), stack.region.as_deref()).await?;
    remark(&aws, screen);
    check_account(&stack, &aws)?;
    Ok((Opened { stack, graph, aws }, moving))
}

async fn verify(
    globals: &Globals,
    args: &VerifyArgs,
    opened: &Opened,
    canary: Option<(&Canary, Duration)>,
    screen: &Screen,
) -> Result<u8, Failure> {
    let live = opened.observe().await;
    let mut outcome = Outcome { probed: probe(&opened.aws, &opened.stack, &live).await, flight: None };
    if args.format == RunFormat::Text {
        screen.note(&headline("Verification of", opened, globals.local));
    }
    if let Some((canary, timeout)) = canary {
        send_canary(opened, &live, canary, timeout, &mut outcome, screen).await;
    }
    let place = &opened.aws.place;
    match args.format {
        RunFormat::Text => screen.result(&report::text(&outcome, screen.paint))?,
        RunFormat::Json => {
            screen.json(&report::document(&outcome, &opened.stack.name, &place.region, &place.account))?;
        }
    }
    Ok(match (outcome.broken(), outcome.probed.unread.is_empty()) {
        (Some(_), _) => BROKEN,
        (None, true) => DONE,
        (None, false) => 1,
    })
}

/// Sends the canary, unless it could not come through anyway. Where it is lost, the hops are looked at once more: a
/// function that failed on it has left its reason with the mapping.
async fn send_canary(
    opened: &Opened,
    live: &Live,
    canary: &Canary,
    timeout: Duration,
    outcome: &mut Outcome,
    screen: &Screen,
) {
    if outcome.broken().is_some() {
        screen.note("The canary was not sent: a hop is broken.\n\n");
        return;
    }
    let bar = waiting(screen, "waiting for the canary to come through");
    outcome.flight = Some(fly(&opened.aws, &opened.stack, live, canary, timeout).await);
    bar.finish_and_clear();
    if outcome.broken().is_some() {
        let live = opened.observe().await;
        outcome.probed = probe(&Arc::clone(&opened.aws), &opened.stack, &live).await;
    }
}
