//! Random files, runs of all sorts one after the other, faults, stops and changes by hand.

use std::fmt::{self, Debug, Formatter};

use proptest::prelude::*;

use super::cloud::Fault;
use super::model::{Entry, Extra, File, KINDS, id_of};
use super::play::{Hand, Script, Turn, VERBS, play};
use crate::apply::run::Stop;

/// How many resources there may be.
const SIZE: usize = 7;

const HANDS: &[Hand] = &[Hand::Remove, Hand::Alter, Hand::Tag, Hand::Intrude, Hand::Unmark, Hand::Forget];

/// What may be done while a plan waits: it leaves an object the stack's, if it leaves it.
const MEDDLING: &[Hand] = &[Hand::Remove, Hand::Alter, Hand::Tag, Hand::Intrude];

fn entry() -> impl Strategy<Value = Entry> {
    let other = |often| prop::option::weighted(often, 0..SIZE);
    let kind = prop_oneof![4 => Just(0_usize), 1 => 1..KINDS.len()];
    let extra = prop::sample::select(&[Extra::Tag, Extra::Protect, Extra::Retain, Extra::Off]);
    let extras = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(extra, 1..3)];
    (
        (kind, prop::bool::weighted(0.2), 0..2_u8, prop::bool::weighted(0.3)),
        (prop::collection::btree_set(0..SIZE, 0..3), other(0.2), other(0.2)),
        extras,
    )
        .prop_map(|((kind, name, value, fixed), (refs, pin, after), extras)| Entry {
            kind,
            name: u8::from(name),
            value,
            fixed,
            refs,
            pin,
            after,
            extras,
        })
}

/// Returns a file. Mostly its resources are of the same types as in the file before, so that there is much to change.
fn file() -> impl Strategy<Value = File> {
    let entries = prop::collection::btree_map(0..SIZE, entry(), 0..=SIZE);
    (entries, prop::bool::weighted(0.2)).prop_map(|(mut entries, flipped)| {
        for (number, entry) in &mut entries {
            entry.kind = (entry.kind + number) % KINDS.len();
        }
        File { entries, flipped }
    })
}

fn by_hand(hands: &'static [Hand]) -> impl Strategy<Value = (Hand, usize)> {
    (prop::sample::select(hands), 0..SIZE)
}

fn turn() -> impl Strategy<Value = Turn> {
    // Panics are rare, for they take their time.
    let fault = prop_oneof![8 => Just(Fault::Fail), 8 => Just(Fault::LoseAnswer), 1 => Just(Fault::Panic)];
    let stop = prop_oneof![1 => Just(Stop::Gently), 1 => Just(Stop::Fenced), 3 => Just(Stop::Now)];
    (
        (prop::option::weighted(0.8, file()), any::<bool>(), prop::bool::weighted(0.2)),
        (prop::option::weighted(0.4, by_hand(HANDS)), prop::option::weighted(0.2, by_hand(MEDDLING))),
        prop::collection::vec((0..VERBS.len(), 0..SIZE, fault), 0..8),
        prop::collection::vec((1..24_usize, stop), 0..2),
        (1..5_usize, any::<bool>()),
    )
        .prop_map(|((file, adds, destroy), (before, between), faults, stops, (limit, settles))| Turn {
            file,
            adds,
            destroy,
            before,
            between,
            faults,
            stops,
            limit,
            settles,
        })
}

fn script() -> impl Strategy<Value = Script> {
    let (turns, pauses) = (prop::collection::vec(turn(), 1..5), prop::collection::vec(0..4_u8, 1..6));
    (turns, pauses).prop_map(|(turns, pauses)| Script { turns, pauses })
}

impl Debug for Script {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "a script with pauses of {:?} turns", self.pauses)?;
        let mut file = File::default();
        self.turns.iter().try_for_each(|turn| {
            file = turn.next(&file);
            write!(out, "\n{turn:?}, the file being\n{}", file.text())
        })
    }
}

impl Debug for Turn {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let verb = if self.destroy { "destroy" } else { "apply" };
        write!(out, "- {verb}, {} at once", self.limit)?;
        for (when, by_hand) in [("before", self.before), ("after planning", self.between)] {
            if let Some((hand, which)) = by_hand {
                write!(out, "; by hand {when}: {hand:?} {which}")?;
            }
        }
        for (verb, number, fault) in &self.faults {
            write!(out, "; {} {}: {fault:?}", VERBS[*verb], id_of(*number))?;
        }
        for (at, stop) in &self.stops {
            write!(out, "; stop at pause {at}: {stop:?}")?;
        }
        out.write_str(if self.settles { "; then undisturbed" } else { "" })
    }
}

proptest! {
    /// Whatever happened before, an undisturbed apply ends with exactly what the file says, and destroy with nothing.
    #[test]
    fn converges_to_the_file(script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(&script))?;
    }
}
