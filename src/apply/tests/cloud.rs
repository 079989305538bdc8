//! A cloud in memory with scripted faults, and kinds that live in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::pace::Pace;
use crate::aws::{Cx, marks};
use crate::diff::{Change, Fields};
use crate::kind::{
    AnyKind, AnyWrites, Child, Class, Fault as SpecFault, Files, Found, Grant, Halt, Key, KindError, Naming, Outputs,
    Owned, Place, Result, Right, Tagging, Tags,
};

/// What happens to a call instead of, or besides, what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// Nothing is done.
    Fail,
    /// It is done, but the answer gets lost.
    LoseAnswer,
    /// The step panics.
    Panic,
    /// It takes this long.
    Delay(Duration),
    /// Only the output that nobody predicted is left out of the answer.
    Forget,
    /// The ARN is another than predicted.
    Surprise,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) spec: Value,
    pub(super) tags: Tags,
    pub(super) serial: u64,
}

/// Where an object is: type and identifier.
pub(super) type At = (&'static str, String);

/// Objects by where they are.
pub(super) type Objects = BTreeMap<At, Object>;

/// Where an object was that was deleted, and what referred to it then.
#[derive(Debug, Clone)]
pub(super) struct Deleted {
    pub(super) at: At,
    pub(super) users: Vec<(At, Object)>,
}

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) objects: Objects,
    /// Faults by verb and logical id; each is used once.
    pub(super) faults: BTreeMap<(&'static str, String), Fault>,
    /// Writing calls in the order of their ends: verb and logical id.
    pub(super) log: Vec<(&'static str, String)>,
    /// Writing calls that were begun.
    pub(super) calls: usize,
    /// Logical ids of all objects ever made, by the identifier that others refer to.
    pub(super) made: BTreeMap<String, String>,
    /// What was deleted.
    pub(super) deleted: Vec<Deleted>,
    /// How calls take turns.
    pub(super) pace: Pace,
    /// Refuse to delete what another object refers to.
    pub(super) strict: bool,
    /// Time that a look takes.
    pub(super) latency: Duration,
    /// Objects without names can be found by their specs.
    pub(super) found_by_spec: bool,
    /// Most calls at once.
    pub(super) peak: usize,
    running: usize,
    serial: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Cloud(Arc<Mutex<Contents>>);

impl Cloud {
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Contents) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn fault(&self, verb: &'static str, id: &str, fault: Fault) {
        self.with(|contents| contents.faults.insert((verb, id.to_owned()), fault));
    }

    pub(super) fn log(&self) -> Vec<(&'static str, String)> {
        self.with(|contents| std::mem::take(&mut contents.log))
    }

    pub(super) fn kinds(&self) -> Vec<&'static dyn AnyWrites> {
        let kind = |type_name, rank, naming| {
            let kind: &'static dyn AnyWrites =
                Box::leak(Box::new(Fake { cloud: self.clone(), type_name, rank, naming }));
            kind
        };
        let named = Naming::Name { pattern: "[ -~]*" };
        vec![kind("base", 80, named), kind("thing", 50, named), kind("part", 20, Naming::Assigned)]
    }

    /// Starts a writing call: counts it and plays its fault.
    async fn enter(&self, verb: &'static str, id: &str) -> Result<Call> {
        let fault = self.with(|contents| {
            contents.calls += 1;
            contents.running += 1;
            contents.peak = contents.peak.max(contents.running);
            contents.faults.remove(&(verb, id.to_owned()))
        });
        let call = Call { cloud: self.clone(), verb, id: id.to_owned(), fault };
        match call.fault {
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            _ => self.pause().await,
        }
        match call.fault {
            Some(Fault::Fail) => Err(KindError::new(Class::Denied, format!("{verb} {id} was told to fail"))),
            Some(Fault::Panic) => panic!("{verb} {id} was told to panic"),
            _ => Ok(call),
        }
    }

    /// Lets others go on: before the effect of a call, and between the effect and the answer.
    async fn pause(&self) {
        match self.with(|contents| contents.pace.pause()) {
            Some(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }

    async fn look(&self) {
        let latency = self.with(|contents| contents.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }
}

/// A writing call that has begun.
struct Call {
    cloud: Cloud,
    verb: &'static str,
    id: String,
    fault: Option<Fault>,
}

impl Call {
    /// Ends a call whose effect is there.
    async fn answer(&self) -> Result<()> {
        self.cloud.with(|contents| contents.log.push((self.verb, self.id.clone())));
        self.cloud.pause().await;
        match self.fault {
            Some(Fault::LoseAnswer) => Err(KindError::new(Class::Unreachable, "the answer was lost")),
            _ => Ok(()),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.cloud.with(|contents| contents.running -= 1);
    }
}

struct Fake {
    cloud: Cloud,
    type_name: &'static str,
    rank: u8,
    naming: Naming,
}

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);
static OUTPUTS: LazyLock<Value> =
    LazyLock::new(|| json!({"type": "object", "properties": {"arn": {"type": "string"}, "id": {"type": "string"}}}));
static FIELDS: LazyLock<Fields> = LazyLock::new(|| Fields::of_schema(&SCHEMA));

fn schema() -> Value {
    let text = |marks: Value| {
        let mut schema = json!({"type": "string"});
        schema.as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
        schema
    };
    json!({"type": "object", "additionalProperties": false, "properties": {
        "value": text(json!({})),
        "fixed": text(json!({"x-immutable": true})),
        "secret": text(json!({"x-sensitive": true})),
        "refs": {"type": "array", "items": {"type": "string"}},
        "pin": text(json!({"x-immutable": true})),
        "held": text(json!({"x-pins": "thing"})),
        "lent": text(json!({"x-loses": "thing"})),
        "nested": {"type": "object", "additionalProperties": text(json!({"x-sensitive": true}))},
    }})
}

impl Fake {
    fn arn(&self, name: &str) -> String {
        format!("arn:{}:{name}", self.type_name)
    }

    fn outputs(&self, object: &Object) -> Outputs {
        let outputs = json!({"arn": self.arn(&object.name), "id": format!("{}-{}", self.type_name, object.serial)});
        outputs.as_object().unwrap().clone()
    }

    fn is_named(&self) -> bool {
        self.naming != Naming::Assigned
    }

    fn at(&self, cx: &Cx) -> At {
        (self.type_name, cx.key.handle().to_owned())
    }

    /// Refuses references that do not lead to an object.
    fn check_references(contents: &Contents, spec: &Value) -> Result<()> {
        let known: BTreeSet<String> = contents
            .objects
            .iter()
            .flat_map(|((kind, _), object)| {
                [format!("arn:{kind}:{}", object.name), format!("{kind}-{}", object.serial)]
            })
            .collect();
        let texts = spec["refs"].as_array().into_iter().flatten().chain([&spec["pin"]]);
        match texts.filter_map(Value::as_str).find(|text| !text.is_empty() && !known.contains(*text)) {
            Some(text) => Err(KindError::invalid(format!("there is no {text}"))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl AnyKind for Fake {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn title(&self) -> &'static str {
        self.type_name
    }

    fn delete_rank(&self) -> u8 {
        self.rank
    }

    fn naming(&self) -> Naming {
        self.naming
    }

    fn tagging(&self) -> Tagging {
        Tagging::Full
    }

    fn tag_index(&self) -> Option<&'static str> {
        None
    }

    fn reads(&self) -> &'static [&'static str] {
        &[]
    }

    fn lists(&self) -> &'static [&'static str] {
        &[]
    }

    fn probes(&self) -> &'static [&'static str] {
        &[]
    }

    fn grants(&self) -> &'static [Grant] {
        &[]
    }

    fn spec_schema(&self) -> &'static Value {
        &SCHEMA
    }

    fn output_schema(&self) -> &'static Value {
        &OUTPUTS
    }

    fn fields(&self) -> &'static Fields {
        &FIELDS
    }

    fn normal(&self, spec: &Value) -> std::result::Result<Value, SpecFault> {
        let mut normal = json!({"value": "", "fixed": "", "secret": "", "refs": [], "pin": "", "held": "", "lent": null, "nested": {}});
        let map = normal.as_object_mut().unwrap();
        map.extend(spec.as_object().cloned().unwrap_or_default());
        Ok(normal)
    }

    fn prepare(&self, spec: &Value, _: &Files) -> std::result::Result<Value, Vec<SpecFault>> {
        Ok(spec.clone())
    }

    fn predict(&self, _: &Place, key: &Key, _: &Value) -> Outputs {
        if !self.is_named() {
            return Outputs::new();
        }
        json!({"arn": self.arn(&key.name)}).as_object().unwrap().clone()
    }

    fn replaces(&self, _: &Value, _: &Value) -> Vec<String> {
        Vec::new()
    }

    fn refuses(&self, want: &Value, found: &Value) -> Option<SpecFault> {
        let back = found["value"] == "late" && want["value"] == "early";
        back.then(|| SpecFault::new("value", "nothing gets younger").help("leave it"))
    }

    fn collides(&self, _: &Value, _: &Value) -> bool {
        self.is_named()
    }

    fn renews(&self, _: &[Change]) -> &'static [&'static str] {
        &[]
    }

    fn physical_of_arn(&self, _: &str) -> Option<String> {
        None
    }

    async fn observe(&self, cx: &Cx, want: Option<&Value>) -> Result<Option<Found>> {
        self.cloud.look().await;
        let by_spec = |contents: &mut Contents| {
            let same = |((kind, _), object): &(&(&str, String), &Object)| {
                *kind == self.type_name && Some(&object.spec) == want
            };
            contents.objects.iter().filter(|_| contents.found_by_spec).find(same).map(|(at, _)| at.clone())
        };
        let at = match cx.key.physical.is_some() || self.is_named() {
            true => Some(self.at(cx)),
            false => self.cloud.with(by_spec),
        };
        let Some(at) = at else { return Ok(None) };
        Ok(self.cloud.with(|contents| {
            let object = contents.objects.get(&at)?;
            Some(Found {
                physical: at.1.clone(),
                spec: object.spec.clone(),
                outputs: self.outputs(object),
                tags: object.tags.clone(),
                status: Some("ACTIVE".to_owned()),
                halt: None,
            })
        }))
    }

    fn peers(&self) -> crate::kind::Peers {
        crate::kind::Peers::NONE
    }

    fn path(&self) -> crate::kind::Path {
        crate::kind::Path::NONE
    }

    fn hops(&self, _: &Value) -> Vec<crate::kind::Hop> {
        Vec::new()
    }

    fn role(&self, _: &Value) -> Option<String> {
        None
    }

    async fn probe(&self, _: &Cx, _: &crate::kind::Hop, _: &Value, _: &Value) -> Result<Vec<crate::kind::Check>> {
        Ok(Vec::new())
    }

    async fn arrivals(&self, _: &Cx) -> Result<Vec<crate::kind::Check>> {
        Ok(Vec::new())
    }

    async fn remains(&self, _: &Cx) -> Result<Option<Halt>> {
        Ok(None)
    }

    async fn children(&self, _: &Cx) -> Result<Vec<Child>> {
        Ok(Vec::new())
    }

    async fn owned(&self, cx: &Cx) -> Result<Vec<Owned>> {
        self.cloud.look().await;
        let owned = |contents: &mut Contents| {
            let ours = contents.objects.iter().filter(|((kind, _), object)| {
                *kind == self.type_name && marks::stack_of(&object.tags) == Some(&cx.key.stack)
            });
            ours.map(|((_, physical), object)| Owned { physical: physical.clone(), tags: object.tags.clone() })
                .collect()
        };
        Ok(self.cloud.with(owned))
    }
}

#[async_trait]
impl AnyWrites for Fake {
    fn writes(&self) -> &'static [Right] {
        &[]
    }

    fn passes_to(&self) -> Option<&'static str> {
        None
    }

    async fn create(&self, cx: &Cx, want: &Value, tags: &Tags) -> Result<(String, Outputs)> {
        assert_eq!(cx.key.physical, None, "what is made has no identifier yet");
        let call = self.cloud.enter("create", &cx.key.id).await?;
        let (physical, mut outputs) = self.cloud.with(|contents| {
            Self::check_references(contents, want)?;
            contents.serial += 1;
            let serial = contents.serial;
            let physical = if self.is_named() { cx.key.name.clone() } else { format!("{}-{serial}", self.type_name) };
            let at = (self.type_name, physical.clone());
            if let Some(present) = contents.objects.get(&at) {
                let error = KindError::new(Class::Exists, format!("{physical} exists"));
                marks::settle(&present.tags, tags, error)?;
                return Ok((physical, self.outputs(present)));
            }
            let object = Object { name: cx.key.name.clone(), spec: want.clone(), tags: tags.clone(), serial };
            let outputs = self.outputs(&object);
            contents.made.insert(format!("{}-{serial}", self.type_name), cx.key.id.clone());
            contents.objects.insert(at, object);
            Ok::<_, KindError>((physical, outputs))
        })?;
        call.answer().await?;
        match call.fault {
            Some(Fault::Forget) => drop(outputs.shift_remove("id")),
            Some(Fault::Surprise) => drop(outputs.insert("arn".to_owned(), "arn:another".into())),
            _ => {}
        }
        Ok((physical, outputs))
    }

    async fn update(&self, cx: &Cx, want: &Value, found: &Value, changes: &[Change]) -> Result<()> {
        let call = self.cloud.enter("update", &cx.key.id).await?;
        let at = self.at(cx);
        assert!(!changes.is_empty() && want != found, "an update has changes");
        assert!(changes.iter().all(|change| !change.forces_replacement), "{changes:?}");
        self.cloud.with(|contents| {
            Self::check_references(contents, want)?;
            let object = contents.objects.get_mut(&at).ok_or_else(|| KindError::not_found("gone"))?;
            object.spec = want.clone();
            Ok::<_, KindError>(())
        })?;
        call.answer().await
    }

    async fn delete(&self, cx: &Cx) -> Result<()> {
        let call = self.cloud.enter("delete", &cx.key.id).await?;
        let at = self.at(cx);
        self.cloud.with(|contents| {
            let Some(object) = contents.objects.get(&at) else { return Ok(()) };
            let id = format!("{}-{}", self.type_name, object.serial);
            let refers = |other: &Object| other.spec["refs"].as_array().unwrap().contains(&json!(id));
            let users = contents.objects.iter().filter(|(_, other)| refers(other));
            let users: Vec<(At, Object)> = users.map(|(at, user)| (at.clone(), user.clone())).collect();
            let held = contents.objects.iter().find(|(_, other)| other.spec["held"] == json!(id));
            if let Some(((_, user), _)) =
                users.first().filter(|_| contents.strict).map(|(at, user)| (at, user)).or(held)
            {
                return Err(KindError::new(Class::Busy, format!("{} is used by {user}", at.1)));
            }
            let arn = json!(self.arn(&object.name));
            for other in contents.objects.values_mut().filter(|other| other.spec["lent"] == arn) {
                other.spec["lent"] = Value::Null;
            }
            contents.objects.remove(&at);
            contents.deleted.push(Deleted { at, users });
            Ok(())
        })?;
        call.answer().await
    }

    async fn retag(&self, cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let call = self.cloud.enter("retag", &cx.key.id).await?;
        let at = self.at(cx);
        self.cloud.with(|contents| {
            let object = contents.objects.get_mut(&at).ok_or_else(|| KindError::not_found("gone"))?;
            object.tags.extend(set.clone());
            object.tags.retain(|key, _| !remove.contains(key));
            Ok::<_, KindError>(())
        })?;
        call.answer().await
    }
}
