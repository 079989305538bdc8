//! The calls: describe, create, edit with version ids, start, stop, delete, and the waits between them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_kinesisanalytics::types::{ApplicationDetail, ApplicationStatus, InputConfiguration, Tag};
use aws_smithy_types::DateTime;

use super::edits::{Edit, next};
use super::spec::{Spec, Status};
use super::wire;
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{IAM_LIMIT, Look, Wait};
use crate::kind::{Class, KindError, Result, Tags};

/// Limit of each wait: Terraform's (`facts/aws.md` 2.4).
const LIMIT: Duration = Duration::from_mins(5);

/// What AWS says while IAM does not know a role or its policy everywhere (`facts/aws.md` 2.3).
const NOT_YET: [&str; 4] = [
    "Kinesis Analytics service doesn't have sufficient privileges",
    "Kinesis Analytics doesn't have sufficient privileges",
    "does not provide Invoke permissions on the Lambda resource",
    "Please check the role provided or validity of S3 location you provided",
];

/// What a refusal of the whole service may look like (`facts/aws.md` 15.2; AWS publishes no text).
const REFUSALS: [&str; 5] = [
    "UnsupportedOperationException",
    "UnknownOperationException",
    "InvalidRequestException",
    "InvalidAction",
    "AccessDeniedException",
];

const RETIREMENT: &str = "AWS retired Kinesis Data Analytics for SQL: no new applications since 2025-10-15, existing \
                          ones deleted from 2026-01-27 on. Rewrite the query for Managed Service for Apache Flink, \
                          or run the stack on this machine with --local";

/// Reads the application.
pub(super) async fn describe(cx: &Cx) -> Result<ApplicationDetail> {
    let request = cx.aws.analytics().describe_application().application_name(cx.key.handle());
    let answer = request.send().await.map_err(failed("DescribeApplication"))?;
    let application = answer.application_detail.filter(|application| !application.application_arn.is_empty());
    application.ok_or_else(|| KindError::lacking("DescribeApplication", "application"))
}

/// Reads the tags of an application.
pub(super) async fn tags_of(cx: &Cx, arn: &str) -> Result<Tags> {
    let answer = cx.aws.analytics().list_tags_for_resource().resource_arn(arn).send().await;
    let tags = answer.map_err(failed("ListTagsForResource"))?.tags.unwrap_or_default();
    Ok(tags.into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default())).collect())
}

/// Writes tags.
pub(super) fn tags(tags: &Tags) -> Result<Vec<Tag>> {
    tags.iter().map(|(key, value)| wire::built(Tag::builder().key(key).value(value).build())).collect()
}

/// Lists names and ARNs of all applications. The operation has no paginator (`facts/aws.md` 2.1).
pub(super) async fn list(cx: &Cx) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut start = None;
    loop {
        let request = cx.aws.analytics().list_applications().limit(50).set_exclusive_start_application_name(start);
        let page = request.send().await.map_err(failed("ListApplications"))?;
        let last = page.application_summaries.last().map(|one| one.application_name.clone());
        let alive =
            page.application_summaries.into_iter().filter(|one| one.application_status != ApplicationStatus::Deleting);
        all.extend(alive.map(|one| (one.application_name, one.application_arn)));
        if !page.has_more_applications || last.is_none() {
            return Ok(all);
        }
        start = last;
    }
}

/// Creates the application; reference data comes later, there is no place for it in this call.
pub(super) async fn create(cx: &Cx, want: &Spec, with: &Tags) -> Result<()> {
    let inputs = want.inputs.iter().map(wire::input).collect::<Result<Vec<_>>>()?;
    let outputs = want.outputs.iter().map(wire::output).collect::<Result<Vec<_>>>()?;
    let logging = want.cloud_watch_logging_options.iter().map(wire::logging).collect::<Result<Vec<_>>>()?;
    let request = cx
        .aws
        .analytics()
        .create_application()
        .application_name(&cx.key.name)
        .set_application_description(want.application_description.clone())
        .application_code(&want.application_code)
        .set_inputs(Some(inputs).filter(|inputs| !inputs.is_empty()))
        .set_outputs(Some(outputs).filter(|outputs| !outputs.is_empty()))
        .set_cloud_watch_logging_options(Some(logging).filter(|options| !options.is_empty()))
        .set_tags(Some(tags(with)?));
    let call = || async {
        let answer = request.clone().send().await.map_err(failed("CreateApplication"));
        match answer.map(|_| ()).map_err(explain) {
            Err(error) if error.code == "ResourceInUseException" => settle_existing(cx, with, error).await,
            other => other,
        }
    };
    patient().retry(cx, not_yet, call).await
}

fn patient() -> Wait {
    Wait::new("IAM: the application's role is not yet usable by Kinesis Analytics", IAM_LIMIT).for_iam(not_yet)
}

fn not_yet(error: &KindError) -> bool {
    error.code == "InvalidArgumentException" && NOT_YET.iter().any(|text| error.message.contains(text))
}

/// Tells a refusal to create as what it most likely is: the end of the service.
pub(super) fn explain(error: KindError) -> KindError {
    let policy = error.message.contains("is not authorized to perform");
    let closed = ["discontinu", "not allowed for SQL", "no longer"].iter().any(|text| error.message.contains(text));
    match error.class {
        _ if closed || (REFUSALS.contains(&error.code.as_str()) && !policy) => {
            KindError { class: Class::Retired, ..error }.hint(RETIREMENT)
        }
        Class::Quota | Class::Other | Class::Unavailable => {
            error.hint(format!("this may be the end of it: {RETIREMENT}"))
        }
        _ => error,
    }
}

/// After "already exists": a lost answer of our own call is success, anybody else's application is not ours.
async fn settle_existing(cx: &Cx, with: &Tags, error: KindError) -> Result<()> {
    let arn = describe(cx).await?.application_arn;
    let present = tags_of(cx, &arn).await?;
    marks::settle(&present, with, error)
}

/// Waits until the application is neither on its way nor busy: READY or RUNNING.
async fn settled(cx: &Cx, verb: &str) -> Result<ApplicationDetail> {
    wait_for(cx, verb, "READY or RUNNING", |status| {
        matches!(status, ApplicationStatus::Ready | ApplicationStatus::Running)
    })
    .await
}

async fn wait_for(cx: &Cx, verb: &str, state: &str, fits: fn(&ApplicationStatus) -> bool) -> Result<ApplicationDetail> {
    let what = format!("application {} to become {state}", cx.key.handle());
    let look = || async {
        let detail = match describe(cx).await {
            // An application made a moment ago may not be found yet.
            Err(error) if error.is_not_found() && verb == "create" => {
                return Ok(Look::Pending("not visible".to_owned()));
            }
            other => other?,
        };
        let status = detail.application_status.clone();
        Ok(if fits(&status) { Look::Done(detail) } else { Look::Pending(status.as_str().to_owned()) })
    };
    Wait::new(what, cx.limit(verb, LIMIT)).every(Duration::from_secs(10)).until(cx, look).await
}

/// Waits while the application of this name is DELETING; returns at once when there is none or another state.
pub(super) async fn wait_until_gone(cx: &Cx) -> Result<()> {
    let wait = Wait::new(format!("application {} to be gone", cx.key.handle()), cx.limit("delete", LIMIT));
    wait.until(cx, || async {
        match found(describe(cx).await)? {
            Some(detail) if detail.application_status == ApplicationStatus::Deleting => {
                Ok(Look::Pending("DELETING".to_owned()))
            }
            _ => Ok(Look::Done(())),
        }
    })
    .await
}

/// Sends edits until the application is as wanted, each with the version id of a fresh description.
///
/// Somebody else's edit or a state change in between makes a call fail; it is then decided anew from what is there.
pub(super) async fn converge(cx: &Cx, want: &Spec, verb: &str) -> Result<()> {
    let mut last: Option<Edit> = None;
    loop {
        let step = || async {
            let live = settled(cx, verb).await?;
            let Some(edit) = next(want, &live)? else { return Ok(None) };
            send(cx, &edit, live.application_version_id).await?;
            Ok(Some((edit, live.application_version_id)))
        };
        let iam = patient();
        let patience = Wait::new("other edits of the application to be over", cx.limit(verb, LIMIT));
        let Some((edit, version)) =
            patience.retry(cx, |error| error.class == Class::Busy, || iam.retry(cx, not_yet, step)).await?
        else {
            return Ok(());
        };
        if last.as_ref() == Some(&edit) {
            let text = format!("the application took an edit and still differs: {}", edit.operation());
            return Err(KindError::new(Class::Other, text));
        }
        wait_version(cx, verb, version).await?;
        last = Some(edit);
    }
}

/// Waits until a description shows the version after an edit.
async fn wait_version(cx: &Cx, verb: &str, before: i64) -> Result<()> {
    let what = format!("a new version of application {}", cx.key.handle());
    Wait::new(what, cx.limit(verb, LIMIT))
        .until(cx, || async {
            let version = describe(cx).await?.application_version_id;
            Ok(if version > before { Look::Done(()) } else { Look::Pending(format!("version {version}")) })
        })
        .await
}

async fn send(cx: &Cx, edit: &Edit, version: i64) -> Result<()> {
    match edit {
        Edit::Update(update) => {
            let request = cx.aws.analytics().update_application().application_name(cx.key.handle());
            let request = request.current_application_version_id(version).application_update(update.as_ref().clone());
            request.send().await.map(|_| ()).map_err(failed("UpdateApplication"))
        }
        Edit::AddLogging(_)
        | Edit::AddInput(_)
        | Edit::AddProcessing(..)
        | Edit::AddReference(_)
        | Edit::AddOutput(_) => send_addition(cx, edit, version).await,
        _ => send_removal(cx, edit, version).await,
    }
}

async fn send_addition(cx: &Cx, edit: &Edit, version: i64) -> Result<()> {
    let (client, name) = (cx.aws.analytics(), cx.key.handle());
    match edit {
        Edit::AddLogging(option) => {
            let request = client.add_application_cloud_watch_logging_option().application_name(name);
            let request = request.current_application_version_id(version).cloud_watch_logging_option(option.clone());
            request.send().await.map(|_| ()).map_err(failed("AddApplicationCloudWatchLoggingOption"))
        }
        Edit::AddInput(input) => {
            let request = client.add_application_input().application_name(name);
            let request = request.current_application_version_id(version).input(input.as_ref().clone());
            request.send().await.map(|_| ()).map_err(failed("AddApplicationInput"))
        }
        Edit::AddProcessing(id, configuration) => {
            let request = client.add_application_input_processing_configuration().application_name(name).input_id(id);
            let request =
                request.current_application_version_id(version).input_processing_configuration(configuration.clone());
            request.send().await.map(|_| ()).map_err(failed("AddApplicationInputProcessingConfiguration"))
        }
        Edit::AddReference(source) => {
            let request = client.add_application_reference_data_source().application_name(name);
            let request =
                request.current_application_version_id(version).reference_data_source(source.as_ref().clone());
            request.send().await.map(|_| ()).map_err(failed("AddApplicationReferenceDataSource"))
        }
        Edit::AddOutput(output) => {
            let request = client.add_application_output().application_name(name);
            let request = request.current_application_version_id(version).output(output.as_ref().clone());
            request.send().await.map(|_| ()).map_err(failed("AddApplicationOutput"))
        }
        _ => Ok(()),
    }
}

async fn send_removal(cx: &Cx, edit: &Edit, version: i64) -> Result<()> {
    let (client, name) = (cx.aws.analytics(), cx.key.handle());
    match edit {
        Edit::DeleteOutput(id) => {
            let request = client.delete_application_output().application_name(name).output_id(id);
            let request = request.current_application_version_id(version);
            request.send().await.map(|_| ()).map_err(failed("DeleteApplicationOutput"))
        }
        Edit::DeleteProcessing(id) => {
            let request =
                client.delete_application_input_processing_configuration().application_name(name).input_id(id);
            let request = request.current_application_version_id(version);
            request.send().await.map(|_| ()).map_err(failed("DeleteApplicationInputProcessingConfiguration"))
        }
        Edit::DeleteReference(id) => {
            let request = client.delete_application_reference_data_source().application_name(name).reference_id(id);
            let request = request.current_application_version_id(version);
            request.send().await.map(|_| ()).map_err(failed("DeleteApplicationReferenceDataSource"))
        }
        Edit::DeleteLogging(id) => {
            let request = client.delete_application_cloud_watch_logging_option().application_name(name);
            let request = request.current_application_version_id(version).cloud_watch_logging_option_id(id);
            request.send().await.map(|_| ()).map_err(failed("DeleteApplicationCloudWatchLoggingOption"))
        }
        _ => Ok(()),
    }
}

/// Starts or stops the application and waits until it is so.
pub(super) async fn set_status(cx: &Cx, want: &Spec, verb: &str) -> Result<()> {
    let flip = || async {
        let live = settled(cx, verb).await?;
        match (want.status, live.application_status == ApplicationStatus::Running) {
            (Status::Running, false) => start(cx, want, &live).await,
            (Status::Stopped, true) => stop(cx).await,
            _ => Ok(()),
        }
    };
    let iam = patient();
    let patience = Wait::new("other edits of the application to be over", cx.limit(verb, LIMIT));
    patience.retry(cx, |error| error.class == Class::Busy, || iam.retry(cx, not_yet, flip)).await?;
    let reached = match want.status {
        Status::Running => wait_running(cx, verb).await,
        Status::Stopped => wait_for(cx, verb, "READY", |status| *status == ApplicationStatus::Ready).await,
    };
    reached.map(|_| ())
}

/// Waits for RUNNING. An application that falls back from STARTING to READY could not be started, and stays so.
async fn wait_running(cx: &Cx, verb: &str) -> Result<ApplicationDetail> {
    let starting = AtomicBool::new(false);
    let look = || async {
        let detail = describe(cx).await?;
        match &detail.application_status {
            ApplicationStatus::Running => Ok(Look::Done(detail)),
            ApplicationStatus::Ready if starting.load(Ordering::Relaxed) => {
                Err(KindError::new(Class::Other, "the application went back from STARTING to READY")
                    .hint("its log stream says why: give it one with cloud_watch_logging_options"))
            }
            status => {
                starting.fetch_or(*status == ApplicationStatus::Starting, Ordering::Relaxed);
                Ok(Look::Pending(status.as_str().to_owned()))
            }
        }
    };
    let what = format!("application {} to become RUNNING", cx.key.handle());
    Wait::new(what, cx.limit(verb, LIMIT)).every(Duration::from_secs(10)).until(cx, look).await
}

async fn start(cx: &Cx, want: &Spec, live: &ApplicationDetail) -> Result<()> {
    let position = want.inputs.first().and_then(|input| input.starting_position).map(wire::position);
    let configuration = |id: &str| {
        wire::built(
            InputConfiguration::builder().id(id).set_input_starting_position_configuration(position.clone()).build(),
        )
    };
    let ids = live.input_descriptions().iter().filter_map(|input| input.input_id());
    let configurations = ids.map(configuration).collect::<Result<Vec<_>>>()?;
    let request = cx.aws.analytics().start_application().application_name(cx.key.handle());
    let answer = request.set_input_configurations(Some(configurations)).send().await;
    answer.map(|_| ()).map_err(failed("StartApplication"))
}

async fn stop(cx: &Cx) -> Result<()> {
    let request = cx.aws.analytics().stop_application().application_name(cx.key.handle());
    request.send().await.map(|_| ()).map_err(failed("StopApplication"))
}

/// Deletes the application, running or not, and waits until it is gone.
pub(super) async fn delete(cx: &Cx) -> Result<()> {
    let call = || async {
        let Some(detail) = found(describe(cx).await)? else { return Ok(()) };
        if detail.application_status == ApplicationStatus::Deleting {
            return Ok(());
        }
        // The timestamp guards against deleting a successor of the same name; whole seconds are enough.
        let created = detail.create_timestamp.map(|time| DateTime::from_secs(time.secs()));
        let request = cx.aws.analytics().delete_application().application_name(cx.key.handle());
        gone(request.set_create_timestamp(created).send().await.map_err(failed("DeleteApplication")))
    };
    Wait::new("the application to accept its deletion", cx.limit("delete", LIMIT))
        .retry(cx, |error| error.class == Class::Busy, call)
        .await?;
    wait_until_gone(cx).await
}
