//! Asks AWS about the hops of a stack. Reads only.

use std::sync::Arc;

use aws_sdk_iam::types::PolicyEvaluationDecisionType as Decision;
use futures::stream::{self, StreamExt};

use super::Verdict;
use super::walk::{Leg, legs};
use crate::aws::error::failed;
use crate::aws::{Aws, Cx};
use crate::kind::{Check, Class, End, Found, Holder, Hop, Key, KindError, Need, Result, Side};
use crate::live::Live;
use crate::live::names::Names;
use crate::stack::{Resource, Stack};

/// How many hops are asked about at once.
const CONCURRENCY: usize = 8;

/// What was found out about a stack.
#[derive(Debug, Clone, Default)]
pub struct Probed {
    /// Hops in the order in which data takes them.
    pub verdicts: Vec<Verdict>,
    /// What could not be asked.
    pub unread: Vec<String>,
}

/// Asks about every hop of a stack.
pub async fn probe(aws: &Arc<Aws>, stack: &Stack, live: &Live) -> Probed {
    let probe = Probe { aws, live, names: Names::of(stack, &aws.place, live), stack };
    let legs = legs(stack, &probe.names);
    let fed: Vec<&str> = legs.iter().map(|leg| leg.to.as_str()).collect();
    let asks = legs.iter().map(|leg| probe.leg(leg, !fed.contains(&leg.from.as_str())));
    let answers: Vec<_> = stream::iter(asks).buffered(CONCURRENCY).collect().await;
    let mut probed = Probed::default();
    for (leg, checks) in legs.iter().zip(answers) {
        let mut kept = Vec::new();
        for check in checks {
            kept.push(check.unwrap_or_else(|error| {
                probed.unread.push(format!("{} -> {}: {error}", leg.from, leg.to));
                Check::unknown(format!("could not be asked: {error}"))
            }));
        }
        probed.verdicts.push(Verdict { leg: leg.clone(), checks: kept });
    }
    probed
}

struct Probe<'a> {
    aws: &'a Arc<Aws>,
    stack: &'a Stack,
    live: &'a Live,
    names: Names<'a>,
}

/// What one question came to.
type Answers = Vec<Result<Check>>;

impl Probe<'_> {
    /// Asks about one hop; `first` says that no other hop tells whether its beginning is there.
    async fn leg(&self, leg: &Leg, first: bool) -> Answers {
        let mut ends: Vec<&str> = Vec::new();
        ends.extend(first.then_some(leg.from.as_str()));
        ends.extend((leg.owner != leg.from && leg.owner != leg.to).then_some(leg.owner.as_str()));
        ends.push(&leg.to);
        let stands: Answers = ends.into_iter().filter_map(|id| self.stands(id)).collect();
        if !stands.is_empty() {
            return stands;
        }
        let Some((owner, found)) = self.names.resource(&leg.owner).zip(self.live.found.get(&leg.owner)) else {
            // The owner is the hop's beginning, which the hop that leads there has told of.
            return vec![Ok(Check::unknown(format!("`{}` is not there to be asked", leg.owner)))];
        };
        let Some(hop) = self.bound(leg, owner, found) else {
            let text = format!("in AWS `{}` has no {}", leg.owner, leg.hop.by);
            return vec![Ok(Check::failed(text).help("run `stackctl apply`: the file has it"))];
        };
        self.ask(leg, owner, found, &hop).await
    }

    async fn ask(&self, leg: &Leg, owner: &Resource, found: &Found, hop: &Hop) -> Answers {
        let mut checks = Vec::new();
        let cx = self.cx(owner, found);
        let want = self.names.wanted(&self.aws.place, owner);
        match owner.kind.probe(&cx, hop, &want, &found.spec).await {
            Ok(probed) => checks.extend(probed.into_iter().map(Ok)),
            Err(error) => checks.push(Err(error)),
        }
        for need in &hop.needs {
            checks.push(self.allowed(leg, need).await);
        }
        if let Some((to, found)) = self.names.resource(&leg.to).zip(self.live.found.get(&leg.to)) {
            match to.kind.arrivals(&self.cx(to, found)).await {
                Ok(arrived) => checks.extend(arrived.into_iter().map(Ok)),
                Err(error) => checks.push(Err(error)),
            }
        }
        checks
    }

    fn cx(&self, resource: &Resource, found: &Found) -> Cx {
        let key = Key { physical: Some(found.physical.clone()), ..self.stack.key(resource) };
        Cx::new(Arc::clone(self.aws), key)
    }

    /// Tells what is wrong with a place itself; of one outside the stack nothing is known.
    fn stands(&self, id: &str) -> Option<Result<Check>> {
        let resource = self.names.resource(id)?;
        if let Some(unread) = self.live.unreadable.iter().find(|unread| unread.what == id) {
            return Some(Err(unread.error.clone()));
        }
        let Some(found) = self.live.found.get(id) else {
            return Some(Ok(Check::failed(format!("`{id}` does not exist")).help("run `stackctl apply`")));
        };
        let path = resource.kind.path();
        let status = found.status.as_deref()?;
        let word = status.split([',', ':']).next().unwrap_or_default();
        if path.ready.is_empty() || path.ready.contains(&word) {
            return None;
        }
        let text = format!("`{id}` is {status}, not {}", path.ready.first().unwrap_or(&"ready"));
        Some(Ok(Check::failed(text).help(path.mend)))
    }

    /// Finds the hop in what AWS has of its owner.
    fn bound(&self, leg: &Leg, owner: &Resource, found: &Found) -> Option<Hop> {
        let meets = |end: &End, place: &str| match end {
            End::Own => place == leg.owner,
            End::Other(text) | End::Hint(text) => self.names.same(text, place),
        };
        let hops = owner.kind.hops(&found.spec).into_iter();
        let mut hops: Vec<Hop> = hops.filter(|hop| meets(&hop.from, &leg.from) && meets(&hop.to, &leg.to)).collect();
        let exact = hops.iter().position(|hop| hop.by == leg.hop.by).unwrap_or(0);
        (!hops.is_empty()).then(|| hops.swap_remove(exact))
    }

    async fn allowed(&self, leg: &Leg, need: &Need) -> Result<Check> {
        let place = if need.on == Side::From { &leg.from } else { &leg.to };
        let kind = self.names.resource(place).map(|resource| resource.kind);
        let accepts = kind.map_or(&[][..], |kind| kind.path().accepts);
        let actions = if need.actions.is_empty() { accepts } else { need.actions };
        let (Some(arn), false) = (self.names.arn(place), actions.is_empty()) else {
            return Ok(Check::unknown(format!("what access to {place} takes is not known")));
        };
        let Some(role) = self.role(leg, need) else {
            return Ok(Check::unknown(format!("the role that needs access to {place} is not known")));
        };
        let denied = match self.simulate(&role, actions, arn).await {
            Ok(denied) => denied,
            Err(error) => return without_simulation(&role, error),
        };
        Ok(self.judged(need, place, &role, actions, &denied))
    }

    fn judged(&self, need: &Need, place: &str, role: &str, actions: &[&str], denied: &[String]) -> Check {
        let name = last(role);
        if denied.is_empty() {
            return Check::ok(format!("role {name} may {} on {place}", actions.join(", ")));
        }
        let text = format!("role {name} may not {} on {place}", denied.join(", "));
        if need.actions.is_empty() && denied.len() < actions.len() {
            return Check::unknown(format!("{text}; whether that is needed is not known"));
        }
        Check::failed(text).help(self.grant(role, place, denied))
    }

    /// Says which grant of the stack file allows what is denied.
    fn grant(&self, role: &str, place: &str, denied: &[String]) -> String {
        match denied.first().and_then(|action| self.names.grant(role, place, action)) {
            Some((holder, line)) => {
                format!("`{holder}` needs `grants: [{line}]` in the stack file; if it has it, run `stackctl apply`")
            }
            None => "allow it in a policy of the role".to_owned(),
        }
    }

    fn role(&self, leg: &Leg, need: &Need) -> Option<String> {
        let side = match &need.role {
            Holder::Named(text) => return self.names.role(text),
            Holder::At(Side::From) => &leg.from,
            Holder::At(Side::To) => &leg.to,
        };
        let resource = self.names.resource(side)?;
        let found = self.live.found.get(side).and_then(|found| resource.kind.role(&found.spec));
        // What AWS has may be a bare name, which the file's own reference explains.
        found.filter(|role| role.contains(":role/")).or_else(|| self.names.role(&resource.kind.role(&resource.spec)?))
    }

    /// Returns the actions that the role's policies do not allow.
    async fn simulate(&self, role: &str, actions: &[&str], arn: &str) -> Result<Vec<String>> {
        let request = self.aws.iam().simulate_principal_policy().policy_source_arn(role).resource_arns(arn);
        let request = request.set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()));
        let answer = request.send().await.map_err(failed("SimulatePrincipalPolicy"))?;
        let results = answer.evaluation_results.unwrap_or_default().into_iter();
        let denied = results.filter(|result| result.eval_decision != Decision::Allowed);
        Ok(denied.map(|result| result.eval_action_name).collect())
    }
}

/// Says what it means that the role could not be simulated.
fn without_simulation(role: &str, error: KindError) -> Result<Check> {
    if error.is_not_found() {
        return Ok(Check::failed(format!("there is no role {}", last(role))).help("run `stackctl apply`"));
    }
    // Neither a caller without this one permission nor an endpoint without this one call is a reason to give up.
    if matches!(error.class, Class::Denied | Class::Invalid) {
        return Ok(Check::unknown(format!("the policies of role {} could not be evaluated: {error}", last(role))));
    }
    Err(error)
}

fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
