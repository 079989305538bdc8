//! Finds the service and operation of an HTTP request and decodes its parameters.
//!
//! The order is `X-Amz-Target`, then the credential scope of the signature, then what unsigned requests show by
//! their form; the host never matters. Signatures are not verified: the access key names the account, and only the
//! temporary ones of roles are looked at further, by `sts`.

use axum::body::Bytes;
use http::Method;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::registry::{Entry, SERVICES, Wire};
use super::sts::key;
use super::{Call, DEFAULT_ACCOUNT, DEFAULT_REGION, Fault, Input, Params};

/// How the answer must be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON of this content type.
    Json(&'static str),
    /// Smithy RPC v2 with CBOR bodies, which newer SDKs use for the tagging API.
    Cbor,
    /// XML in this namespace, for this operation.
    Query { operation: String, namespace: &'static str },
    /// EC2's XML for this operation.
    Ec2 { operation: String },
    /// REST-JSON.
    Rest,
}

/// A request that found its service.
pub(crate) struct Route {
    pub(crate) entry: &'static Entry,
    pub(crate) form: Form,
}

/// Who calls, by the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) region: String,
    service: Option<String>,
    /// The access key of temporary credentials.
    pub(crate) temporary: Option<Temporary>,
}

/// Temporary credentials as a request shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Temporary {
    pub(crate) key: String,
    pub(crate) token: Option<String>,
}

impl Caller {
    /// Reads the credential scope of the `Authorization` header or of a presigned URL.
    pub(crate) fn read(parts: &Parts) -> Result<Self, Fault> {
        let query = parts.uri.query().unwrap_or_default();
        let presigned = |wanted: &str| {
            let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.into_owned())
        };
        let signed = header(parts, "authorization").and_then(|text| {
            text.split([' ', ',']).find_map(|word| word.strip_prefix("Credential=").map(str::to_owned))
        });
        let scope = signed.or_else(|| presigned("X-Amz-Credential")).unwrap_or_default();
        let mut caller = Self::from_scope(&scope)?;
        if let Some(temporary) = &mut caller.temporary {
            let token = header(parts, "x-amz-security-token").map(str::to_owned);
            temporary.token = token.or_else(|| presigned("X-Amz-Security-Token"));
        }
        Ok(caller)
    }

    fn from_scope(scope: &str) -> Result<Self, Fault> {
        let mut words = scope.split('/');
        let key = words.next().unwrap_or_default();
        let (region, service) = match (words.nth(1), words.next()) {
            (Some(region), Some(service)) => (region, Some(service.to_owned())),
            _ => (DEFAULT_REGION, None),
        };
        // The region becomes part of a file name.
        if region.is_empty() || region.len() > 32 || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Fault::new("IncompleteSignature", "the credential scope names no region"));
        }
        let temporary = key::is_temporary(key).then(|| Temporary { key: key.to_owned(), token: None });
        let account = if is_account(key) { Some(key.to_owned()) } else { key::account(key) };
        let account = account.unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
        Ok(Self { account, region: region.to_owned(), service, temporary })
    }
}

fn is_account(key: &str) -> bool {
    key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit())
}

/// Finds the service of a request and the form of its answer.
pub(crate) fn find(parts: &Parts, caller: &Caller, body: &Bytes) -> Result<Route, Fault> {
    if let Some((prefix, _)) = target(parts) {
        let form = if is_cbor(parts) { Form::Cbor } else { Form::Json(json_type(parts)) };
        let entry = SERVICES.iter().find(|entry| !prefix.is_empty() && entry.target == prefix);
        return entry.map(|entry| Route { entry, form }).ok_or_else(|| unknown_target(&prefix));
    }
    let signed = caller.service.as_deref();
    let entry = SERVICES.iter().find(|entry| match signed {
        Some(name) => entry.signing == name,
        None => matches_unsigned(entry, parts, body),
    });
    let entry = entry.ok_or_else(|| unknown_service(signed))?;
    let operation = || form_fields(parts, body).get("Action").unwrap_or_default().to_owned();
    let form = match entry.wire {
        Wire::Json => Form::Json(json_type(parts)),
        Wire::Query(namespace) => Form::Query { operation: operation(), namespace },
        Wire::Ec2 => Form::Ec2 { operation: operation() },
        Wire::Rest => Form::Rest,
    };
    Ok(Route { entry, form })
}

fn matches_unsigned(entry: &Entry, parts: &Parts, body: &Bytes) -> bool {
    match entry.wire {
        Wire::Json => false,
        Wire::Rest => parts.uri.path().strip_prefix('/').is_some_and(|path| path.starts_with(entry.version)),
        Wire::Query(_) | Wire::Ec2 => form_fields(parts, body).get("Version") == Some(entry.version),
    }
}

fn unknown_target(prefix: &str) -> Fault {
    Fault::new("UnknownOperationException", format!("the local cloud has no service with target {prefix}"))
}

fn unknown_service(signed: Option<&str>) -> Fault {
    match signed {
        Some(name) => Fault::new("UnknownOperationException", format!("the local cloud has no service {name}")),
        None => Fault::with_status(403, "MissingAuthenticationToken", "the request names no service: sign it"),
    }
}

/// Decodes the parameters of a request whose service is known.
pub(crate) fn decode(parts: &Parts, body: &Bytes, route: &Route, caller: Caller) -> Result<Call, Fault> {
    let (operation, input) = match &route.form {
        Form::Json(_) => (target_operation(parts)?, Input::Json(object(body)?)),
        Form::Cbor => (target_operation(parts)?, Input::Json(super::envelope::from_cbor(body)?)),
        Form::Query { operation, .. } | Form::Ec2 { operation } => {
            (action(operation)?, Input::Query(query(parts, body)?))
        }
        Form::Rest => (parts.method.as_str().to_owned(), rest(parts, body)?),
    };
    Ok(Call {
        operation,
        account: caller.account,
        region: caller.region,
        now: jiff::Timestamp::now().as_millisecond(),
        delay: 0,
        lag: 0,
        retired: false,
        input,
        role: None,
        session: None,
        endpoint: endpoint(parts),
    })
}

/// Returns target prefix and operation, from `X-Amz-Target` or a Smithy RPC path.
fn target(parts: &Parts) -> Option<(String, String)> {
    if let Some(target) = header(parts, "x-amz-target") {
        let (prefix, operation) = target.rsplit_once('.').unwrap_or((target, ""));
        // Some SDKs write CloudTrail's prefix with a package before it.
        let prefix = prefix.rsplit('.').next().unwrap_or(prefix);
        return Some((prefix.to_owned(), operation.to_owned()));
    }
    let (service, operation) = parts.uri.path().strip_prefix("/service/")?.split_once("/operation/")?;
    Some((service.to_owned(), operation.to_owned()))
}

fn target_operation(parts: &Parts) -> Result<String, Fault> {
    target(parts)
        .map(|(_, operation)| operation)
        .filter(|operation| !operation.is_empty())
        .ok_or_else(|| Fault::new("UnknownOperationException", "the request has no X-Amz-Target"))
}

fn action(operation: &str) -> Result<String, Fault> {
    match operation {
        "" => Err(Fault::new("MissingAction", "the request has no Action")),
        _ => Ok(operation.to_owned()),
    }
}

fn object(body: &Bytes) -> Result<Value, Fault> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Fault::new("SerializationException", "the body is not a JSON object")),
        Err(cause) => Err(Fault::new("SerializationException", format!("the body is not JSON: {cause}"))),
    }
}

fn query(parts: &Parts, body: &Bytes) -> Result<Params, Fault> {
    let raw = if parts.method == Method::GET { parts.uri.query().unwrap_or_default().as_bytes() } else { body };
    if !well_formed(raw) {
        return Err(Fault::new("MalformedQueryString", "the parameters are not percent-encoded UTF-8"));
    }
    Ok(Params::parse(raw))
}

fn form_fields(parts: &Parts, body: &Bytes) -> Params {
    if parts.method == Method::GET {
        Params::parse(parts.uri.query().unwrap_or_default().as_bytes())
    } else {
        Params::parse(body)
    }
}

fn rest(parts: &Parts, body: &Bytes) -> Result<Input, Fault> {
    let bad = |what: &str| Fault::new("InvalidRequestContentException", format!("the {what} cannot be read"));
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    if !well_formed(path.as_bytes()) || !well_formed(query.as_bytes()) {
        return Err(bad("path"));
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments = segments.map(|segment| percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned));
    let mut fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    fields.extend(parameter_headers(parts));
    let parse = |body: &Bytes| serde_json::from_slice(body).map_err(|_| bad("request body as JSON"));
    let body = if body.is_empty() { Value::Null } else { parse(body)? };
    Ok(Input::Rest { segments: segments.collect::<Result<_, _>>().map_err(|_| bad("path"))?, query: fields, body })
}

fn parameter_headers(parts: &Parts) -> impl Iterator<Item = (String, String)> + '_ {
    let names = ["x-amz-invocation-type", "x-amz-log-type", "x-amz-client-context"];
    names.into_iter().filter_map(|name| Some((name.to_owned(), header(parts, name)?.to_owned())))
}

/// Tells whether every `%` starts an escape and the decoded text is UTF-8.
fn well_formed(raw: &[u8]) -> bool {
    let escapes = raw.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let hex = |at: usize| raw.get(at).is_some_and(u8::is_ascii_hexdigit);
    escapes.into_iter().all(|(at, _)| hex(at + 1) && hex(at + 2))
        && percent_encoding::percent_decode(raw).decode_utf8().is_ok()
}

fn is_cbor(parts: &Parts) -> bool {
    header(parts, "smithy-protocol") == Some("rpc-v2-cbor")
}

fn json_type(parts: &Parts) -> &'static str {
    match header(parts, "content-type") {
        Some(text) if text.starts_with("application/x-amz-json-1.0") => "application/x-amz-json-1.0",
        _ => "application/x-amz-json-1.1",
    }
}

fn endpoint(parts: &Parts) -> String {
    let authority = header(parts, "host").or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
    format!("http://{}", authority.unwrap_or("127.0.0.1"))
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}
