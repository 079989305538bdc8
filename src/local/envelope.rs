//! Writes answers and faults in the form that the caller's protocol wants.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ciborium::Value as Cbor;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::router::Form;
use super::{Answer, Fault, Outcome, Xml};

const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const XML_TYPE: &str = "text/xml;charset=UTF-8";

/// Writes the response to one call.
pub(crate) fn respond(form: &Form, outcome: Outcome) -> Response<Bytes> {
    let request = uuid::Uuid::new_v4().to_string();
    let response = match outcome {
        Ok(answer) => success(form, answer, &request),
        Err(fault) => failure(form, &fault, &request),
    };
    // A function's invocation has its identifier already: the function knows it.
    if response.headers().contains_key("x-amzn-requestid") {
        return response;
    }
    with_header(response, "x-amzn-requestid", &request)
}

fn success(form: &Form, answer: Answer, request: &str) -> Response<Bytes> {
    match answer {
        Answer::Xml(inside) => raw(200, XML_TYPE, xml_success(form, inside, request).into_bytes()),
        Answer::Json(status, body) => structured(form, status, &body),
        Answer::Headed(status, headers, body) => {
            let response = match form {
                Form::Rest if status == 200 => raw(status, "application/json", body.to_string().into_bytes()),
                _ => structured(form, status, &body),
            };
            headers.into_iter().fold(response, |response, (name, value)| with_header(response, name, &value))
        }
    }
}

fn xml_success(form: &Form, inside: Xml, request: &str) -> String {
    match form {
        Form::Query { operation, namespace } => {
            let metadata = Xml::new().text("RequestId", request);
            let body = Xml::new().node(&format!("{operation}Result"), inside).node("ResponseMetadata", metadata);
            document(&format!("{operation}Response"), Some(namespace), body)
        }
        Form::Ec2 { operation } => {
            let body = Xml::new().text("requestId", request).and(inside);
            document(&format!("{operation}Response"), Some(EC2_NAMESPACE), body)
        }
        Form::Json(_) | Form::Cbor | Form::Rest => inside.into_text(),
    }
}

fn document(name: &str, namespace: Option<&str>, inside: Xml) -> String {
    let attribute = namespace.map(|text| format!(" xmlns=\"{text}\"")).unwrap_or_default();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name}{attribute}>{}</{name}>", inside.into_text())
}

fn failure(form: &Form, fault: &Fault, request: &str) -> Response<Bytes> {
    let body = match form {
        Form::Query { namespace, .. } => {
            return raw(fault.status, XML_TYPE, query_failure(fault, namespace, request).into_bytes());
        }
        Form::Ec2 { .. } => return raw(fault.status, XML_TYPE, ec2_failure(fault, request).into_bytes()),
        // Lambda's shapes spell the text both ways.
        Form::Rest => json!({"Type": kind(fault, "User"), "message": fault.message, "Message": fault.message}),
        Form::Json(_) | Form::Cbor => json!({"__type": fault.code, "message": fault.message}),
    };
    with_header(structured(form, fault.status, &body), "x-amzn-errortype", &fault.code)
}

fn kind(fault: &Fault, client: &'static str) -> &'static str {
    match (fault.status, client) {
        (500.., "User") => "Service",
        (500.., _) => "Receiver",
        _ => client,
    }
}

fn query_failure(fault: &Fault, namespace: &str, request: &str) -> String {
    let error =
        Xml::new().text("Type", kind(fault, "Sender")).text("Code", &fault.code).text("Message", &fault.message);
    document("ErrorResponse", Some(namespace), Xml::new().node("Error", error).text("RequestId", request))
}

fn ec2_failure(fault: &Fault, request: &str) -> String {
    let error = Xml::new().text("Code", &fault.code).text("Message", &fault.message);
    let errors = Xml::new().node("Error", error);
    document("Response", None, Xml::new().node("Errors", errors).text("RequestID", request))
}

fn structured(form: &Form, status: u16, body: &Value) -> Response<Bytes> {
    match form {
        Form::Cbor => with_header(raw(status, "application/cbor", to_cbor(body)), "smithy-protocol", "rpc-v2-cbor"),
        Form::Json(content_type) => raw(status, content_type, json_text(body)),
        _ => raw(status, "application/json", json_text(body)),
    }
}

fn json_text(body: &Value) -> Vec<u8> {
    if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }
}

/// Makes a response of a status, content type and body.
pub(crate) fn raw(status: u16, content_type: &str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_header(response, "content-type", content_type)
}

fn with_header(mut response: Response<Bytes>, name: &'static str, value: &str) -> Response<Bytes> {
    // A text that no header can hold (a line break in an error code) is left out rather than sent broken.
    if let Ok(value) = http::HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Reads a CBOR body as the JSON it stands for.
pub(crate) fn from_cbor(body: &Bytes) -> Result<Value, Fault> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let broken = |_| Fault::new("SerializationException", "the body is not CBOR");
    // The depth limit keeps hostile nesting off the stack.
    let value: Cbor = ciborium::de::from_reader_with_recursion_limit(body.as_ref(), 64).map_err(broken)?;
    match json_of(value) {
        value @ Value::Object(_) => Ok(value),
        _ => Err(Fault::new("SerializationException", "the body is not a CBOR map")),
    }
}

fn json_of(value: Cbor) -> Value {
    match value {
        Cbor::Bool(value) => Value::Bool(value),
        Cbor::Integer(value) => i64::try_from(value).map_or(Value::Null, Value::from),
        Cbor::Float(value) => Value::from(value),
        Cbor::Text(value) => Value::String(value),
        Cbor::Bytes(value) => Value::String(STANDARD.encode(value)),
        Cbor::Tag(_, value) => json_of(*value),
        Cbor::Array(values) => values.into_iter().map(json_of).collect(),
        Cbor::Map(entries) => {
            let named = entries.into_iter().filter_map(|(key, value)| Some((key.into_text().ok()?, json_of(value))));
            Value::Object(named.collect())
        }
        _ => Value::Null,
    }
}

fn to_cbor(body: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match ciborium::ser::into_writer(body, &mut out) {
        Ok(()) => out,
        // Writing to memory fails only for values that JSON cannot hold; an empty map is the honest rest.
        Err(_) => vec![0xA0],
    }
}
