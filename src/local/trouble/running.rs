//! An experiment while it runs: what was met, and what was done to it. Pure but for its own counts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::draw;
use super::experiment::Experiment;
use super::pace::Pace;
use super::rule::{Per, Rule, What};
use super::seen::Seen;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) what: What,
    /// How late a slow answer is.
    pub(super) pause: Duration,
}

/// An experiment and its counts.
pub(super) struct Running {
    experiment: Experiment,
    seed: u64,
    pace: Pace,
    /// Seed and pace for experiments that have none.
    own: (u64, Pace),
    counts: Vec<Count>,
    injected: Vec<Value>,
}

#[derive(Default, Clone)]
struct Count {
    met: u64,
    done: u64,
    /// Calls met by operation, and by operation and resource: chance goes by the former, since calls of several
    /// operations come in any order.
    groups: BTreeMap<String, u64>,
}

impl Running {
    pub(super) fn new(experiment: Experiment, own: (u64, Pace)) -> Self {
        let seed = experiment.seed.unwrap_or(own.0);
        // An experiment whose pace cannot be read was refused when it was read.
        let pace = experiment.pace(&own.1).unwrap_or_default();
        let counts = vec![Count::default(); experiment.rules.len()];
        Self { experiment, seed, pace, own, counts, injected: Vec::new() }
    }

    /// Starts another experiment.
    pub(super) fn restart(&mut self, experiment: Experiment) {
        *self = Self::new(experiment, self.own.clone());
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Counts a call and says what happens to it.
    pub(super) fn choose(&mut self, seen: &Seen, number: u64) -> Option<Chosen> {
        let mut chosen = None;
        for (index, (rule, count)) in self.experiment.rules.iter().zip(&mut self.counts).enumerate() {
            if rule.is_about(seen) && count.strikes(rule, seen, (self.seed, index)) && chosen.is_none() {
                count.done += 1;
                chosen = Some((index, rule));
            }
        }
        let (index, rule) = chosen?;
        self.injected.push(json!({
            "call": number, "rule": index + 1, "what": rule.what, "service": seen.service,
            "operation": seen.operation, "resource": seen.resource,
        }));
        Some(Chosen { what: rule.what, pause: Duration::from_millis(rule.late()) })
    }

    /// Shows the experiment with what came of it.
    pub(super) fn show(&self) -> Value {
        let rule = |(rule, count): (&Rule, &Count)| {
            let mut shown = json!(rule);
            shown["met"] = count.met.into();
            shown["injected"] = count.done.into();
            shown
        };
        let rules: Vec<Value> = self.experiment.rules.iter().zip(&self.counts).map(rule).collect();
        let mut shown = json!(self.experiment);
        for (name, value) in [("seed", self.seed.into()), ("rules", rules.into()), ("injected", json!(self.injected))] {
            shown[name] = value;
        }
        shown
    }
}

impl Count {
    fn strikes(&mut self, rule: &Rule, seen: &Seen, (seed, index): (u64, usize)) -> bool {
        self.met += 1;
        let operation = format!("{}:{}", seen.service, seen.operation);
        let resource = format!("{operation} {}", seen.resource.as_deref().unwrap_or_default());
        let of_operation = self.count(&operation);
        let nth = match rule.per {
            None => self.met,
            Some(Per::Operation) => of_operation,
            Some(Per::Resource) => self.count(&resource),
        };
        if rule.times.is_some_and(|times| self.done >= times) {
            return false;
        }
        match (rule.names(nth), rule.chance) {
            (Some(named), _) => named,
            (None, Some(chance)) => draw::unit(seed, &format!("{index}/{operation}/{of_operation}")) < chance,
            (None, None) => true,
        }
    }

    fn count(&mut self, group: &str) -> u64 {
        let count = self.groups.entry(group.to_owned()).or_default();
        *count += 1;
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(rules: &str) -> Running {
        Running::new(Experiment::read(&format!(r#"{{"seed":3,"rules":{rules}}}"#)).unwrap(), (1, Pace::default()))
    }

    fn meet(running: &mut Running, operations: &[&str]) -> Vec<Option<What>> {
        let seen = |operation: &str| Seen {
            service: "iam",
            operation: operation.to_owned(),
            resource: None,
            writes: operation.starts_with("Create"),
        };
        let choose = |operation: &&str| running.choose(&seen(operation), 1).map(|chosen| chosen.what);
        operations.iter().map(choose).collect()
    }

    #[test]
    fn calls_are_counted_among_those_that_the_rule_is_about() {
        let mut running = running(r#"[{"what":"internal","only":"writes","calls":[2,3]}]"#);
        let met = meet(&mut running, &["CreateRole", "GetRole", "CreateRole", "CreatePolicy", "CreateRole"]);
        assert_eq!(met, [None, None, Some(What::Internal), Some(What::Internal), None]);
        assert_eq!(running.show()["rules"][0]["met"], 4);
        assert_eq!(running.show()["injected"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn calls_can_be_counted_apart() {
        let mut running = running(r#"[{"what":"internal","calls":1,"per":"resource"}]"#);
        let mut meet = |operation: &str, resource: &str| {
            let (operation, resource) = (operation.to_owned(), Some(resource.to_owned()));
            running.choose(&Seen { service: "iam", operation, resource, writes: true }, 1).is_some()
        };
        let calls = [("A", "x"), ("A", "x"), ("A", "y"), ("B", "x"), ("B", "x")];
        assert_eq!(calls.map(|(operation, resource)| meet(operation, resource)), [true, false, true, true, false]);
    }

    #[test]
    fn the_first_rule_that_strikes_has_the_call() {
        let mut running = running(r#"[{"what":"slow","times":1},{"what":"throttle","times":1},{"what":"empty"}]"#);
        let met = meet(&mut running, &["A", "B", "C"]);
        assert_eq!(met, [Some(What::Slow), Some(What::Throttle), Some(What::Empty)]);
    }

    #[test]
    fn chance_is_the_same_in_whatever_order_operations_come() {
        let rules = r#"[{"what":"throttle","chance":0.5}]"#;
        let (mut one, mut other) = (running(rules), running(rules));
        let (first, second) = (vec!["A"; 40], vec!["B"; 40]);
        let apart = [meet(&mut one, &first), meet(&mut one, &second)];
        let pairs: Vec<&str> = first.iter().zip(&second).flat_map(|(a, b)| [*a, *b]).collect();
        let mixed = meet(&mut other, &pairs);
        let of = |which: usize| mixed.iter().skip(which).step_by(2).copied().collect::<Vec<_>>();
        assert_eq!(apart, [of(0), of(1)]);
        let struck = mixed.iter().flatten().count();
        assert!((20..60).contains(&struck), "{struck} of 80");
    }
}
