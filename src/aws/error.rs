//! What can go wrong when AWS is asked something, as one type.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};

/// What kind of failure it is; decides about retries and advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The object is not there.
    NotFound,
    /// It exists already, or is somebody else's.
    Exists,
    /// It is busy: try again later.
    Busy,
    /// The caller may not do this.
    Denied,
    /// Too many calls.
    Throttled,
    /// A quota of the account is used up.
    Quota,
    /// AWS does not accept the values.
    Invalid,
    /// AWS has retired what was asked for.
    Retired,
    /// It took longer than allowed.
    Timeout,
    /// The endpoint could not be reached.
    Unreachable,
    /// Anything else.
    Other,
}

/// A failed AWS call, or a verb that could not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindError {
    /// What kind of failure it is.
    pub class: Class,
    /// AWS operation, such as `CreateStream`; empty when no call was made.
    pub operation: String,
    /// AWS error code.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// AWS request id, when there is one.
    pub request_id: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl std::error::Error for KindError {}

impl fmt::Display for KindError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.operation.is_empty() {
            write!(out, "{}: ", self.operation)?;
        }
        if !self.code.is_empty() {
            write!(out, "{}: ", self.code)?;
        }
        out.write_str(&self.message)?;
        match &self.request_id {
            Some(id) => write!(out, " (request id {id})"),
            None => Ok(()),
        }
    }
}

impl KindError {
    /// Makes an error of a class, without an AWS call behind it.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            operation: String::new(),
            code: String::new(),
            message: message.into(),
            request_id: None,
            hint: None,
        }
    }

    /// Makes an error about values.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Class::Invalid, message)
    }

    /// Makes an error about something that is missing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::NotFound, message)
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.class == Class::NotFound
    }

    /// Tells whether code and message are as given; the message by a fragment.
    #[must_use]
    pub fn says(&self, code: &str, fragment: &str) -> bool {
        self.code == code && self.message.contains(fragment)
    }
}

/// Returns the conversion of an SDK error of one operation, for `map_err`.
pub fn failed<E>(operation: &'static str) -> impl Fn(SdkError<E, HttpResponse>) -> KindError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    move |error| convert(operation, &error)
}

/// Turns a not-found error into `None`.
///
/// # Errors
/// Passes every other error on.
pub fn found<T>(result: Result<T, KindError>) -> Result<Option<T>, KindError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Turns a not-found error into success, for deletions.
///
/// # Errors
/// Passes every other error on.
pub fn gone<T>(result: Result<T, KindError>) -> Result<(), KindError> {
    found(result).map(|_| ())
}

fn convert<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> KindError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let meta: Option<&ErrorMetadata> = error.as_service_error().map(ProvideErrorMetadata::meta);
    let code = meta.and_then(ErrorMetadata::code).unwrap_or_default().to_owned();
    let status = error.raw_response().map(|response| response.status().as_u16());
    let message = match meta.and_then(ErrorMetadata::message) {
        Some(message) => message.to_owned(),
        None => causes(error),
    };
    let request_id = error
        .raw_response()
        .and_then(|response| {
            ["x-amzn-requestid", "x-amz-request-id"].iter().find_map(|name| response.headers().get(*name))
        })
        .map(str::to_owned);
    KindError {
        class: classify(&code, &message, status, error),
        operation: operation.to_owned(),
        hint: is_without_credentials(&message).then(|| NO_CREDENTIALS.to_owned()),
        code,
        message,
        request_id,
    }
}

/// What to do when the SDK's chain of providers ends without credentials.
const NO_CREDENTIALS: &str = "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --local for the local cloud";

fn is_without_credentials(message: &str) -> bool {
    message.contains("loading credentials") || message.contains("no providers in chain provided credentials")
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.join(": ")
}

/// Codes for "it is not there" (`facts/aws.md` 18.3).
const GONE: &[&str] = &[
    "ResourceNotFoundException",
    "TableNotFoundException",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "InvalidGroup.NotFound",
    "InvalidInstanceID.NotFound",
    "InvalidSpotInstanceRequestID.NotFound",
    "ParameterNotFound",
];

/// Codes for "it exists already" (`facts/aws.md` 18.4).
const EXISTS: &[&str] = &[
    "EntityAlreadyExists",
    "ResourceConflictException",
    "InvalidGroup.Duplicate",
    "InvalidPermission.Duplicate",
    "ResourceAlreadyExistsException",
    "ParameterAlreadyExists",
];

const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "Throttled",
    "TooManyRequestsException",
    "RequestLimitExceeded",
];

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "ExpiredToken",
    "ExpiredTokenException",
    "SignatureDoesNotMatch",
];

const BUSY: &[&str] = &[
    "ResourceInUseException",
    "ConcurrentModificationException",
    "ConcurrentModification",
    "DependencyViolation",
    "DeleteConflict",
    "OperationAbortedException",
    "IncorrectInstanceState",
];

fn classify<E>(code: &str, message: &str, status: Option<u16>, error: &SdkError<E, HttpResponse>) -> Class {
    let any = |codes: &[&str]| codes.contains(&code);
    match error {
        _ if is_without_credentials(message) => Class::Denied,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Class::Unreachable,
        _ if any(GONE) => Class::NotFound,
        _ if any(EXISTS) => Class::Exists,
        _ if any(THROTTLED) => Class::Throttled,
        _ if any(DENIED) => Class::Denied,
        _ if any(BUSY) => Class::Busy,
        _ if code == "UnsupportedOperationException" && message.contains("SQL") => Class::Retired,
        _ if code.starts_with("LimitExceeded") && message.contains("Rate exceeded") => Class::Throttled,
        _ if code.starts_with("LimitExceeded") => Class::Quota,
        _ if status == Some(404) && code.is_empty() => Class::NotFound,
        _ if status.is_some_and(|status| (400..500).contains(&status)) => Class::Invalid,
        _ => Class::Other,
    }
}
