//! Plays the script of a random test, and has every single run checked.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::json;

use super::bench::{Bench, Recorder};
use super::cloud::{At, Fault, Object, Objects};
use super::model::{Aim, Extra, File, KINDS, Trace, id, id_of, is_ours, name};
use super::waits::{check_ends, check_events, deleted_early, tasks};
use crate::apply::event::{Subject, Summary};
use crate::apply::jobs::Verb;
use crate::apply::run::Stop;
use crate::aws::marks;
use crate::kind::Tags;
use crate::plan::{Goal, Plan, Reason};
use crate::stack::Stack;

/// Writing verbs of the cloud, for faults.
pub(super) const VERBS: [&str; 4] = ["create", "update", "delete", "retag"];

/// Something done by hand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Hand {
    Remove,
    Alter,
    Tag,
    /// Puts something foreign where a resource of the file is to be.
    Intrude,
    /// Takes the marks off, so that nobody can tell any more whose it is.
    Unmark,
    /// Takes off the mark of what was last applied.
    Forget,
}

/// One run, and what disturbs it.
#[derive(Clone)]
pub(super) struct Turn {
    /// The file from now on; without one, it stays as it is.
    pub(super) file: Option<File>,
    /// Whether that is only what the file has anew.
    pub(super) adds: bool,
    pub(super) destroy: bool,
    /// What is done by hand before the plan is made, and to which object.
    pub(super) before: Option<(Hand, usize)>,
    /// What is done by hand between the plan and its run.
    pub(super) between: Option<(Hand, usize)>,
    pub(super) faults: Vec<(usize, usize, Fault)>,
    pub(super) stops: Vec<(usize, Stop)>,
    pub(super) limit: usize,
    /// Whether the same is then done once more, undisturbed.
    pub(super) settles: bool,
}

impl Turn {
    /// Returns the file from now on.
    pub(super) fn next(&self, last: &File) -> File {
        match &self.file {
            Some(file) if self.adds => last.with(file),
            Some(file) => file.clone(),
            None => last.clone(),
        }
    }

    /// Returns a run that nothing disturbs.
    fn calm(destroy: bool) -> Self {
        let (faults, stops) = (Vec::new(), Vec::new());
        Self { file: None, adds: false, destroy, before: None, between: None, faults, stops, limit: 3, settles: false }
    }
}

#[derive(Clone)]
pub(super) struct Script {
    pub(super) turns: Vec<Turn>,
    /// How many turns each pause of the cloud takes.
    pub(super) pauses: Vec<u8>,
}

struct Player {
    bench: Bench,
    intruders: u64,
}

pub(super) async fn play(script: &Script) -> TestCaseResult {
    let mut player = Player { bench: Bench::new(), intruders: 1_000_000 };
    player.bench.cloud.with(|contents| contents.pace.turns.clone_from(&script.pauses));
    player.put(("thing", "foreign".to_owned()), Tags::new());
    player.put(("part", "part-0".to_owned()), Tags::from([(marks::STACK.into(), "other".into())]));
    let mut file = File::default();
    for turn in &script.turns {
        file = turn.next(&file);
        player.turn(turn, &file).await?;
        if turn.settles {
            file = player.settle(file, turn.destroy).await?;
        }
    }
    file = player.settle(file, false).await?;
    player.settle(file, true).await.map(drop)
}

impl Player {
    fn objects(&self) -> Objects {
        self.bench.cloud.with(|contents| contents.objects.clone())
    }

    fn put(&mut self, at: At, tags: Tags) {
        self.intruders += 1;
        let spec = json!({"value": "theirs", "fixed": "", "secret": "", "refs": [], "pin": "", "nested": {}});
        let object = Object { name: at.1.clone(), spec, tags, serial: self.intruders };
        self.bench.cloud.with(|contents| {
            contents.objects.entry(at).or_insert(object);
        });
    }

    fn by_hand(&mut self, (hand, which): (Hand, usize), file: &File) {
        if hand == Hand::Intrude {
            return self.intrude(which, file);
        }
        self.bench.cloud.with(|contents| {
            let ours = contents.objects.iter().filter(|(_, object)| is_ours(object));
            let ours: Vec<At> = ours.map(|(at, _)| at.clone()).collect();
            let Some(at) = ours.get(which % ours.len().max(1)) else { return };
            let object = contents.objects.get_mut(at).unwrap();
            match hand {
                Hand::Alter => object.spec["value"] = json!("by hand"),
                Hand::Tag => drop(object.tags.insert("team".to_owned(), "by hand".to_owned())),
                Hand::Forget => drop(object.tags.remove(marks::SPEC)),
                Hand::Unmark => object.tags.retain(|key, _| !marks::MARKS.contains(&key.as_str())),
                Hand::Remove | Hand::Intrude => drop(contents.objects.remove(at)),
            }
        });
    }

    fn intrude(&mut self, which: usize, file: &File) {
        let named = file.present().filter(|(_, entry)| entry.kind != 0);
        let places = named.map(|(number, entry)| (KINDS[entry.kind], name(number, entry)));
        let objects = self.objects();
        let places: Vec<At> = places.filter(|at| !objects.contains_key(at)).collect();
        let tags = [Tags::new(), Tags::from([(marks::STACK.into(), "other".into())])];
        if let Some(at) = places.get(which % places.len().max(1)) {
            self.put(at.clone(), tags[which % 2].clone());
        }
    }

    async fn turn(&mut self, turn: &Turn, file: &File) -> TestCaseResult {
        if let Some(hand) = turn.before {
            self.by_hand(hand, file);
        }
        let aim = Aim { file, destroy: turn.destroy };
        let stack = self.bench.stack(&file.text());
        let plan = self.plan(aim, &stack).await?;
        if !plan.blocked.is_empty() {
            return Ok(());
        }
        if let Some(hand) = turn.between {
            self.by_hand(hand, file);
        }
        self.run(aim, &stack, &plan, turn).await.map(drop)
    }

    /// Plans, and checks that the plan is blocked when something is in the way or protected, and not otherwise.
    async fn plan(&self, aim: Aim<'_>, stack: &Stack) -> Result<Plan, TestCaseError> {
        let plan = self.bench.plan(stack, &Goal { destroy: aim.destroy, ..Goal::default() }).await;
        let objects = self.objects();
        let obstacles = aim.obstacles(&objects);
        let blocked: BTreeSet<&str> = plan.blocked.iter().map(|blocked| blocked.id.as_str()).collect();
        prop_assert!(obstacles.keys().all(|id| blocked.contains(id.as_str())), "not blocked by {obstacles:?}");
        let protected = |wanted: &str| {
            let mut ours = objects.iter().filter(|(_, object)| is_ours(object) && id(object) == wanted);
            ours.any(|(at, object)| aim.protects(at.0, object))
        };
        let idle = plan.blocked.iter().find(|blocked| !obstacles.contains_key(&blocked.id) && !protected(&blocked.id));
        prop_assert!(idle.is_none(), "blocked without a reason: {idle:?}");
        Ok(plan)
    }

    /// Carries a plan out and checks the run.
    async fn run(&self, aim: Aim<'_>, stack: &Stack, plan: &Plan, turn: &Turn) -> Result<Summary, TestCaseError> {
        let before = self.objects();
        self.bench.cloud.with(|contents| {
            let fault = |(verb, number, fault): &(usize, usize, Fault)| ((VERBS[*verb], id_of(*number)), fault.clone());
            contents.faults = turn.faults.iter().map(fault).collect();
            (contents.peak, contents.calls) = (0, 0);
            contents.deleted.clear();
            contents.pace.restart(turn.stops.clone());
        });
        let mut recorder = Recorder::default();
        let summary = self.bench.carry_out(stack, plan, turn.limit, &mut recorder).await;
        let (after, made, deleted, peak) = self.bench.cloud.with(|contents| {
            contents.faults.clear();
            (contents.objects.clone(), contents.made.clone(), contents.deleted.clone(), contents.peak)
        });
        let meddled = turn.between.is_some();
        let trace = Trace { before: &before, after: &after, made: &made, meddled };
        prop_assert_eq!(trace.fault(aim), None);
        prop_assert!(peak <= turn.limit);
        let tasks = tasks(aim.file, plan);
        let there = |made: &Subject| {
            after.iter().any(|(at, object)| at.0 == made.kind && is_ours(object) && id(object) == made.id)
        };
        let untrue = summary.done.iter().find(|subject| subject.verb == Verb::Create && !there(subject));
        prop_assert!(untrue.is_none(), "said to be made, and not there: {untrue:?}");
        check_ends(aim.file, &tasks, &summary, turn)?;
        check_events(aim.file, &tasks, &summary, &recorder, turn.limit)?;
        let early = deleted.iter().find_map(|deleted| deleted_early(aim, plan, &tasks, deleted));
        prop_assert!(early.is_none(), "deleted before its user: {early:?}");
        Ok(summary)
    }

    /// Does what the file says, undisturbed, and checks that all of it is done and nothing is left to do.
    async fn settle(&mut self, mut file: File, destroy: bool) -> Result<File, TestCaseError> {
        self.make_way(Aim { file: &file, destroy });
        let mut stack = self.bench.stack(&file.text());
        let mut plan = self.plan(Aim { file: &file, destroy }, &stack).await?;
        if !plan.blocked.is_empty() {
            self.lift_protection(&mut file);
            stack = self.bench.stack(&file.text());
            plan = self.plan(Aim { file: &file, destroy }, &stack).await?;
        }
        prop_assert_eq!(&plan.blocked, &[]);
        self.undisturbed(Aim { file: &file, destroy }, &stack, &plan).await?;
        Ok(file)
    }

    async fn undisturbed(&self, aim: Aim<'_>, stack: &Stack, plan: &Plan) -> TestCaseResult {
        let calm = Turn::calm(aim.destroy);
        let before = self.objects();
        let summary = self.run(aim, stack, plan, &calm).await?;
        prop_assert!(summary.is_complete(), "{:?}", summary);
        prop_assert_eq!(aim.fault_of_end(&before, &self.objects()), None);
        let again = self.plan(aim, stack).await?;
        prop_assert!(again.is_empty(), "{:?}", super::bench::actions(&again));
        self.run(aim, stack, &again, &calm).await?;
        prop_assert_eq!(self.bench.cloud.with(|contents| contents.calls), 0);
        if aim.destroy { Ok(()) } else { self.check_memory(aim, stack).await }
    }

    /// Removes by hand what is in the way.
    fn make_way(&self, aim: Aim<'_>) {
        let obstacles: BTreeSet<At> = aim.obstacles(&self.objects()).into_values().collect();
        self.bench.cloud.with(|contents| contents.objects.retain(|at, _| !obstacles.contains(at)));
    }

    /// Takes all protection out of the file, and by hand off what the file no longer lists.
    fn lift_protection(&self, file: &mut File) {
        file.entries.values_mut().for_each(|entry| entry.extras.retain(|extra| *extra != Extra::Protect));
        self.bench.cloud.with(|contents| {
            let ours = contents.objects.iter_mut().filter(|(_, object)| is_ours(object));
            let gone = ours.filter(|((kind, _), object)| file.of(kind, id(object)).is_none());
            gone.for_each(|(_, object)| drop(object.tags.remove(marks::PROTECT)));
        });
    }

    /// Checks that the marks tell a later change by hand from one of the file.
    async fn check_memory(&self, aim: Aim<'_>, stack: &Stack) -> TestCaseResult {
        let settled = self.objects();
        self.bench.cloud.with(|contents| {
            let ours = contents.objects.values_mut().filter(|object| is_ours(object));
            ours.for_each(|object| object.spec["value"] = json!("by hand"));
        });
        let drifted = self.plan(aim, stack).await?;
        self.bench.cloud.with(|contents| contents.objects = settled);
        let other = drifted.steps.iter().find(|step| step.reasons != [Reason::Drift]);
        prop_assert!(other.is_none(), "no drift: {:?}", other);
        Ok(())
    }
}
