//! `local outbox`: the messages that topics would have sent.

use std::time::Duration;

use serde_json::Value;

use super::region;
use crate::cli::{Globals, OutboxArgs, RunFormat};
use crate::commands::DONE;
use crate::failure::Failure;
use crate::local::DEFAULT_ACCOUNT;
use crate::report::Screen;
use crate::report::local::{Message, NOTHING_NEW, messages_json, messages_text};
use crate::session::pages::Pages;

const LOOK: Duration = Duration::from_millis(500);

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &OutboxArgs, screen: &Screen) -> Result<u8, Failure> {
    let pages = Pages::open()?;
    let place = format!("outbox/{DEFAULT_ACCOUNT}/{}", region(globals));
    let (mut messages, mut last) = after(&pages, &place, "").await?;
    if messages.is_empty() && !(args.follow && pages.are_served()) {
        screen.note(&format!("The outbox of {} is empty.\n", region(globals)));
    }
    loop {
        show(&messages, args, screen)?;
        if !args.follow {
            return Ok(DONE);
        }
        if !pages.are_served() {
            screen.note(NOTHING_NEW);
            return Ok(DONE);
        }
        tokio::time::sleep(LOOK).await;
        (messages, last) = after(&pages, &place, &last).await?;
    }
}

/// Returns the messages after one and the identifier of the last.
async fn after(pages: &Pages, place: &str, last: &str) -> Result<(Vec<Message>, String), Failure> {
    let page = pages.get(&format!("{place}/{last}")).await?;
    let entries = page.as_array().cloned().unwrap_or_default();
    let id = entries.last().and_then(|entry| entry["id"].as_str()).unwrap_or(last).to_owned();
    let read = |entry: &Value| serde_json::from_value(entry["sent"].clone()).ok();
    Ok((entries.iter().filter_map(read).collect(), id))
}

fn show(messages: &[Message], args: &OutboxArgs, screen: &Screen) -> Result<(), Failure> {
    match (args.format, args.follow) {
        (RunFormat::Json, false) => screen.json(&messages_json(messages))?,
        (RunFormat::Json, true) => messages.iter().try_for_each(|message| screen.json_line(&message.json()))?,
        (RunFormat::Text, _) if messages.is_empty() => {}
        (RunFormat::Text, _) => screen.result(&messages_text(messages, screen.paint))?,
    }
    Ok(())
}
