//! The work before all routes, so that no route has to think of it: an upgrade that is offered, the
//! request's body, and HTTP/1.0, which knows less.

use std::{collections::BTreeSet, io, time::Duration};

use actix_web::body::{self, BodySize, BodyStream, BoxBody, MessageBody as _, SizedStream};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, ContentType, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::{HttpMessage as _, HttpResponse, Result, middleware::Next, rt};
use futures_util::{StreamExt as _, stream};

use super::connection::{Ends, HasEnd};
use super::names::{refuse_cross_site, refuse_foreign};

/// The most bytes of a request's body.
const MAX_BODY: usize = 4096;
/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls a route, with all that comes before it and after it.
pub(crate) async fn around(
    guarded: bool,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse> {
    let is_old = request.version() < Version::HTTP_11;
    let is_offer = request.head().connection_type() == ConnectionType::Upgrade;
    let has_end = request.conn_data::<HasEnd>().cloned().unwrap_or_default();
    let has_body = has_body(&request);
    has_end.0.set(has_body); // a message is answered soon; another request may be held
    let is_websocket = is_websocket(&request);
    if is_old || has_body || !is_websocket {
        request.headers_mut().remove(header::UPGRADE); // an offer that nobody takes
    }
    let refusal = match (has_body, is_websocket) {
        // actix-http reads all that follows as the WebSocket's: this body would never end.
        (true, true) => Some(refuse(StatusCode::BAD_REQUEST, "a WebSocket begins without a body")),
        // In a box of its own: an idle connection keeps the memory of its last call.
        (true, false) => Box::pin(read_body(&mut request)).await,
        (false, _) => None,
    };
    let refusal = refusal.or_else(|| refuse_foreign(&request).filter(|_| guarded));
    let refusal = refusal.or_else(|| refuse_cross_site(&request));
    let mut response = match refusal {
        Some(refusal) => request.into_response(refusal),
        None => next.call(request).await?,
    };
    let answer = response.response_mut();
    let is_switch = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_offer && !is_switch {
        answer.head_mut().set_connection_type(ConnectionType::Close); // as actix-http does
    }
    let is_endless =
        answer.body().size() == BodySize::Stream && !answer.extensions().contains::<Ends>();
    has_end.0.set(is_switch || !is_endless);
    if is_old {
        make_old(answer);
    }
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        say_what_is_allowed(answer);
    }
    Ok(response)
}

fn has_body(request: &ServiceRequest) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    length.is_some_and(|length| length != "0")
        || request.headers().contains_key(header::TRANSFER_ENCODING)
}

fn is_websocket(request: &ServiceRequest) -> bool {
    let offer = request.headers().get(header::UPGRADE);
    offer.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// HTTP/1.0 knows no chunks: there, an answer of unknown length ends with its connection.
fn make_old(answer: &mut HttpResponse) {
    if answer.body().size() == BodySize::Stream {
        answer.head_mut().no_chunking(true);
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
}

/// Says each method once that the routes of this path take. A path without routes is no path: `404`.
fn say_what_is_allowed(answer: &mut HttpResponse) {
    match answer.headers().get(header::ALLOW).and_then(|methods| methods.to_str().ok()) {
        Some(methods) => {
            let methods: BTreeSet<_> = methods.split(", ").collect();
            let methods = Vec::from_iter(methods).join(", ");
            let methods = HeaderValue::try_from(methods).expect("they were in a header");
            *answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "Allow says what this path takes");
            answer.headers_mut().insert(header::ALLOW, methods);
        }
        None => *answer = refuse(StatusCode::NOT_FOUND, "there is no such path"),
    }
}

/// Reads a request's body, so that a handler has all of it. If that fails, returns the refusal. The
/// refusal holds the rest of the body, until actix-http has sent the refusal and drops it. If the
/// body were dropped before, all of it would have to arrive first.
async fn read_body(request: &mut ServiceRequest) -> Option<HttpResponse> {
    let mut body = request.take_payload();
    let read = body::to_bytes_limited(BodyStream::new(&mut body), MAX_BODY);
    let (status, why) = match rt::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(Ok(bytes))) => {
            request.set_payload(bytes.into());
            return None;
        }
        Ok(Ok(Err(_))) => (StatusCode::BAD_REQUEST, "the body is broken"),
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "a message has at most 4096 bytes"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the message took too long"),
    };
    let text = stream::iter([Ok::<_, io::Error>(why.into())]).inspect(move |_| {
        let _owned = &body;
    });
    let text = SizedStream::new(why.len() as u64, text);
    Some(HttpResponse::build(status).content_type(ContentType::plaintext()).body(text))
}

/// An answer that says why, in one line.
pub(crate) fn refuse(status: StatusCode, why: impl Into<String>) -> HttpResponse {
    let why: String = why.into();
    HttpResponse::build(status).content_type(ContentType::plaintext()).body(why)
}
