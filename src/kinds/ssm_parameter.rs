//! Systems Manager parameters (SSM API `PutParameter`, `GetParameter`, `DescribeParameters`).
//!
//! A parameter whose value is left out of the file belongs to whoever sets it by hand: it is created with a placeholder
//! and its value is never read, compared or changed afterwards.

mod peers;
mod shared;

use std::time::Duration;

use aws_sdk_ssm::types::{
    Parameter, ParameterMetadata, ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag,
};
use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::fields;
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::wait::{Look, Wait};
use crate::aws::{index, marks};
use crate::kind::{
    Changes, Class, Fault, Grant, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Peers, Place, Result, Right,
    Tags, Writes,
};

/// A Systems Manager parameter.
pub struct SsmParameter;

/// What a parameter is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// `String`, `StringList` (values with commas between them) or `SecureString` (encrypted). Parameter Store changes
    /// no types, so another type makes a new parameter.
    #[schemars(extend("x-immutable" = true))]
    pub parameter_type: Type,
    /// The value. Left out, it is set by hand: the parameter is created with the text `unset` and its value is left alone
    /// from then on.
    #[schemars(extend("x-sensitive" = true, "x-computed" = true))]
    pub value: Option<String>,
    /// Description, up to 1024 characters.
    #[serde(deserialize_with = "fields::text")]
    #[schemars(with = "Option<String>", length(max = 1024))]
    pub description: Option<String>,
    /// KMS key of a `SecureString`: an id, ARN or alias; the account's `alias/aws/ssm` unless set.
    #[serde(deserialize_with = "key_id")]
    #[schemars(with = "Option<String>")]
    pub key_id: Option<String>,
    /// `Standard` (up to 4 KB), `Advanced` (up to 8 KB, at a price) or `Intelligent-Tiering` (Advanced where needed); the
    /// account's own default unless set. Parameter Store takes no Advanced parameter back, so from there to Standard a new
    /// parameter is made.
    #[schemars(extend("x-computed" = true))]
    pub tier: Option<Tier>,
    /// Regular expression that values have to match.
    #[serde(deserialize_with = "fields::text")]
    #[schemars(with = "Option<String>", length(max = 1024))]
    pub allowed_pattern: Option<String>,
    /// What a `String` holds: `text`, `aws:ec2:image` (checked to be an image) or `aws:ssm:integration`; cannot be changed
    /// later.
    #[schemars(extend("x-immutable" = true))]
    pub data_type: String,
}

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Type {
    /// Text.
    String,
    /// Texts with commas between them.
    StringList,
    /// Encrypted text.
    SecureString,
}

/// Tier of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// Up to 4 KB.
    Standard,
    /// Up to 8 KB.
    Advanced,
    /// As the value needs it.
    #[serde(rename = "Intelligent-Tiering")]
    IntelligentTiering,
}

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ParameterOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
}

/// Value of a parameter that is to be set by hand.
const PLACEHOLDER: &str = "unset";
/// Key that a `SecureString` has unless another is named (`PutParameter`).
const DEFAULT_KEY: &str = "alias/aws/ssm";
const DEFAULT_DATA_TYPE: &str = "text";
const DATA_TYPES: [&str; 3] = [DEFAULT_DATA_TYPE, "aws:ec2:image", "aws:ssm:integration"];
const LIMIT: Duration = Duration::from_mins(1);
/// How many parameters' tags are read at once.
const READS: usize = 4;

impl Default for Spec {
    fn default() -> Self {
        Self {
            parameter_type: Type::String,
            value: None,
            description: None,
            key_id: None,
            tier: None,
            allowed_pattern: None,
            data_type: DEFAULT_DATA_TYPE.to_owned(),
        }
    }
}

fn key_id<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    Ok(fields::text(deserializer)?.filter(|key| key != DEFAULT_KEY))
}

impl Kind for SsmParameter {
    const TYPE: &'static str = "ssm_parameter";
    const TITLE: &'static str = "Systems Manager parameter";
    const DELETE_RANK: u8 = 90;
    const NAMING: Naming = Naming::Name { pattern: r"^(?:(?:/[A-Za-z0-9_.-]+){1,15}|[A-Za-z0-9_.-]{1,1011})$" };
    const PEERS: Peers = peers::PEERS;
    const READS: &'static [&'static str] = &["ssm:DescribeParameters", "ssm:GetParameter", "ssm:ListTagsForResource"];
    const LISTS: &'static [&'static str] = &[];
    const GRANTS: &'static [Grant] = &[
        Grant { verb: "read", actions: &["ssm:GetParameter", "ssm:GetParameters"], resources: &[""] },
        Grant { verb: "write", actions: &["ssm:PutParameter"], resources: &[""] },
    ];

    type Spec = Spec;
    type Outputs = ParameterOutputs;

    fn check(spec: &Spec) -> Vec<Fault> {
        let mut faults = value_faults(spec);
        if spec.key_id.is_some() && spec.parameter_type != Type::SecureString {
            let fault = Fault::new("key_id", "only a SecureString is encrypted with a key");
            faults.push(fault.help("remove key_id, or set parameter_type: SecureString"));
        }
        if fields::is_wrong(&spec.data_type, |data_type| DATA_TYPES.contains(&data_type)) {
            let fault = Fault::new("data_type", format!("there is no data type {}", spec.data_type));
            faults.push(fault.help(format!("one of {}", DATA_TYPES.join(", "))));
        }
        if spec.data_type != DEFAULT_DATA_TYPE && spec.parameter_type != Type::String {
            faults.push(Fault::new("data_type", "only a String has a data type other than text"));
        }
        if spec.description.as_ref().is_some_and(|text| text.chars().count() > 1024) {
            faults.push(Fault::new("description", "a description has at most 1024 characters"));
        }
        faults
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let arn = arn(place, &key.name);
        Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())])
    }

    fn replaces(want: &Spec, found: &Spec) -> Vec<String> {
        let renewed = shrinks(want, found) && want.value.is_some();
        renewed.then(|| "tier".to_owned()).into_iter().collect()
    }

    /// A new parameter would not have the value that somebody set by hand.
    fn refuses(want: &Spec, found: &Spec) -> Option<Fault> {
        let fault = Fault::new("tier", "an Advanced parameter cannot become Standard again");
        let help =
            "leave `tier` out or Advanced, add `value:`, or make a new one with --replace and set its value again";
        (shrinks(want, found) && want.value.is_none()).then(|| fault.help(help))
    }

    /// Names of several steps begin with a slash, which their ARNs show only once.
    fn physical_of_arn(arn: &str) -> Option<String> {
        let (_, name) = arn.split_once(":parameter/")?;
        Some(if name.contains('/') { format!("/{name}") } else { name.to_owned() })
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, ParameterOutputs>>> {
        let valued = want.is_some_and(|want| want.value.is_some());
        let name = cx.key.handle();
        let tags = async {
            match shared::indexed_arn(cx, name) {
                Some(arn) => index::tags(cx, &arn, tags_of(cx, name)).await,
                None => tags_of(cx, name).await,
            }
        };
        let Some((parameter, tags)) = found(tokio::try_join!(get(cx, valued), tags))? else { return Ok(None) };
        let Some(metadata) = shared::metadata(cx).await? else { return Ok(None) };
        let tier = want.and_then(|want| want.tier);
        let outputs = outputs_of(cx, &parameter);
        let mut spec = spec_of(&metadata, &parameter, tier)?;
        spec.value = spec.value.filter(|_| valued);
        Ok(Some(Observed { physical: outputs.name.clone(), spec, outputs, tags, status: None, halt: None }))
    }

    /// Lists by tag, which `DescribeParameters` can: exact, where an ARN does not tell `a` from `/a`.
    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let names: Vec<String> =
            shared::of_stack(cx).await?.iter().filter_map(|parameter| parameter.name.clone()).collect();
        let reads = stream::iter(names).map(|name| async move {
            let tags = match shared::indexed_arn(cx, &name) {
                Some(arn) => index::candidate(cx, &arn).await,
                None => None,
            };
            let tags = match tags {
                Some(tags) => tags,
                None => found(tags_of(cx, &name).await)?.unwrap_or_default(),
            };
            Ok::<_, KindError>(Owned { physical: name, tags })
        });
        let owned: Vec<Owned> = reads.buffered(READS).try_collect().await?;
        Ok(owned.into_iter().filter(|parameter| marks::stack_of(&parameter.tags) == Some(&cx.key.stack)).collect())
    }
}

impl Writes for SsmParameter {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "ssm:AddTagsToResource",
            "ssm:DeleteParameter",
            "ssm:GetParameter",
            "ssm:PutParameter",
            "ssm:RemoveTagsFromResource",
        ],
        resources: &["ssm:{region}:{account}:parameter/{path}"],
    }];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, ParameterOutputs)> {
        let value = want.value.as_deref().unwrap_or(PLACEHOLDER);
        let (client, tags_given) = (cx.aws.ssm(), tag_list(tags)?);
        let request = || filled(client.put_parameter().name(&cx.key.name), want, value);
        let request = || request().set_description(want.description.clone()).set_tags(Some(tags_given.clone()));
        let request = || request().set_allowed_pattern(want.allowed_pattern.clone()).overwrite(false);
        let call = || async { request().send().await.map_err(failed("PutParameter")).map(|_| ()) };
        if let Err(error) = patient(cx, call).await {
            if error.class != Class::Exists {
                return Err(error);
            }
            let present = found(tags_of(cx, &cx.key.name).await)?.unwrap_or_default();
            marks::settle(&present, tags, error)?;
        }
        let patience = Wait::new(format!("parameter {} to be visible", cx.key.name), cx.limit("create", LIMIT));
        let look = || async { Ok(describe(cx).await?.map_or(Look::Pending("not listed".to_owned()), Look::Done)) };
        patience.until(cx, look).await?;
        let outputs = outputs_of(cx, &get(cx, false).await?);
        Ok((outputs.name.clone(), outputs))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        if !changes.touch_any(&["value", "description", "key_id", "tier", "allowed_pattern"]) {
            return Ok(());
        }
        // Without a tier the account's default would apply, even to a parameter that has outgrown it (`PutParameter`).
        let want = &Spec { tier: want.tier.or(found.tier), ..want.clone() };
        // Every write carries the value; one that is not the file's to set is written back as it is.
        let value = match &want.value {
            Some(value) if changes.touch("value") => value.clone(),
            _ => get(cx, true).await?.value.unwrap_or_default(),
        };
        let request = || filled(cx.aws.ssm().put_parameter().name(cx.key.handle()), want, &value).overwrite(true);
        let request = || request().description(want.description.as_deref().unwrap_or_default());
        let request = || request().allowed_pattern(want.allowed_pattern.as_deref().unwrap_or_default());
        patient(cx, || async { request().send().await.map_err(failed("PutParameter")).map(|_| ()) }).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let request = cx.aws.ssm().delete_parameter().name(cx.key.handle());
        gone(request.send().await.map_err(failed("DeleteParameter")))?;
        let wait = Wait::new(format!("parameter {} to be gone", cx.key.handle()), cx.limit("delete", LIMIT));
        let state = |some: Option<Parameter>| some.map_or(Look::Done(()), |_| Look::Pending("still there".to_owned()));
        wait.until(cx, || async { Ok(state(found(get(cx, false).await)?)) }).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let (client, name) = (cx.aws.ssm(), cx.key.handle());
        if !set.is_empty() {
            let request = client.add_tags_to_resource().resource_type(ResourceTypeForTagging::Parameter);
            let request = request.resource_id(name).set_tags(Some(tag_list(set)?));
            request.send().await.map_err(failed("AddTagsToResource"))?;
        }
        if !remove.is_empty() {
            let request = client.remove_tags_from_resource().resource_type(ResourceTypeForTagging::Parameter);
            let request = request.resource_id(name).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("RemoveTagsFromResource"))?;
        }
        Ok(())
    }
}

/// Tells whether a tier would have to go down, which `PutParameter` refuses.
fn shrinks(want: &Spec, found: &Spec) -> bool {
    want.tier == Some(Tier::Standard) && found.tier == Some(Tier::Advanced)
}

fn value_faults(spec: &Spec) -> Vec<Fault> {
    let mut faults = Vec::new();
    match &spec.value {
        Some(value) if value.is_empty() => {
            let fault = Fault::new("value", "Parameter Store keeps no empty values");
            faults.push(fault.help("leave value out to set it by hand later"));
        }
        Some(_) => {}
        None => {
            let pattern = spec.allowed_pattern.as_deref().and_then(|pattern| regex::Regex::new(pattern).ok());
            if pattern.is_some_and(|pattern| !pattern.is_match(PLACEHOLDER)) {
                let message = format!("the pattern refuses {PLACEHOLDER:?}, the text of a parameter without a value");
                faults.push(Fault::new("allowed_pattern", message).help("add a value, or allow that text too"));
            }
            if spec.data_type == "aws:ec2:image" {
                let fault = Fault::new("value", "a parameter for an image needs one from the start");
                faults.push(fault.help("add value: with the id of an image"));
            }
        }
    }
    faults
}

fn arn(place: &Place, name: &str) -> String {
    place.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
}

fn outputs_of(cx: &Cx, parameter: &Parameter) -> ParameterOutputs {
    let name = parameter.name.clone().unwrap_or_else(|| cx.key.handle().to_owned());
    ParameterOutputs { arn: parameter.arn.clone().unwrap_or_else(|| arn(cx.place(), &name)), name }
}

/// Reads a spec; a parameter under Intelligent-Tiering shows the tier that it has got, so what is wanted decides.
fn spec_of(metadata: &ParameterMetadata, parameter: &Parameter, wanted: Option<Tier>) -> Result<Spec> {
    let parameter_type = match &parameter.r#type {
        Some(ParameterType::String) => Type::String,
        Some(ParameterType::StringList) => Type::StringList,
        Some(ParameterType::SecureString) => Type::SecureString,
        other => return Err(KindError::invalid(format!("the parameter is of the unknown type {other:?}"))),
    };
    let tier = match &metadata.tier {
        _ if wanted == Some(Tier::IntelligentTiering) => Tier::IntelligentTiering,
        Some(ParameterTier::Advanced) => Tier::Advanced,
        _ => Tier::Standard,
    };
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(Spec {
        parameter_type,
        value: parameter.value.clone(),
        description: filled(&metadata.description),
        key_id: filled(&metadata.key_id).filter(|key| parameter_type == Type::SecureString && key != DEFAULT_KEY),
        tier: Some(tier),
        allowed_pattern: filled(&metadata.allowed_pattern),
        data_type: filled(&parameter.data_type).unwrap_or_else(|| DEFAULT_DATA_TYPE.to_owned()),
    })
}

fn filled(
    request: aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder,
    want: &Spec,
    value: &str,
) -> aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder {
    let secure = want.parameter_type == Type::SecureString;
    let parameter_type = match want.parameter_type {
        Type::String => ParameterType::String,
        Type::StringList => ParameterType::StringList,
        Type::SecureString => ParameterType::SecureString,
    };
    let tier = want.tier.map(|tier| match tier {
        Tier::Standard => ParameterTier::Standard,
        Tier::Advanced => ParameterTier::Advanced,
        Tier::IntelligentTiering => ParameterTier::IntelligentTiering,
    });
    let key = secure.then(|| want.key_id.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned()));
    request.r#type(parameter_type).value(value).set_key_id(key).set_tier(tier).data_type(&want.data_type)
}

/// Reads the parameter; with its value in clear text only when that is wanted, so that a value set by hand stays where
/// it is.
async fn get(cx: &Cx, valued: bool) -> Result<Parameter> {
    let request = cx.aws.ssm().get_parameter().name(cx.key.handle()).with_decryption(valued);
    let answer = request.send().await.map_err(failed("GetParameter"))?;
    answer.parameter.ok_or_else(|| KindError::lacking("GetParameter", "parameter"))
}

fn filter(key: &str, value: &str) -> Result<ParameterStringFilter> {
    let filter = ParameterStringFilter::builder().key(key).option("Equals").values(value);
    filter.build().map_err(|error| KindError::invalid(error.to_string()))
}

/// Reads what `GetParameter` does not tell.
async fn describe(cx: &Cx) -> Result<Option<ParameterMetadata>> {
    Ok(list(cx, filter("Name", cx.key.handle())?).await?.into_iter().next())
}

/// Lists what a filter lets through. Pages may be empty and yet not the last.
async fn list(cx: &Cx, filter: ParameterStringFilter) -> Result<Vec<ParameterMetadata>> {
    let request = cx.aws.ssm().describe_parameters().parameter_filters(filter).max_results(50);
    let mut pages = request.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        all.extend(page.map_err(failed("DescribeParameters"))?.parameters.unwrap_or_default());
    }
    Ok(all)
}

fn tag_list(tags: &Tags) -> Result<Vec<Tag>> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter().map(tag).collect::<std::result::Result<_, _>>().map_err(|error| KindError::invalid(error.to_string()))
}

async fn tags_of(cx: &Cx, name: &str) -> Result<Tags> {
    let request = cx.aws.ssm().list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
    let answer = request.resource_id(name).send().await;
    let answer = answer.map_err(failed("ListTagsForResource")).map_err(|error| match error.code.as_str() {
        // Told of a parameter that is not there (SSM API `ListTagsForResource`).
        "InvalidResourceId" => KindError { class: Class::NotFound, ..error },
        _ => error,
    });
    Ok(answer?.tag_list.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// Repeats a write while another one to the same parameter is in progress.
async fn patient<T, F>(cx: &Cx, call: impl FnMut() -> F + Send) -> Result<T>
where
    F: Future<Output = Result<T>> + Send,
{
    let wait = Wait::new("another write to the parameter to end", LIMIT);
    wait.retry(cx, |error| error.code == "TooManyUpdates", call).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(value: serde_json::Value) -> Spec {
        serde_json::from_value(value).unwrap()
    }

    fn paths(value: serde_json::Value) -> Vec<String> {
        SsmParameter::check(&spec(value)).into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn names_and_arns_fit() {
        let place = Place { partition: "aws".into(), region: "r".into(), account: "1".into() };
        assert_eq!(arn(&place, "/a/b"), "arn:aws:ssm:r:1:parameter/a/b");
        assert_eq!(arn(&place, "a"), "arn:aws:ssm:r:1:parameter/a");
        assert_eq!(SsmParameter::physical_of_arn(&arn(&place, "/a/b")).as_deref(), Some("/a/b"));
        assert_eq!(SsmParameter::physical_of_arn(&arn(&place, "a")).as_deref(), Some("a"));
        let Naming::Name { pattern } = SsmParameter::NAMING else { panic!("named") };
        let pattern = regex::Regex::new(pattern).unwrap();
        assert!(pattern.is_match("/a/b.c-d_e") && pattern.is_match("a") && !pattern.is_match("a/b"));
        assert!(!pattern.is_match("//a") && !pattern.is_match(&"/a".repeat(16)));
    }

    #[test]
    fn the_default_key_is_no_key() {
        assert_eq!(spec(json!({"key_id": "alias/aws/ssm"})).key_id, None);
        assert_eq!(spec(json!({"key_id": "alias/mine"})).key_id.as_deref(), Some("alias/mine"));
    }

    #[test]
    fn fields_have_to_fit_together() {
        assert_eq!(paths(json!({})), [""; 0]);
        assert_eq!(paths(json!({"value": "", "key_id": "k", "data_type": "x"})), ["value", "key_id", "data_type"]);
        assert_eq!(paths(json!({"allowed_pattern": "^\\d+$"})), ["allowed_pattern"]);
        assert_eq!(paths(json!({"allowed_pattern": "^\\d+$", "value": "1"})), [""; 0]);
        assert_eq!(paths(json!({"data_type": "aws:ec2:image"})), ["value"]);
    }

    #[test]
    fn a_tier_goes_down_by_a_new_parameter_or_not_at_all() {
        let advanced = spec(json!({"value": "x", "tier": "Advanced"}));
        let valued = spec(json!({"value": "x", "tier": "Standard"}));
        assert_eq!(SsmParameter::replaces(&valued, &advanced), ["tier"]);
        assert_eq!(SsmParameter::refuses(&valued, &advanced), None);
        let by_hand = spec(json!({"tier": "Standard"}));
        assert!(SsmParameter::replaces(&by_hand, &advanced).is_empty());
        assert_eq!(SsmParameter::refuses(&by_hand, &advanced).unwrap().path, "tier");
        assert!(SsmParameter::replaces(&advanced, &valued).is_empty());
    }

    #[test]
    fn intelligent_tiering_reads_as_wanted() {
        let parameter = Parameter::builder().r#type(ParameterType::SecureString).build();
        let metadata = ParameterMetadata::builder().tier(ParameterTier::Advanced).key_id(DEFAULT_KEY).build();
        let read = |wanted| spec_of(&metadata, &parameter, wanted).unwrap();
        assert_eq!(read(Some(Tier::IntelligentTiering)).tier, Some(Tier::IntelligentTiering));
        assert_eq!(read(Some(Tier::Standard)).tier, Some(Tier::Advanced));
        assert_eq!(read(None).key_id, None);
    }
}
