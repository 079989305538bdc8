//! `lock`: shows the lease on a stack, or ends the lease of another run.

use super::confirm::{check_asking, confirm};
use super::{DONE, Opened, open};
use crate::cli::{Globals, LockCommand, LockReleaseArgs, LockShowArgs, RunFormat, StackArgs};
use crate::failure::Failure;
use crate::lease::item::end;
use crate::lease::keep::clock;
use crate::lease::owner::this_run;
use crate::lease::store::Store;
use crate::report::{Screen, lock as text};

/// Runs the command.
pub(super) async fn run(globals: &Globals, command: &LockCommand, screen: &mut Screen) -> Result<u8, Failure> {
    match command {
        LockCommand::Show(args) => show(globals, args, screen).await,
        LockCommand::Release(args) => release(globals, args, screen).await,
    }
}

async fn show(globals: &Globals, args: &LockShowArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let (opened, store) = find(globals, &args.stack, screen).await?;
    let lease = store.read().await?;
    let place = place(&opened, &store);
    match args.format {
        RunFormat::Text => screen.result(&text::text(&place, lease.as_ref(), clock()))?,
        RunFormat::Json => screen.json(&text::document(&place, lease.as_ref()))?,
    }
    Ok(DONE)
}

async fn release(globals: &Globals, args: &LockReleaseArgs, screen: &mut Screen) -> Result<u8, Failure> {
    check_asking(args.auto_approve)?;
    let (opened, store) = find(globals, &args.stack, screen).await?;
    let lease = store.read().await?;
    let shown = text::text(&place(&opened, &store), lease.as_ref(), clock());
    let Some((lease, seen)) = lease.as_ref().and_then(|lease| Some((lease, lease.mark.as_ref()?))) else {
        screen.result(&format!("{shown}There is nothing to release.\n"))?;
        return Ok(DONE);
    };
    screen.note(&shown);
    let question = format!(
        "Do you really want to end this lease? If its run is alive, it works on beside others until it renews the lease (within {}), and finishes the steps it has begun.",
        text::span(lease.length / 3)
    );
    confirm(&question, args.auto_approve, screen).await?;
    let by = this_run("lock release").who;
    if store.change(&end(seen, &by, clock())).await?.is_none() {
        return Err(Failure::new("the lease is not what it was: that run has given it back, or another one has it")
            .help("look again with `stackctl lock show`"));
    }
    screen.result(&format!("The lease on stack {} is free.\n", opened.stack.name))?;
    Ok(DONE)
}

async fn find(globals: &Globals, args: &StackArgs, screen: &mut Screen) -> Result<(Opened, Store), Failure> {
    let opened = open(globals, args, screen).await?;
    let Some(lock) = &opened.stack.lock else {
        return Err(Failure::new(format!("stack {} has no lock", opened.stack.name))
            .help("write `lock: {table: stackctl-locks}` at the top of the stack file"));
    };
    let store = Store::new(opened.aws.clone(), &lock.table, &opened.stack.name);
    Ok((opened, store))
}

fn place<'a>(opened: &'a Opened, store: &'a Store) -> text::Place<'a> {
    let place = &opened.aws.place;
    text::Place {
        stack: &opened.stack.name,
        region: &place.region,
        account: &place.account,
        table: store.table(),
        key: store.key(),
    }
}
