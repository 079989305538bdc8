//! What can go wrong when AWS is asked something, as one type.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};

use super::answer;
use super::bounds::unfit;

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
    /// AWS failed on it, or what came back was no answer of AWS. Whether the call took effect is not known.
    Unavailable,
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

    /// Makes an error about a good answer without the thing that was asked for. It does not say that there is none: that
    /// is an error of its own.
    #[must_use]
    pub fn lacking(operation: &str, what: &str) -> Self {
        let class = Class::Unavailable;
        Self {
            operation: operation.to_owned(),
            hint: advice(class).map(str::to_owned),
            ..Self::new(class, format!("the answer has no {what}"))
        }
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
    let message = match (meta.and_then(ErrorMetadata::message), status) {
        (_, Some(status)) if is_page(error) => format!("a web page came instead of AWS's answer (HTTP {status})"),
        (Some(message), _) => message.to_owned(),
        (None, Some(status)) => format!("the answer cannot be read (HTTP {status}): {}", causes(error)),
        (None, None) => unfit(error).map_or_else(|| causes(error), ToString::to_string),
    };
    let request_id = error
        .raw_response()
        .and_then(|response| {
            ["x-amzn-requestid", "x-amz-request-id"].iter().find_map(|name| response.headers().get(*name))
        })
        .map(str::to_owned);
    let class = classify(&code, &message, status, error);
    let hint = if is_without_credentials(&message) { Some(NO_CREDENTIALS) } else { advice(class) };
    KindError { class, operation: operation.to_owned(), hint: hint.map(str::to_owned), code, message, request_id }
}

/// What to do when the SDK's chain of providers ends without credentials.
const NO_CREDENTIALS: &str = "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --local for the local cloud";

/// What to do next, whatever the call was about.
fn advice(class: Class) -> Option<&'static str> {
    Some(match class {
        Class::Denied => "check which credentials are in use (AWS_PROFILE, AWS_ACCESS_KEY_ID) and what they may do",
        Class::Unreachable => {
            "check the network, the region and --endpoint-url, then run the same command again: it finds what is there"
        }
        Class::Unavailable => {
            "the call may have taken effect or not: run the same command again, it finds what is there"
        }
        Class::Throttled => "wait a little and run the same command again, or lower --parallelism",
        Class::Quota => "remove what is not needed or ask AWS for a higher quota, then run the same command again",
        _ => return None,
    })
}

fn is_page<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error.raw_response().is_some_and(answer::is_page)
}

fn is_without_credentials(message: &str) -> bool {
    ["loading credentials", "no providers in chain provided credentials", "no credentials found in chain"]
        .iter()
        .any(|text| message.contains(text))
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
    "ProvisionedThroughputExceededException",
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

/// Codes of used-up quotas besides those that end in `LimitExceeded`.
const QUOTAS: &[&str] = &[
    "CodeStorageExceededException",
    "MaxSpotInstanceCountExceeded",
    "HierarchyLevelLimitExceededException",
    "ParameterMaxVersionLimitExceeded",
];

fn classify<E>(code: &str, message: &str, status: Option<u16>, error: &SdkError<E, HttpResponse>) -> Class
where
    E: std::error::Error + 'static,
{
    let any = |codes: &[&str]| codes.contains(&code);
    match error {
        _ if is_without_credentials(message) => Class::Denied,
        _ if unfit(error).is_some() => Class::Unavailable,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Class::Unreachable,
        SdkError::ResponseError(_) => Class::Unavailable,
        _ if is_page(error) => Class::Unavailable,
        _ if any(GONE) => Class::NotFound,
        _ if any(EXISTS) => Class::Exists,
        _ if any(THROTTLED) => Class::Throttled,
        _ if any(DENIED) => Class::Denied,
        _ if any(BUSY) => Class::Busy,
        _ if code == "UnsupportedOperationException" && message.contains("SQL") => Class::Retired,
        _ if code.starts_with("LimitExceeded") && message.contains("Rate exceeded") => Class::Throttled,
        _ if code.starts_with("LimitExceeded") || any(QUOTAS) || code.ends_with("LimitExceeded") => Class::Quota,
        _ if status.is_some_and(|status| status >= 500) => Class::Unavailable,
        _ if status == Some(404) && code.is_empty() => Class::NotFound,
        _ if status.is_some_and(|status| (400..500).contains(&status)) => Class::Invalid,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;

    type Failed = SdkError<Refusal, HttpResponse>;

    #[derive(Debug)]
    struct Refusal(ErrorMetadata);

    impl fmt::Display for Refusal {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "refused")
        }
    }

    impl std::error::Error for Refusal {}

    impl ProvideErrorMetadata for Refusal {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn response(status: u16, kind: &'static str, body: &'static str) -> HttpResponse {
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        response.headers_mut().insert("content-type", kind);
        response
    }

    fn refused(status: u16, code: &str, message: &str) -> KindError {
        let meta = ErrorMetadata::builder().code(code).message(message).build();
        convert("Create", &Failed::service_error(Refusal(meta), response(status, "text/xml", "")))
    }

    #[test]
    fn quotas_rates_and_failures_of_the_service_are_told_apart() {
        for (status, code, message, class) in [
            (400, "LimitExceededException", "Rate exceeded for stream s under account 1.", Class::Throttled),
            (400, "LimitExceededException", "This request would exceed the shard limit", Class::Quota),
            (503, "RequestLimitExceeded", "Request limit exceeded.", Class::Throttled),
            (400, "VcpuLimitExceeded", "You have requested more vCPU capacity", Class::Quota),
            (403, "TopicLimitExceeded", "", Class::Quota),
            (400, "CodeStorageExceededException", "", Class::Quota),
            (500, "ServiceFailure", "", Class::Unavailable),
            (503, "Unavailable", "", Class::Unavailable),
            (400, "ValidationException", "", Class::Invalid),
            (418, "", "", Class::Invalid),
        ] {
            let error = refused(status, code, message);
            assert_eq!(error.class, class, "{code}");
            assert_eq!(error.hint.is_some(), class != Class::Invalid, "{code}");
        }
    }

    #[test]
    fn what_is_no_answer_of_aws_is_never_called_invalid() {
        let page = convert(
            "Create",
            &Failed::service_error(Refusal(ErrorMetadata::default()), response(403, "text/html", "<html>")),
        );
        assert_eq!(page.class, Class::Unavailable);
        assert_eq!(page.to_string(), "Create: a web page came instead of AWS's answer (HTTP 403)");
        let cut =
            convert("Create", &Failed::response_error("expected an object", response(200, "application/json", "")));
        assert_eq!(cut.class, Class::Unavailable);
        assert!(cut.message.starts_with("the answer cannot be read (HTTP 200)") && cut.message.contains("expected"));
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let lost = convert("Create", &Failed::dispatch_failure(ConnectorError::io(reset.into())));
        assert_eq!((lost.class, lost.hint.is_some()), (Class::Unreachable, true));
    }
}
