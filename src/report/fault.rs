//! What a panic says: where the program has a fault, and nothing of what it was working on.

use std::any::Any;
use std::panic::PanicHookInfo;

use super::{Screen, line};

/// Says on standard error that the program has a fault.
pub fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
    Screen::default().note(&text(panic.payload(), place.as_deref().unwrap_or("an unknown place")));
}

/// Messages that are part of the program are shown. One that was put together may hold values, secrets among them:
/// a text that is cut in the middle of a letter is quoted whole.
fn text(payload: &dyn Any, place: &str) -> String {
    let message = payload.downcast_ref::<&'static str>().map(|message| format!(": {}", line(message)));
    format!(
        "error: stackctl has a fault, at {}{}\n  help: run the same command again, it finds what is there; and report this message with the version {}\n",
        line(place),
        message.unwrap_or_default(),
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    fn told(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
        text(&*catch_unwind(work).unwrap_err(), "src/x.rs:7")
    }

    #[test]
    fn a_panic_tells_no_values() {
        insta::assert_snapshot!(told(|| panic!("the queue is empty\u{1b}")), @r"
        error: stackctl has a fault, at src/x.rs:7: the queue is empty�
          help: run the same command again, it finds what is there; and report this message with the version 0.1.0
        ");
        let secret = "pässword-of-the-table".to_owned();
        let cut = secret.clone();
        let parse = "x".parse::<u32>().map_err(|_| secret.clone());
        for text in [
            told(|| panic!("no place for {secret}")),
            told(|| drop(cut[..2].to_owned())),
            told(|| assert!(parse.unwrap() > 0)),
        ] {
            assert!(
                text.starts_with("error: stackctl has a fault, at src/x.rs:7\n") && !text.contains("ssword"),
                "{text}"
            );
        }
    }
}
