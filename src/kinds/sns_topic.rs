//! SNS topics (`facts/aws.md` 10a).

mod attributes;
mod peers;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sns::types::Tag;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::{JsonObject, object};
use super::policy::{PolicyDocument, Use};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::wait::{IAM_LIMIT, Look, Wait};
use crate::aws::{index, marks};
use crate::kind::{
    Changes, Child, Class, Fault, Files, Grant, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Path, Peers,
    Place, Result, Right, Tags, Writes,
};

/// An SNS topic.
pub struct SnsTopic;

/// What a topic is like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Name shown to people, such as the start of text messages; at most 100 letters.
    pub display_name: String,
    /// Whether messages keep their order and arrive once; the topic's name must end in `.fifo` then.
    #[schemars(extend("x-immutable" = true))]
    pub fifo_topic: bool,
    /// Whether a FIFO topic tells duplicates by a hash of the message's body.
    pub content_based_deduplication: bool,
    /// What the throughput of a FIFO topic and its deduplication are counted by; AWS chooses when unset.
    #[schemars(extend("x-computed" = true))]
    pub fifo_throughput_scope: Option<Scope>,
    /// Days for which a FIFO topic keeps messages for replay, as `{MessageRetentionPeriod: "30"}`; unset for none.
    #[serde(deserialize_with = "object")]
    pub archive_policy: Option<JsonObject>,
    /// Key for server-side encryption: a KMS key id, ARN or alias such as `alias/aws/sns`; unset for none.
    pub kms_master_key_id: Option<String>,
    /// Who may do what with the topic; unset for SNS's own default, which lets the account's principals use it.
    pub policy: Option<PolicyDocument>,
    /// How deliveries to HTTP endpoints are retried; unset for SNS's own way.
    #[serde(deserialize_with = "object")]
    pub delivery_policy: Option<JsonObject>,
    /// Version of the signature of notifications.
    pub signature_version: SignatureVersion,
    /// Whether notifications take part in X-Ray traces.
    pub tracing_config: Tracing,
    /// Logging of deliveries to CloudWatch, by protocol.
    pub delivery_status_logging: BTreeMap<Protocol, Logging>,
}

/// What a FIFO topic counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// The whole topic.
    Topic,
    /// Each message group, which allows more throughput.
    MessageGroup,
}

/// How notifications are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SignatureVersion {
    /// SHA-1.
    #[default]
    #[serde(rename = "1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "2")]
    Sha256,
}

/// Whether X-Ray sees notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Tracing {
    /// The publisher's trace header is passed on.
    #[default]
    PassThrough,
    /// SNS adds its own segments.
    Active,
}

/// Protocols whose deliveries can be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Mobile push.
    Application,
    /// Amazon Data Firehose.
    Firehose,
    /// HTTP and HTTPS.
    Http,
    /// Lambda.
    Lambda,
    /// SQS.
    Sqs,
}

/// Logging of the deliveries of one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// ARN of the role with which successful deliveries are logged.
    pub success_feedback_role_arn: Option<String>,
    /// Percentage of successful deliveries that are logged, 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub success_feedback_sample_rate: u8,
    /// ARN of the role with which failed deliveries are logged.
    pub failure_feedback_role_arn: Option<String>,
}

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TopicOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
}

const PUBLISH: Grant = Grant { verb: "publish", actions: &["sns:Publish"], resources: &[""] };

impl Kind for SnsTopic {
    const TYPE: &'static str = "sns_topic";
    const TITLE: &'static str = "SNS topic";
    const DELETE_RANK: u8 = 45;
    const NAMING: Naming = Naming::Name { pattern: r"^([a-zA-Z0-9_-]{1,256}|[a-zA-Z0-9_-]{1,251}\.fifo)$" };
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("sns");
    const PATH: Path = Path { accepts: &["sns:Publish"], ..Path::NONE };
    const READS: &'static [&'static str] =
        &["sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource"];
    const LISTS: &'static [&'static str] = &["sns:ListTopics"];
    const GRANTS: &'static [Grant] = &[PUBLISH, Grant { verb: "write", ..PUBLISH }];

    type Spec = Spec;
    type Outputs = TopicOutputs;

    fn prepare(spec: &mut Spec, _: &Files) -> std::result::Result<(), Vec<Fault>> {
        spec.delivery_status_logging.retain(|_, logging| *logging != Logging::default());
        Ok(())
    }

    fn check(spec: &Spec) -> Vec<Fault> {
        let mut faults = Vec::new();
        let long = spec.display_name.chars().count() > 100 && !spec.display_name.contains("${");
        if long {
            faults.push(Fault::new("display_name", "a display name has at most 100 letters"));
        }
        if !spec.fifo_topic {
            let only = |path: &str, set: bool| {
                set.then(|| Fault::new(path, "only FIFO topics have this").help("add fifo_topic: true, or remove it"))
            };
            faults.extend(only("content_based_deduplication", spec.content_based_deduplication));
            faults.extend(only("fifo_throughput_scope", spec.fifo_throughput_scope.is_some()));
            faults.extend(only("archive_policy", spec.archive_policy.is_some()));
        }
        for (protocol, logging) in &spec.delivery_status_logging {
            if logging.success_feedback_sample_rate > 100 {
                let path = format!("delivery_status_logging.{}.success_feedback_sample_rate", protocol.word());
                faults.push(Fault::new(path, "a percentage is between 0 and 100"));
            }
        }
        faults.extend(spec.policy.iter().flat_map(|policy| policy.faults("policy", Use::Resource)));
        faults
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let arn = place.arn("sns", &key.name);
        Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())])
    }

    fn physical_of_arn(arn: &str) -> Option<String> {
        Some(arn.to_owned())
    }

    async fn observe(cx: &Cx, _: Option<&Spec>) -> Result<Option<Observed<Spec, TopicOutputs>>> {
        let arn = arn_of(cx);
        let both = tokio::try_join!(attributes_of(cx, &arn), index::tags(cx, &arn, shared_tags(cx, &arn)));
        let Some((attributes, tags)) = found(both)? else { return Ok(None) };
        let spec = attributes::read(&attributes, &cx.place().account)?;
        Ok(Some(Observed { spec, tags, status: None, outputs: outputs_of(&arn), physical: arn, halt: None }))
    }

    async fn children(cx: &Cx) -> Result<Vec<Child>> {
        super::sns_subscription::of_topic(cx, &arn_of(cx)).await
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let topics = topics_of_stack(cx).await?;
        Ok(topics.into_iter().map(|(arn, tags)| Owned { physical: arn, tags }).collect())
    }
}

impl Writes for SnsTopic {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "sns:CreateTopic",
            "sns:DeleteTopic",
            "sns:SetTopicAttributes",
            "sns:TagResource",
            "sns:UntagResource",
        ],
        resources: &["sns:{region}:{account}:{name}"],
    }];
    const PASSES_TO: Option<&'static str> = Some("sns.amazonaws.com");

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, TopicOutputs)> {
        let arn = cx.place().arn("sns", &cx.key.name);
        check_name(&cx.key.name, want.fifo_topic)?;
        // CreateTopic takes over a topic of the same name without a word, so look first (facts/aws.md 10a.3).
        match found(tags_of(cx, &arn).await)? {
            Some(present) => settle_existing(cx, tags, &present)?,
            None => create_call(cx, want, tags).await?,
        }
        let fresh = attributes::read(&attributes_of(cx, &arn).await?, &cx.place().account)?;
        converge(cx, &arn, want, &fresh).await?;
        Ok((arn.clone(), outputs_of(&arn)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        converge(cx, &arn_of(cx), &changes.target(want, found)?, found).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let arn = arn_of(cx);
        let Some(attributes) = found(attributes_of(cx, &arn).await)? else { return Ok(()) };
        if JsonObject::from_answer(attributes.get("ArchivePolicy"))?.is_some() {
            // A topic with an archive refuses to go (SNS developer guide, message archiving).
            set_attribute(cx, &arn, "ArchivePolicy", "{}").await?;
        }
        gone(cx.aws.sns().delete_topic().topic_arn(&arn).send().await.map_err(failed("DeleteTopic")))?;
        let look = || async {
            Ok(match found(attributes_of(cx, &arn).await)? {
                Some(_) => Look::Pending("still there".to_owned()),
                None => Look::Done(()),
            })
        };
        Wait::new(format!("topic {} to be gone", cx.key.name), cx.limit("delete", IAM_LIMIT)).until(cx, look).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        retag_topic(cx, &arn_of(cx), set, remove).await
    }
}

/// Lists the topics that carry the mark of the context's stack, with their tags: by the index where it is complete.
pub(super) async fn topics_of_stack(cx: &Cx) -> Result<Vec<(String, Tags)>> {
    if cx.is_shared() && cx.aws.tag_index_complete {
        let index = index::of_stack(cx).await?;
        let index = index.as_ref().as_ref().map_err(Clone::clone)?;
        let start = cx.place().arn("sns", "");
        let topics = index.iter().filter(|(arn, _)| arn.starts_with(&start));
        return Ok(topics.map(|(arn, tags)| (arn.clone(), tags.clone())).collect());
    }
    let mut pages = cx.aws.sns().list_topics().into_paginator().send();
    let mut owned = Vec::new();
    while let Some(page) = pages.next().await {
        for topic in page.map_err(failed("ListTopics"))?.topics.unwrap_or_default() {
            let arn = topic.topic_arn.unwrap_or_default();
            let tags = found(tags_of(cx, &arn).await)?.unwrap_or_default();
            if marks::stack_of(&tags) == Some(&cx.key.stack) {
                owned.push((arn, tags));
            }
        }
    }
    Ok(owned)
}

/// Reads the tags of a topic, once for the topic and its subscriptions.
pub(super) async fn shared_tags(cx: &Cx, arn: &str) -> Result<Tags> {
    Ok((*cx.once(&format!("tags of {arn}"), Box::pin(tags_of(cx, arn))).await?).clone())
}

/// Reads the tags of a topic.
pub(super) async fn tags_of(cx: &Cx, arn: &str) -> Result<Tags> {
    let answer = cx.aws.sns().list_tags_for_resource().resource_arn(arn).send().await;
    // A missing topic is `ResourceNotFound` here and `NotFound` elsewhere (SNS API, ListTagsForResource).
    let answer = answer.map_err(failed("ListTagsForResource")).map_err(|error| match error.code.as_str() {
        "ResourceNotFound" => KindError { class: Class::NotFound, ..error },
        _ => error,
    });
    let tags = answer?.tags.unwrap_or_default();
    Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// Sets and removes tags of a topic; calls for one topic must not overlap (`ConcurrentAccess`), so they are repeated.
pub(super) async fn retag_topic(cx: &Cx, arn: &str, set: &Tags, remove: &[String]) -> Result<()> {
    let wait = Wait::new("other tag calls for the topic to end", IAM_LIMIT);
    let busy = |error: &KindError| error.code.starts_with("ConcurrentAccess");
    if !set.is_empty() {
        let tags = sdk_tags(set)?;
        let call = || async {
            let request = cx.aws.sns().tag_resource().resource_arn(arn).set_tags(Some(tags.clone()));
            request.send().await.map_err(failed("TagResource"))
        };
        wait.retry(cx, busy, call).await?;
    }
    if !remove.is_empty() {
        let call = || async {
            let request = cx.aws.sns().untag_resource().resource_arn(arn).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("UntagResource"))
        };
        wait.retry(cx, busy, call).await?;
    }
    Ok(())
}

fn arn_of(cx: &Cx) -> String {
    cx.key.physical.clone().unwrap_or_else(|| cx.place().arn("sns", &cx.key.name))
}

fn outputs_of(arn: &str) -> TopicOutputs {
    TopicOutputs { arn: arn.to_owned(), name: arn.rsplit(':').next().unwrap_or_default().to_owned() }
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter().map(tag).collect::<std::result::Result<_, _>>().map_err(|error| KindError::invalid(error.to_string()))
}

async fn attributes_of(cx: &Cx, arn: &str) -> Result<HashMap<String, String>> {
    let answer = cx.aws.sns().get_topic_attributes().topic_arn(arn).send().await;
    Ok(answer.map_err(failed("GetTopicAttributes"))?.attributes.unwrap_or_default())
}

fn check_name(name: &str, fifo: bool) -> Result<()> {
    if name.strip_suffix(".fifo").is_some() == fifo {
        return Ok(());
    }
    let advice = if fifo { format!("add `name: {name}.fifo`") } else { "add `fifo_topic: true`".to_owned() };
    Err(KindError::invalid(format!("topic name {name} and fifo_topic: {fifo} do not go together"))
        .hint(format!("names of FIFO topics, and only theirs, end in `.fifo`: {advice}")))
}

/// A topic that is there already is success when its marks are ours, as after a lost answer.
fn settle_existing(cx: &Cx, tags: &Tags, present: &Tags) -> Result<()> {
    let same = |key: &str| present.get(key) == tags.get(key);
    if same(marks::STACK) && same(marks::RESOURCE) {
        return Ok(());
    }
    Err(KindError::new(Class::Exists, format!("topic {} exists and is not this resource's", cx.key.name)))
}

async fn create_call(cx: &Cx, want: &Spec, tags: &Tags) -> Result<()> {
    let tags = sdk_tags(tags)?;
    let call = || async {
        let mut request = cx.aws.sns().create_topic().name(&cx.key.name).set_tags(Some(tags.clone()));
        if want.fifo_topic {
            request = request.attributes("FifoTopic", "true");
        }
        request.send().await.map_err(failed("CreateTopic")).map_err(explain_existing)
    };
    // A name whose tagged topic was deleted a moment ago is refused for a while (facts/aws.md 10a.5).
    let stale = |error: &KindError| error.code.starts_with("StaleTag");
    Wait::new("the deleted topic of this name to be forgotten", IAM_LIMIT).retry(cx, stale, call).await.map(|_| ())
}

/// A topic of this name that came up between the look and the call is somebody else's (`facts/aws.md` 10a.3).
fn explain_existing(error: KindError) -> KindError {
    let exists = error.says("InvalidParameter", "Topic already exists with different");
    if exists { KindError { class: Class::Exists, ..error } } else { error }
}

/// Sets the attributes that differ, one a call.
async fn converge(cx: &Cx, arn: &str, want: &Spec, found: &Spec) -> Result<()> {
    let place = cx.place();
    let present = attributes::write(found, arn, place);
    for (name, value) in attributes::write(want, arn, place) {
        let computed = name == attributes::SCOPE && value.is_empty();
        if present.get(name) != Some(&value) && !computed {
            set_attribute(cx, arn, name, &value).await?;
        }
    }
    Ok(())
}

/// Sets one attribute, waiting until SNS knows the roles and principals in it (`facts/aws.md` 10a.3).
async fn set_attribute(cx: &Cx, arn: &str, name: &str, value: &str) -> Result<()> {
    let passes = |error: &KindError| match error.code.as_str() {
        "InvalidParameter" => {
            name.ends_with("FeedbackRoleArn") || (name == "Policy" && error.message.contains("PrincipalNotFound"))
        }
        "AuthorizationError" => ["no identity-based policy allows", "is not authorized to perform"]
            .iter()
            .any(|fragment| error.message.contains(fragment)),
        _ => false,
    };
    let call = || async {
        let request = cx.aws.sns().set_topic_attributes().topic_arn(arn).attribute_name(name).attribute_value(value);
        request.send().await.map_err(failed("SetTopicAttributes"))
    };
    Wait::new(format!("IAM: what {name} names is not known to SNS yet"), IAM_LIMIT)
        .retry(cx, passes, call)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifo_and_name_go_together() {
        assert!(check_name("a.fifo", true).is_ok());
        assert!(check_name("a", false).is_ok());
        assert!(check_name("a", true).unwrap_err().hint.unwrap().contains("a.fifo"));
        assert!(check_name("a.fifo", false).unwrap_err().hint.unwrap().contains("fifo_topic: true"));
    }

    #[test]
    fn a_topic_that_came_up_meanwhile_is_not_ours() {
        let error = |text: &str| KindError { code: "InvalidParameter".into(), ..KindError::invalid(text) };
        let text = "Invalid parameter: Tags Reason: Topic already exists with different tags";
        assert_eq!(explain_existing(error(text)).class, Class::Exists);
        assert_eq!(explain_existing(error("Invalid parameter: Topic Name")).class, Class::Invalid);
    }

    #[test]
    fn standard_topics_refuse_what_only_fifo_topics_have() {
        let spec =
            Spec { content_based_deduplication: true, fifo_throughput_scope: Some(Scope::Topic), ..Spec::default() };
        let paths: Vec<_> = SnsTopic::check(&spec).into_iter().map(|fault| fault.path).collect();
        assert_eq!(paths, ["content_based_deduplication", "fifo_throughput_scope"]);
        assert_eq!(SnsTopic::check(&Spec { fifo_topic: true, ..spec }), []);
    }
}
