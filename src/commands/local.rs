//! `local`: the local cloud as a server, what happened in it, and its end.

mod logs;
mod outbox;

use std::net::{Ipv4Addr, SocketAddr};

use tokio::signal::unix::{SignalKind, signal};

use super::DONE;
use crate::cli::{Globals, LocalCommand};
use crate::failure::Failure;
use crate::local::{Settings, reset, serve};
use crate::report::Screen;
use crate::session::{LOCAL_REGION, local_dir, local_failure, seed_remark};

/// Returns the region to look at.
fn region(globals: &Globals) -> String {
    globals.region.clone().unwrap_or_else(|| LOCAL_REGION.to_owned())
}

/// Runs the command.
pub(super) async fn run(globals: &Globals, command: &LocalCommand, screen: &Screen) -> Result<u8, Failure> {
    match command {
        LocalCommand::Outbox(args) => outbox::run(globals, args, screen).await,
        LocalCommand::Logs(args) => logs::run(globals, args, screen).await,
        LocalCommand::Serve { port } => listen(*port, screen).await,
        LocalCommand::Reset => {
            reset(&local_dir()).map_err(|error| local_failure(&error))?;
            screen.note("The local cloud is empty.\n");
            Ok(DONE)
        }
    }
}

async fn listen(port: u16, screen: &Screen) -> Result<u8, Failure> {
    let settings = Settings::from_env().map_err(|error| Failure::new(error.to_string()))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let remark = seed_remark(&settings);
    let mut listener = serve(&local_dir(), address, settings).await.map_err(|error| local_failure(&error))?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    screen.result(&format!("{}\n", listener.url()))?;
    screen.note("The local cloud answers at this address. Interrupt to stop it.\n");
    if let Some(remark) = remark {
        screen.note(&format!("{remark}\n"));
    }
    tokio::select! {
        ended = listener.ended() => ended?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::select! {
        stopped = listener.stop() => stopped?,
        // A request may still run for a quarter of an hour. What is not finished goes on with the next start.
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(DONE)
}
