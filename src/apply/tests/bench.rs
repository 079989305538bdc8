//! The workbench of the engine's tests: loads, observes, plans and runs.

use std::path::Path;
use std::sync::Arc;

use aws_types::SdkConfig;
use tokio::sync::mpsc;

use super::cloud::Cloud;
use crate::apply::event::{Event, Observer, Summary};
use crate::apply::run::{Run, Stop, run};
use crate::aws::{Aws, marks};
use crate::graph::Graph;
use crate::kind::{AnyKind, AnyWrites, Place};
use crate::live::{self, Live};
use crate::plan::{self, Action, Goal, Plan};
use crate::stack::Stack;
use crate::stack::load::{Inputs, load_text};

pub(super) struct Bench {
    pub(super) cloud: Cloud,
    kinds: Vec<&'static dyn AnyWrites>,
    aws: Arc<Aws>,
}

/// Remembers events, and may wish to stop.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) events: Vec<Event>,
    pub(super) stops: Vec<(usize, Stop)>,
    pub(super) sender: Option<mpsc::UnboundedSender<Stop>>,
    /// How many events there were when the cloud told the run to stop.
    pub(super) before_stop: Option<usize>,
    pub(super) cloud: Option<Cloud>,
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event) {
        let told = self.cloud.as_ref().is_some_and(|cloud| cloud.with(|contents| contents.pace.stopped));
        self.before_stop = self.before_stop.or(told.then_some(self.events.len()));
        self.events.push(event.clone());
        let seen = self.events.len();
        for (_, stop) in self.stops.iter().filter(|(at, _)| *at == seen) {
            self.sender.as_ref().unwrap().send(*stop).unwrap();
        }
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let place = Place { partition: "aws".into(), region: "r".into(), account: "1".into() };
        let cloud = Cloud::default();
        let aws = Aws::new(SdkConfig::builder().build(), place, false);
        Self { kinds: cloud.kinds(), cloud, aws: Arc::new(aws) }
    }

    fn readers(&self) -> Vec<&'static dyn AnyKind> {
        self.kinds.iter().map(|kind| *kind as &'static dyn AnyKind).collect()
    }

    /// Loads the resources of a stack file.
    pub(super) fn stack(&self, resources: &str) -> Stack {
        let indented: String = resources.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("stack: s\nresources:\n{indented}");
        match load_text(&text, Path::new("stack.yaml"), &Inputs::default(), &self.readers()) {
            Ok(loaded) => loaded.stack,
            Err(report) => panic!("{}", report.render(false, 100)),
        }
    }

    pub(super) async fn live(&self, stack: &Stack) -> Live {
        live::observe(&self.aws, stack, &self.readers()).await
    }

    pub(super) async fn plan(&self, stack: &Stack, goal: &Goal) -> Plan {
        let graph = Graph::of(stack).unwrap();
        plan::make(stack, &graph, &self.live(stack).await, &self.aws.place, goal)
    }

    pub(super) async fn carry_out(&self, stack: &Stack, plan: &Plan, limit: usize, recorder: &mut Recorder) -> Summary {
        let (sender, stops) = mpsc::unbounded_channel();
        self.cloud.with(|contents| contents.pace.sender = Some(sender.clone()));
        (recorder.sender, recorder.cloud) = (Some(sender), Some(self.cloud.clone()));
        let graph = Graph::of(stack).unwrap();
        let job = Run { aws: self.aws.clone(), stack, graph: &graph, plan, writers: &self.kinds, parallelism: limit };
        run(&job, stops, recorder).await.0
    }

    pub(super) async fn run_with(&self, stack: &Stack, goal: &Goal) -> Summary {
        let plan = self.plan(stack, goal).await;
        assert_eq!(plan.blocked, []);
        self.carry_out(stack, &plan, 4, &mut Recorder::default()).await
    }

    pub(super) async fn apply(&self, stack: &Stack) -> Summary {
        self.run_with(stack, &Goal::default()).await
    }

    /// Applies without a failure, and sees that nothing is left to do.
    pub(super) async fn converge(&self, stack: &Stack) {
        let summary = self.apply(stack).await;
        assert!(summary.is_complete(), "{summary:?}");
        self.assert_settled(stack).await;
    }

    pub(super) async fn assert_settled(&self, stack: &Stack) {
        let again = self.plan(stack, &Goal::default()).await;
        let left: Vec<_> = again.active().map(|step| (&step.id, step.action, &step.reasons, &step.changes)).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    pub(super) async fn destroy(&self, stack: &Stack) -> Summary {
        self.run_with(stack, &Goal { destroy: true, ..Goal::default() }).await
    }

    /// Returns what the stack has: type, identifier and logical id.
    pub(super) fn owned(&self) -> Vec<String> {
        self.cloud.with(|contents| {
            let ours = contents.objects.iter().filter(|(_, object)| marks::stack_of(&object.tags) == Some("s"));
            ours.map(|((kind, physical), object)| {
                format!("{kind} {physical} as {}", marks::resource_of(&object.tags).unwrap_or_default())
            })
            .collect()
        })
    }
}

/// Returns the actions of a plan by logical id, in the order of the plan.
pub(super) fn actions(plan: &Plan) -> Vec<(&str, Action)> {
    plan.active().map(|step| (step.id.as_str(), step.action)).collect()
}

/// Returns the logical ids of subjects, sorted.
pub(super) fn ids<'a>(subjects: impl IntoIterator<Item = &'a crate::apply::event::Subject>) -> Vec<&'a str> {
    let mut ids: Vec<_> = subjects.into_iter().map(|subject| subject.id.as_str()).collect();
    ids.sort_unstable();
    ids
}
