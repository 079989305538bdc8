//! Tells AWS's answers from what only looks like them: pages of proxies, and bodies that end in the middle.
//!
//! The SDK takes such a thing for success where an operation's answer has nothing in it, and for final where it has. As
//! an answer that did not arrive it is one to try again for, and the kinds take a call that is made twice. Of XML, the
//! SDK reads what is there and does not miss the rest, so half an ARN would do; and a question that got nothing for an
//! answer would be one to which there is nothing. A refusal that breaks off does not say what is refused.

use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextMut;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use serde::de::IgnoredAny;

/// What came instead of an answer.
const PAGE: &str = "a web page";
const BROKEN: &str = "its body is broken off or of another form";

/// Starts of the names of operations that ask for something. Other answers may well have nothing in them.
const QUESTIONS: [&str; 5] = ["Get", "List", "Describe", "Lookup", "Simulate"];

/// Takes an answer to an operation that is none for one that did not arrive.
pub(super) fn judge(context: &mut FinalizerInterceptorContextMut<'_>, operation: &str) {
    let Some(response) = context.response() else { return };
    if !response.status().is_success() {
        let garbled = is_garbled(response);
        if let Some(result) = context.output_or_error_mut().filter(|_| garbled) {
            *result = Err(OrchestratorError::response(BROKEN.into()));
        }
        return;
    }
    let asks = QUESTIONS.iter().any(|start| operation.starts_with(start));
    let (page, cut) = (is_page(response), is_cut(response) || (asks && is_empty(response)));
    let Some(result) = context.output_or_error_mut() else { return };
    let is_lost = result.as_ref().err().is_some_and(|error| error.is_response_error() || error.is_timeout_error());
    let is_lost = is_lost || result.as_ref().err().is_some_and(|error| error.as_connector_error().is_some());
    if (page || cut || result.is_err()) && !is_lost {
        *result = Err(OrchestratorError::response(if page { PAGE } else { BROKEN }.into()));
    }
}

/// Tells whether the answer is a page for people, as proxies and sign-in pages send.
pub(super) fn is_page(response: &HttpResponse) -> bool {
    // The content type alone says little: emulators send JSON under it.
    let body = response.body().bytes().unwrap_or_default();
    let start = String::from_utf8_lossy(&body[..body.len().min(256)]).trim_start().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn is_empty(response: &HttpResponse) -> bool {
    response.body().bytes().is_some_and(|body| body.trim_ascii().is_empty())
}

/// Tells whether a refusal does not say what is wrong, because its body was lost on the way or ends in the middle.
fn is_garbled(response: &HttpResponse) -> bool {
    let header = |name: &str| response.headers().get(name);
    let is_json = header("content-type").is_some_and(|kind| kind.contains("json"));
    let is_told = is_empty(response) && header("x-amzn-errortype").is_some();
    let body = response.body().bytes().filter(|_| is_json && !is_told);
    is_cut(response) || body.is_some_and(|body| serde_json::from_slice::<IgnoredAny>(body).is_err())
}

/// Tells whether the answer is XML whose root element does not end.
fn is_cut(response: &HttpResponse) -> bool {
    let is_xml = response.headers().get("content-type").is_some_and(|kind| kind.contains("xml"));
    let body = response.body().bytes().filter(|_| is_xml);
    body.is_some_and(|body| !is_whole(String::from_utf8_lossy(body).trim()))
}

fn is_whole(xml: &str) -> bool {
    let starts = xml.match_indices('<').map(|(place, _)| place);
    let is_name = |place: &usize| xml[place + 1..].starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    let Some(root) = starts.into_iter().find(is_name) else { return false };
    let name = xml[root + 1..].split(|letter: char| letter.is_whitespace() || "/>".contains(letter)).next();
    let closed = xml.ends_with(&format!("</{}>", name.unwrap_or_default()));
    closed || (xml.ends_with("/>") && xml.rfind('<') == Some(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::interceptors::context::{Error, Input, InterceptorContext, Output};
    use aws_smithy_types::body::SdkBody;

    fn judged(status: u16, kind: &'static str, result: Result<Output, OrchestratorError<Error>>) -> String {
        judged_with(status, kind, "", result)
    }

    fn judged_with(
        status: u16,
        kind: &'static str,
        body: &'static str,
        result: Result<Output, OrchestratorError<Error>>,
    ) -> String {
        judged_of("CreateThing", status, kind, body, result)
    }

    fn judged_of(
        operation: &str,
        status: u16,
        kind: &'static str,
        body: &'static str,
        result: Result<Output, OrchestratorError<Error>>,
    ) -> String {
        let mut context = InterceptorContext::new(Input::erase(()));
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        response.headers_mut().insert("content-type", kind);
        context.set_response(response);
        context.set_output_or_error(result);
        judge(&mut FinalizerInterceptorContextMut::from(&mut context), operation);
        match context.output_or_error().unwrap() {
            Ok(_) => "fine".to_owned(),
            Err(error) if error.is_response_error() => "lost".to_owned(),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn xml_has_an_end() {
        for whole in ["<?xml version=\"1.0\"?>\n<A xmlns=\"u\"><B>1</B></A>", "<A/>", "<A b=\"/\"/>", "<A></A>"] {
            assert!(is_whole(whole), "{whole}");
        }
        for cut in ["", "<?xml version=\"1.0\"?>", "<A><B>arn:aws:s", "<A><B>1</B>", "<A><B/>", "<A", "ü<ü>"] {
            assert!(!is_whole(cut), "{cut}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let of = |kind, body| judged_of("GetThing", 400, kind, body, Ok(Output::erase(())));
        for (kind, body) in [
            ("application/x-amz-json-1.1", r#"{"__type":"ResourceNotFoundExc"#),
            ("application/json", ""),
            ("text/xml", "<ErrorResponse><Error><Code>NoSu"),
            ("text/xml", ""),
        ] {
            assert_eq!(of(kind, body), "lost", "{body}");
        }
        assert_eq!(of("application/json", r#"{"__type":"A"}"#), "fine");
        assert_eq!(of("text/xml", "<ErrorResponse></ErrorResponse>"), "fine");
        assert_eq!(of("text/html", "<html>denied"), "fine");
    }

    #[test]
    fn a_question_has_an_answer() {
        let of = |operation, status, body| {
            judged_of(operation, status, "application/x-amz-json-1.1", body, Ok(Output::erase(())))
        };
        assert_eq!(of("DescribeLogGroups", 200, " \n"), "lost");
        assert_eq!(of("ListStreams", 200, ""), "lost");
        assert_eq!(of("DescribeLogGroups", 200, "{}"), "fine");
        assert_eq!(of("CreateLogGroup", 200, ""), "fine");
        assert_eq!(of("GetThing", 404, "{}"), "fine");
    }

    #[test]
    fn pages_and_broken_bodies_are_lost_answers() {
        let fine = || Ok(Output::erase(()));
        let failed = || Err(OrchestratorError::other("expected an object"));
        assert_eq!(judged(200, "application/json", fine()), "fine");
        assert_eq!(judged_with(200, "text/html; charset=utf-8", " <!DOCTYPE html>\n<p>", fine()), "lost");
        assert_eq!(judged_with(200, "text/plain", "<HTML>", fine()), "lost");
        assert_eq!(judged_with(200, "text/html", "{}", fine()), "fine", "emulators send JSON so");
        assert_eq!(judged(200, "application/json", failed()), "lost");
        assert_eq!(judged(200, "text/xml", fine()), "lost", "there is no root element");
        assert_eq!(judged_with(400, "application/json", "{}", failed()), "refused");
        assert_eq!(judged(403, "text/html", failed()), "refused");
    }
}
