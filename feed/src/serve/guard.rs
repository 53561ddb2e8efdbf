//! What stands before all routes, so that no route has to think of it: whose name a request asks
//! for, its body, what HTTP/1.0 does not know, and the headers that every answer has.

use std::{collections::BTreeSet, env, io, net::IpAddr, time::Duration};

use actix_web::body::{self, BodySize, BodyStream, BoxBody, MessageBody as _, SizedStream};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, ContentType, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode, Version, uri::Authority};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, Result, middleware::Next, rt};
use futures_util::{StreamExt as _, stream};

/// The most bytes of a request's body, and how long they may take to arrive.
const MAX_BODY: (usize, Duration) = (4096, Duration::from_secs(10));

/// What stands before all routes: whose name was asked for, the body, and what all answers have.
pub(crate) async fn around(
    guarded: bool,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse> {
    let is_old = request.version() < Version::HTTP_11;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let has_body = length.is_some_and(|length| length != "0")
        || request.headers().contains_key(header::TRANSFER_ENCODING);
    // HTTP/1.0 knows no upgrade; and after these, actix-http would go on with HTTP all the same.
    let is_none =
        |to: &HeaderValue| is_old || has_body || !to.as_bytes().eq_ignore_ascii_case(b"websocket");
    if request.headers().get(header::UPGRADE).is_some_and(is_none) {
        request.headers_mut().remove(header::UPGRADE);
    }
    // In a box, which only a request with a body needs: a connection keeps the room for the rest.
    let mut refusal = if has_body { Box::pin(read_body(&mut request)).await } else { None };
    if refusal.is_none() && guarded && is_foreign(&request) {
        let why = "this server is localhost; ALLOWED_HOSTS gives it more names";
        let mut answer = HttpResponse::build(StatusCode::MISDIRECTED_REQUEST);
        refusal = Some(answer.content_type(ContentType::plaintext()).body(why));
    }
    let mut response = match refusal {
        Some(refusal) => request.into_response(refusal),
        None => next.call(request).await?,
    };
    let answer = response.response_mut();
    if is_old && answer.body().size() == BodySize::Stream {
        answer.head_mut().no_chunking(true);
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    let status = answer.status();
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // What the routes of this path would have taken; none: there is no such path.
        match headers.get(header::ALLOW).and_then(|allow| allow.to_str().ok()) {
            Some(allow) => {
                let methods: BTreeSet<_> = allow.split(", ").collect();
                let methods = Vec::from_iter(methods).join(", ");
                headers
                    .insert(header::ALLOW, HeaderValue::try_from(methods).expect("they were one"));
            }
            None => *answer.status_mut() = StatusCode::NOT_FOUND,
        }
    }
    Ok(response)
}

/// The host, without its port, that a `Host` header or the authority of an `Origin` names.
fn host_of(authority: &str) -> Option<String> {
    Some(authority.parse::<Authority>().ok()?.host().to_ascii_lowercase())
}

fn is_allowed(host: &str) -> bool {
    let names = env::var("ALLOWED_HOSTS").unwrap_or_default();
    names.split(',').any(|name| host_of(name.trim()).as_deref() == Some(host))
}

/// Whether the page that asks is of this very host, or of one in `ALLOWED_HOSTS`; or none asks.
/// Any site's page may open a WebSocket to here, but its browser says where it is from in `Origin`
/// (RFC 6454 §7, RFC 6455 §10.2).
pub fn is_own_page(request: &HttpRequest) -> bool {
    let text = |value: &header::HeaderValue| value.to_str().map(ToOwned::to_owned).ok();
    let host = request.headers().get(header::HOST).and_then(text).and_then(|host| host_of(&host));
    request.headers().get_all(header::ORIGIN).all(|origin| {
        let origin = text(origin).and_then(|origin| host_of(origin.split_once("://")?.1));
        origin.is_some_and(|origin| Some(&origin) == host.as_ref() || is_allowed(&origin))
    })
}

/// Whether a request asks for a name that is not this server's. Any site can have its own name
/// lead here (DNS rebinding); but to `localhost` it can't, and an address is no name.
fn is_foreign(request: &ServiceRequest) -> bool {
    let asked = request.headers().get_all(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    asked.chain(request.uri().authority().map(Authority::as_str)).any(|asked| {
        let host = host_of(asked).unwrap_or_else(|| asked.into());
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_ours = host == "localhost" || host.ends_with(".localhost") || host.is_empty();
        !is_address && !is_ours && !is_allowed(&host)
    })
}

/// Reads a request's body, so that a handler has it whole. Where it can't be had: the answer,
/// which owns what is left of it, since actix-http looks whether a body was read to its end before
/// it lets go of the answer's; else it would wait for the rest for ever.
async fn read_body(request: &mut ServiceRequest) -> Option<HttpResponse> {
    let mut body = request.take_payload();
    let read = body::to_bytes_limited(BodyStream::new(&mut body), MAX_BODY.0);
    let (status, why) = match rt::time::timeout(MAX_BODY.1, read).await {
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
