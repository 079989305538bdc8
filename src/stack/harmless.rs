//! Texts that others wrote, made fit to be shown: nothing in them moves a cursor, turns a line round or is not seen.
//!
//! Knows nothing of who shows them where.

/// What stands for a letter that is not shown.
const INSTEAD: char = '\u{fffd}';

/// Tells whether a letter could do harm where it is shown: control characters, which take over a terminal, those that
/// change the direction of writing, and those that are not seen. Line breaks and tabs do none, nor do the joiners that
/// scripts and pictures are made with.
#[must_use]
pub fn is_harmful(letter: char) -> bool {
    let breaks = matches!(letter, '\n' | '\t');
    !breaks && (letter.is_control() || turns(letter) || is_unseen(letter))
}

/// Marks, embeddings, overrides and isolates.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Spaces and joiners without width, annotations, tags.
fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        || matches!(letter, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Replaces what could do harm; line breaks and tabs stay.
#[must_use]
pub fn safe(text: &str) -> String {
    text.chars().map(|letter| if is_harmful(letter) { INSTEAD } else { letter }).collect()
}

/// Replaces what could do harm, and keeps a text on its line.
#[must_use]
pub fn line(text: &str) -> String {
    safe(text).replace(['\n', '\t', '\u{2028}', '\u{2029}'], " ")
}

/// Escapes in a JSON text what could do harm, or would be a command to GitHub's runner; both stand in its strings only.
#[must_use]
pub fn escaped(json: &str) -> String {
    let one = |letter: char| match letter {
        '\n' | '\t' => letter.to_string(),
        letter if is_harmful(letter) => {
            letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
        letter => letter.to_string(),
    };
    let text: String = json.chars().map(one).collect();
    text.replace("##[", "#\\u0023[")
}

/// Takes their meaning from lines that GitHub's runner would carry out as commands, wherever in the text they are.
#[must_use]
pub fn uncommanded(text: &str) -> String {
    let text = text.replace("##[", "# #[");
    if !text.contains("::") {
        return text;
    }
    text.split_inclusive('\n')
        .map(|line| if is_command(line) { line.replacen("::", ": :", 1) } else { line.into() })
        .collect()
}

/// Tells whether a line is of the form `::word …::…`, behind any space.
fn is_command(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix("::");
    rest.is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_alphabetic()) && rest.contains("::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn what_does_harm_is_replaced() {
        assert_eq!(safe("a\u{1b}[31mb\nc\td\r"), "a\u{fffd}[31mb\nc\td\u{fffd}");
        assert_eq!(
            safe("\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}"),
            "\u{fffd}2J".to_owned() + &"\u{fffd}".repeat(6)
        );
        assert_eq!(safe("é 日本 👩\u{200d}🚀 مرحبا"), "é 日本 👩\u{200d}🚀 مرحبا");
        assert_eq!(line("a\nb\u{2028}c\t\u{1b}"), "a b c \u{fffd}");
    }

    #[test]
    fn commands_lose_their_meaning() {
        let text = "a\n::set-env name=A::b\n  ::error::c\n::/0 and ::1 \nb ##[group]c ::\n";
        assert_eq!(uncommanded(text), "a\n: :set-env name=A::b\n  : :error::c\n::/0 and ::1 \nb # #[group]c ::\n");
    }

    proptest! {
        #[test]
        fn json_stays_the_same_and_does_no_harm(text in "(\\PC|[\u{0}-\u{1f}\u{7f}-\u{9f}\u{202e}\u{e0041}]|##\\[){0,20}") {
            let shown = escaped(&json!({"k": text}).to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), json!({"k": text}));
            prop_assert!(!shown.chars().any(is_harmful) && !shown.contains("##["), "{shown}");
        }
    }
}
