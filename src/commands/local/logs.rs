//! `local logs`: what a function wrote to its log.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use jiff::Timestamp;

use super::region;
use crate::aws::Aws;
use crate::aws::error::{failed, found};
use crate::cli::{Globals, LogsArgs, RunFormat};
use crate::commands::DONE;
use crate::failure::Failure;
use crate::report::Screen;
use crate::report::local::{Line, NOTHING_NEW, lines_json, lines_text};
use crate::session::pages::Pages;
use crate::session::{self, Wish};
use crate::stack::duration;

const LOOK: Duration = Duration::from_millis(500);

/// Lines of one moment may still come when the next ones are there: so many milliseconds are read again.
const OVERLAP: i64 = 10_000;

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &LogsArgs, screen: &Screen) -> Result<u8, Failure> {
    let since = args.since.as_deref().map(since).transpose()?;
    // The cloud is given back at once: what follows opens it again, as every command does.
    let served = Pages::open()?.are_served();
    let wish = Wish { region: Some(region(globals)), local: true, ..Wish::default() };
    let aws = session::open(&wish, None).await?;
    let mut reader = Reader { group: format!("/aws/lambda/{}", args.function), since, seen: BTreeSet::new() };
    let follow = args.follow && served;
    let mut lines = match reader.more(&aws).await? {
        None if !follow => return Err(missing(args, globals)),
        lines => lines.unwrap_or_default(),
    };
    loop {
        show(&lines, args, screen)?;
        if !args.follow {
            return Ok(DONE);
        }
        if !served {
            screen.note(NOTHING_NEW);
            return Ok(DONE);
        }
        tokio::time::sleep(LOOK).await;
        lines = reader.more(&aws).await?.unwrap_or_default();
    }
}

fn missing(args: &LogsArgs, globals: &Globals) -> Failure {
    Failure::new(format!("there is no log of a function {} in {}", args.function, region(globals)))
        .help("a function's log begins with its first run; --region names another region")
}

/// Reads a time that has passed, such as `10m`, or a moment.
fn since(text: &str) -> Result<i64, Failure> {
    let ago = duration(text).and_then(|ago| i64::try_from(ago.as_millis()).ok());
    let ago = ago.map(|ago| Timestamp::now().as_millisecond().saturating_sub(ago));
    let moment = || text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    ago.or_else(moment).map(|since| since.max(0)).ok_or_else(|| {
        Failure::usage(format!("--since {text}: expected a time such as 10m, or a moment such as 2026-01-31T12:00:00Z"))
    })
}

/// What has been read of one group.
struct Reader {
    group: String,
    /// Milliseconds since the epoch from which on lines are read.
    since: Option<i64>,
    /// Time and identifier of the lines that could come again.
    seen: BTreeSet<(i64, String)>,
}

impl Reader {
    /// Returns the lines that are new; nothing when there is no such group.
    async fn more(&mut self, aws: &Aws) -> Result<Option<Vec<Line>>, Failure> {
        let request = aws.logs().filter_log_events().log_group_name(&self.group).set_start_time(self.since);
        let mut pages = request.into_paginator().send();
        let mut lines = Vec::new();
        while let Some(page) = pages.next().await {
            let Some(page) = found(page.map_err(failed("FilterLogEvents")))? else { return Ok(None) };
            lines.extend(page.events.unwrap_or_default().into_iter().filter_map(|event| self.new_line(event)));
        }
        if let Some((last, _)) = self.seen.last() {
            let from = last - OVERLAP;
            self.since = self.since.max(Some(from));
            self.seen.retain(|(time, _)| *time >= from);
        }
        Ok(Some(lines))
    }

    fn new_line(&mut self, event: FilteredLogEvent) -> Option<Line> {
        let time = event.timestamp.unwrap_or_default();
        self.seen.insert((time, event.event_id.unwrap_or_default())).then(|| Line {
            time,
            stream: event.log_stream_name.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        })
    }
}

fn show(lines: &[Line], args: &LogsArgs, screen: &Screen) -> Result<(), Failure> {
    match (args.format, args.follow) {
        (RunFormat::Json, false) => screen.json(&lines_json(&args.function, lines))?,
        (RunFormat::Json, true) => lines.iter().try_for_each(|line| screen.json_line(&line.json()))?,
        (RunFormat::Text, _) if lines.is_empty() => {}
        (RunFormat::Text, _) => screen.result(&lines_text(lines, screen.paint))?,
    }
    Ok(())
}
