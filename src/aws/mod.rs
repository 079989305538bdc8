//! The way to AWS: clients, the context of a verb, errors, waiting and ownership marks.

mod answer;
pub(crate) mod bounds;
pub mod error;
pub mod guard;
pub mod index;
mod layer;
pub mod log;
pub mod marks;
pub mod memo;
mod pace;
pub mod retry;
pub mod wait;

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::sdk_config::StalledStreamProtectionConfig;

use crate::kind::{Key, KindError, Lack, Place, Tags};
use guard::Guard;
use layer::layered;
use log::CallLog;
use memo::Memo;
pub(crate) use pace::urgently;
use pace::{Pace, Paced, Pacer};
use retry::{Quotas, Throttled};

/// Clients of one account and region, made on first use.
pub struct Aws {
    config: SdkConfig,
    /// Where the clients point.
    pub place: Place,
    /// Whether the tagging API of this endpoint knows every resource (AWS and the local cloud: yes; emulators: no).
    pub tag_index_complete: bool,
    guard: Guard,
    pacer: Pacer,
    /// What the user should know of the way there.
    pub remark: Option<String>,
    clients: Clients,
    kept: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

#[derive(Default)]
struct Clients {
    analytics: OnceLock<aws_sdk_kinesisanalytics::Client>,
    cloudtrail: OnceLock<aws_sdk_cloudtrail::Client>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    ec2: OnceLock<aws_sdk_ec2::Client>,
    iam: OnceLock<aws_sdk_iam::Client>,
    kinesis: OnceLock<aws_sdk_kinesis::Client>,
    lambda: OnceLock<aws_sdk_lambda::Client>,
    logs: OnceLock<aws_sdk_cloudwatchlogs::Client>,
    sns: OnceLock<aws_sdk_sns::Client>,
    ssm: OnceLock<aws_sdk_ssm::Client>,
    tagging: OnceLock<aws_sdk_resourcegroupstagging::Client>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Aws").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Aws {
    /// Wraps a configuration whose account is known.
    #[must_use]
    pub fn new(config: SdkConfig, place: Place, tag_index_complete: bool) -> Self {
        Self {
            config,
            place,
            tag_index_complete,
            guard: Guard::default(),
            pacer: Pacer(None),
            remark: None,
            clients: Clients::default(),
            kept: Mutex::default(),
        }
    }

    /// Limits what the clients may call.
    #[must_use]
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// CloudTrail.
    pub fn cloudtrail(&self) -> &aws_sdk_cloudtrail::Client {
        self.clients.cloudtrail.get_or_init(|| {
            let config = aws_sdk_cloudtrail::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone())
                .build();
            aws_sdk_cloudtrail::Client::from_conf(config)
        })
    }

    /// Keeps all calls from here on within the rates that AWS publishes.
    #[must_use]
    pub fn paced(mut self) -> Self {
        let pace = Arc::new(Pace::default());
        let client = layered(self.config.http_client().unwrap_or_else(bounds::client), Paced(pace.clone()));
        // A call that waits for its budget is not stalled; that an answer comes in time is the read time-out's concern.
        let stalls = StalledStreamProtectionConfig::enabled().upload_enabled(false).build();
        self.config = self.config.into_builder().http_client(client).stalled_stream_protection(stalls).build();
        (self.pacer, self.clients) = (Pacer(Some(pace)), Clients::default());
        self
    }

    /// Returns what a kind keeps for all its objects, such as a row in which they wait for one another.
    pub fn kept<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let value = kept.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())).clone();
        // The key is the type, so another one cannot be there.
        value.downcast().unwrap_or_default()
    }

    /// Adds what the user should know of the way there.
    #[must_use]
    pub fn with_remark(mut self, remark: Option<String>) -> Self {
        self.remark = remark;
        self
    }

    /// Returns the limits of a call that carries a file: the answer may take ten times as long as others.
    #[must_use]
    pub fn upload_limits(&self) -> TimeoutConfig {
        let usual = self.config.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled);
        match usual.read_timeout() {
            Some(limit) => usual.to_builder().read_timeout(limit * 10).build(),
            None => usual,
        }
    }

    /// Kinesis Data Analytics for SQL (API 2015-08-14).
    pub fn analytics(&self) -> &aws_sdk_kinesisanalytics::Client {
        self.clients.analytics.get_or_init(|| {
            let config = aws_sdk_kinesisanalytics::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone());
            aws_sdk_kinesisanalytics::Client::from_conf(config.retry_classifier(Quotas).build())
        })
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.clients.dynamodb.get_or_init(|| {
            let config = aws_sdk_dynamodb::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone());
            aws_sdk_dynamodb::Client::from_conf(config.retry_classifier(Quotas).build())
        })
    }

    /// EC2.
    pub fn ec2(&self) -> &aws_sdk_ec2::Client {
        self.clients.ec2.get_or_init(|| {
            let config = aws_sdk_ec2::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone())
                .build();
            aws_sdk_ec2::Client::from_conf(config)
        })
    }

    /// IAM.
    pub fn iam(&self) -> &aws_sdk_iam::Client {
        self.clients.iam.get_or_init(|| {
            let config = aws_sdk_iam::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone())
                .build();
            aws_sdk_iam::Client::from_conf(config)
        })
    }

    /// Kinesis Data Streams.
    pub fn kinesis(&self) -> &aws_sdk_kinesis::Client {
        self.clients.kinesis.get_or_init(|| {
            let config = aws_sdk_kinesis::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone());
            aws_sdk_kinesis::Client::from_conf(config.retry_classifier(Quotas).build())
        })
    }

    /// Lambda.
    pub fn lambda(&self) -> &aws_sdk_lambda::Client {
        self.clients.lambda.get_or_init(|| {
            let config = aws_sdk_lambda::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone())
                .build();
            aws_sdk_lambda::Client::from_conf(config)
        })
    }

    /// CloudWatch Logs.
    pub fn logs(&self) -> &aws_sdk_cloudwatchlogs::Client {
        self.clients.logs.get_or_init(|| {
            let config = aws_sdk_cloudwatchlogs::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone());
            aws_sdk_cloudwatchlogs::Client::from_conf(config.retry_classifier(Quotas).build())
        })
    }

    /// SNS.
    pub fn sns(&self) -> &aws_sdk_sns::Client {
        self.clients.sns.get_or_init(|| {
            let config = aws_sdk_sns::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone());
            aws_sdk_sns::Client::from_conf(config.retry_classifier(Throttled).build())
        })
    }

    /// Systems Manager.
    pub fn ssm(&self) -> &aws_sdk_ssm::Client {
        self.clients.ssm.get_or_init(|| {
            let config = aws_sdk_ssm::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone())
                .build();
            aws_sdk_ssm::Client::from_conf(config)
        })
    }

    /// Resource Groups Tagging API.
    pub fn tagging(&self) -> &aws_sdk_resourcegroupstagging::Client {
        self.clients.tagging.get_or_init(|| {
            let config = aws_sdk_resourcegroupstagging::config::Builder::from(&self.config)
                .interceptor(CallLog)
                .interceptor(self.guard.clone())
                .interceptor(self.pacer.clone())
                .build();
            aws_sdk_resourcegroupstagging::Client::from_conf(config)
        })
    }
}

/// Takes the notes that a verb makes while it waits, such as `waiting for ACTIVE, 4 s`.
pub type Notes = Arc<dyn Fn(&str) + Send + Sync>;

/// The surroundings of one verb call.
#[derive(Clone)]
pub struct Cx {
    /// Clients.
    pub aws: Arc<Aws>,
    /// The object that the verb is about.
    pub key: Key,
    notes: Notes,
    timeouts: BTreeMap<String, Duration>,
    /// The stack file's limit for the verb that runs.
    most: Option<Duration>,
    memo: Option<Arc<Memo>>,
    expected: Option<Tags>,
    lacks: Arc<[Lack]>,
}

impl fmt::Debug for Cx {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cx").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Cx {
    /// Makes a context whose notes nobody reads.
    #[must_use]
    pub fn new(aws: Arc<Aws>, key: Key) -> Self {
        Self {
            aws,
            key,
            notes: Arc::new(|_| {}),
            timeouts: BTreeMap::new(),
            most: None,
            memo: None,
            expected: None,
            lacks: Arc::default(),
        }
    }

    /// Says what AWS will ask for and the stack's own policies cannot allow.
    #[must_use]
    pub fn lacking(mut self, lacks: &Arc<[Lack]>) -> Self {
        self.lacks = lacks.clone();
        self
    }

    /// Returns what AWS will ask for and the stack's own policies cannot allow.
    #[must_use]
    pub fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    /// Shares listings with everything else that looks at the same time.
    #[must_use]
    pub fn with_memo(mut self, memo: &Arc<Memo>) -> Self {
        self.memo = Some(memo.clone());
        self
    }

    /// Says which tags the object should have.
    #[must_use]
    pub fn expecting(mut self, tags: Option<Tags>) -> Self {
        self.expected = tags;
        self
    }

    /// Returns the tags that the object should have, where that is known.
    #[must_use]
    pub fn expected(&self) -> Option<&Tags> {
        self.expected.as_ref()
    }

    /// Tells whether others look at the same time, so that a listing serves all of them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.memo.is_some()
    }

    /// Reads something, once for all that look at the same time.
    ///
    /// # Errors
    /// Returns the error of reading.
    pub async fn once<T: Send + Sync + 'static>(
        &self,
        what: &str,
        read: impl Future<Output = Result<T, KindError>>,
    ) -> Result<Arc<T>, KindError> {
        match &self.memo {
            Some(memo) => memo.once(what, read).await,
            None => read.await.map(Arc::new),
        }
    }

    /// Sends the verb's notes somewhere.
    #[must_use]
    pub fn with_notes(mut self, notes: Notes) -> Self {
        self.notes = notes;
        self
    }

    /// Sets the time limits of the stack file, and which verb runs.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: &BTreeMap<String, Duration>, verb: &str) -> Self {
        self.timeouts.clone_from(timeouts);
        self.most = timeouts.get(verb).copied();
        self
    }

    /// Returns a wait's limit: its own, unless the stack file allows the verb that runs less.
    #[must_use]
    fn at_most(&self, limit: Duration) -> Duration {
        self.most.map_or(limit, |most| most.min(limit))
    }

    /// Says what the verb is waiting for.
    pub fn note(&self, text: &str) {
        (self.notes)(text);
    }

    /// Returns the time limit of a verb: the stack file's, else the kind's.
    #[must_use]
    pub fn limit(&self, verb: &str, default: Duration) -> Duration {
        self.timeouts.get(verb).copied().unwrap_or(default)
    }

    /// Where the object lives.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.aws.place
    }
}
