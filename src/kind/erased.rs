//! The bridge from a kind with types to the engine's kind with values, written once for all kinds.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    AnyKind, AnyWrites, Changes, Check, Child, Demand, Fault, Files, Found, Grant, Halt, Hop, Key, Kind, KindError,
    Naming, Outputs, Owned, Path, Peers, Place, Result, Right, Tagging, Tags, Writes,
};
use crate::aws::Cx;
use crate::diff::{Change, Fields};

/// The bridge from a [`Kind`] to [`AnyKind`].
pub struct Erased<K>(PhantomData<fn() -> K>);

impl<K: Kind> Erased<K> {
    /// The entry for the registry.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<K: Kind> Default for Erased<K> {
    fn default() -> Self {
        Self::new()
    }
}

fn parse<T: DeserializeOwned>(value: &Value) -> std::result::Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path.replace('[', ".").replace(']', "") };
        Fault::new(path, error.into_inner().to_string())
    })
}

pub(super) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    parse(value).map_err(|fault| KindError::invalid(format!("{}: {}", fault.path, fault.message)))
}

pub(super) fn plain<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| KindError::invalid(error.to_string()))
}

fn map_of<T: Serialize>(value: &T) -> Result<Outputs> {
    match plain(value)? {
        Value::Object(map) => Ok(map),
        other => Err(KindError::invalid(format!("outputs are {other}, not an object"))),
    }
}

/// What is made once per kind.
type Cells<T> = Mutex<BTreeMap<TypeId, &'static T>>;

/// Returns the cell of a kind, filled on first use: a schema takes a while to make and read, and a registry entry
/// must stay a plain constant.
fn once<K: Kind, T>(cells: &Cells<T>, make: impl FnOnce() -> T) -> &'static T {
    let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
    cells.entry(TypeId::of::<K>()).or_insert_with(|| Box::leak(Box::new(make())))
}

#[async_trait]
impl<K: Kind> AnyKind for Erased<K> {
    fn type_name(&self) -> &'static str {
        K::TYPE
    }

    fn title(&self) -> &'static str {
        K::TITLE
    }

    fn delete_rank(&self) -> u8 {
        K::DELETE_RANK
    }

    fn naming(&self) -> Naming {
        K::NAMING
    }

    fn tagging(&self) -> Tagging {
        K::TAGGING
    }

    fn tag_index(&self) -> Option<&'static str> {
        K::TAG_INDEX
    }

    fn reads(&self) -> &'static [&'static str] {
        K::READS
    }

    fn lists(&self) -> &'static [&'static str] {
        K::LISTS
    }

    fn probes(&self) -> &'static [&'static str] {
        K::PROBES
    }

    fn grants(&self) -> &'static [Grant] {
        K::GRANTS
    }

    fn spec_schema(&self) -> &'static Value {
        static CELLS: Cells<Value> = Mutex::new(BTreeMap::new());
        once::<K, _>(&CELLS, || schemars::schema_for!(K::Spec).to_value())
    }

    fn output_schema(&self) -> &'static Value {
        static CELLS: Cells<Value> = Mutex::new(BTreeMap::new());
        once::<K, _>(&CELLS, || schemars::schema_for!(K::Outputs).to_value())
    }

    fn fields(&self) -> &'static Fields {
        static CELLS: Cells<Fields> = Mutex::new(BTreeMap::new());
        once::<K, _>(&CELLS, || Fields::of_schema(self.spec_schema()))
    }

    fn normal(&self, spec: &Value) -> std::result::Result<Value, Fault> {
        let spec: K::Spec = parse(spec)?;
        plain(&spec).map_err(|error| Fault::new("", error.to_string()))
    }

    fn prepare(&self, spec: &Value, files: &Files) -> std::result::Result<Value, Vec<Fault>> {
        let mut spec: K::Spec = parse(spec).map_err(|fault| vec![fault])?;
        K::prepare(&mut spec, files)?;
        let faults = K::check(&spec);
        if !faults.is_empty() {
            return Err(faults);
        }
        plain(&spec).map_err(|error| vec![Fault::new("", error.to_string())])
    }

    fn predict(&self, place: &Place, key: &Key, want: &Value) -> Outputs {
        parse::<K::Spec>(want).map(|want| K::predict(place, key, &want)).unwrap_or_default()
    }

    fn replaces(&self, want: &Value, found: &Value) -> Vec<String> {
        match (parse::<K::Spec>(want), parse::<K::Spec>(found)) {
            (Ok(want), Ok(found)) => K::replaces(&want, &found),
            _ => Vec::new(),
        }
    }

    fn refuses(&self, want: &Value, found: &Value) -> Option<Fault> {
        K::refuses(&parse(want).ok()?, &parse(found).ok()?)
    }

    fn collides(&self, want: &Value, found: &Value) -> bool {
        match (parse::<K::Spec>(want), parse::<K::Spec>(found)) {
            (Ok(want), Ok(found)) => K::collides(&want, &found),
            _ => true,
        }
    }

    fn renews(&self, changes: &[Change]) -> &'static [&'static str] {
        K::renews(&Changes(changes))
    }

    fn physical_of_arn(&self, arn: &str) -> Option<String> {
        K::physical_of_arn(arn)
    }

    fn is_also(&self, spec: &Value, physical: &str) -> bool {
        parse::<K::Spec>(spec).is_ok_and(|spec| K::is_also(&spec, physical))
    }

    async fn observe(&self, cx: &Cx, want: Option<&Value>) -> Result<Option<Found>> {
        let want: Option<K::Spec> = want.map(typed).transpose()?;
        let Some(seen) = K::observe(cx, want.as_ref()).await? else { return Ok(None) };
        Ok(Some(Found {
            physical: seen.physical,
            spec: plain(&seen.spec)?,
            outputs: map_of(&seen.outputs)?,
            tags: seen.tags,
            status: seen.status,
            halt: seen.halt,
        }))
    }

    fn path(&self) -> Path {
        K::PATH
    }

    fn peers(&self) -> Peers {
        K::PEERS
    }

    fn hops(&self, spec: &Value) -> Vec<Hop> {
        parse::<K::Spec>(spec).map(|spec| K::hops(&spec)).unwrap_or_default()
    }

    fn role(&self, spec: &Value) -> Option<String> {
        parse::<K::Spec>(spec).ok().and_then(|spec| K::role(&spec))
    }

    fn demands(&self, spec: &Value) -> Vec<Demand> {
        parse::<K::Spec>(spec).map(|spec| K::demands(&spec)).unwrap_or_default()
    }

    async fn probe(&self, cx: &Cx, hop: &Hop, want: &Value, found: &Value) -> Result<Vec<Check>> {
        K::probe(cx, hop, &typed(want)?, &typed(found)?).await
    }

    async fn arrivals(&self, cx: &Cx) -> Result<Vec<Check>> {
        K::arrivals(cx).await
    }

    async fn remains(&self, cx: &Cx) -> Result<Option<Halt>> {
        K::remains(cx).await
    }

    async fn children(&self, cx: &Cx) -> Result<Vec<Child>> {
        K::children(cx).await
    }

    async fn owned(&self, cx: &Cx) -> Result<Vec<Owned>> {
        K::owned(cx).await
    }
}

#[async_trait]
impl<K: Writes> AnyWrites for Erased<K> {
    fn writes(&self) -> &'static [Right] {
        K::WRITES
    }

    fn passes_to(&self) -> Option<&'static str> {
        K::PASSES_TO
    }

    async fn create(&self, cx: &Cx, want: &Value, tags: &Tags) -> Result<(String, Outputs)> {
        let (physical, outputs) = K::create(cx, &typed(want)?, tags).await?;
        Ok((physical, map_of(&outputs)?))
    }

    async fn update(&self, cx: &Cx, want: &Value, found: &Value, changes: &[Change]) -> Result<()> {
        K::update(cx, &typed(want)?, &typed(found)?, &Changes(changes)).await
    }

    async fn delete(&self, cx: &Cx) -> Result<()> {
        K::delete(cx).await
    }

    async fn retag(&self, cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        K::retag(cx, set, remove).await
    }
}
