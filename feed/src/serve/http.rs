//! What all four do with a request and an answer: a client's cursor, its message, a JSON array.

use std::{collections::HashMap, future, io};

use actix_web::error::{ErrorBadRequest, Result};
use actix_web::http::header::ContentType;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use crate::{Feed, News, Reader, Refused};

/// The query's `after=ID`: the last id that the client has seen, if it says one.
///
/// # Errors
/// 400 where it says something that is no id.
pub fn after(request: &HttpRequest) -> Result<Option<u64>> {
    let query = web::Query::<HashMap<String, String>>::from_query(request.query_string())?;
    let no_id = || ErrorBadRequest("after takes a whole number, as in after=0");
    query.get("after").map(|id| parse_id(id).ok_or_else(no_id)).transpose()
}

/// The id that a text says in digits. One with too many of them is beyond all ids.
pub fn parse_id(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    update: String,
    event: Option<String>,
}

/// `POST /api/messages`: client A's message becomes an update for everyone.
pub(crate) async fn receive(
    from: HttpRequest,
    body: web::Bytes,
    feed: web::Data<Feed>,
) -> Result<HttpResponse> {
    // A page of another site can't say so: its browser would have to ask first (CORS).
    if !from.content_type().eq_ignore_ascii_case("application/json") {
        return Err(ErrorBadRequest("a message is sent as Content-Type: application/json"));
    }
    let object = Some(body).filter(|body| body.trim_ascii_start().starts_with(b"{"));
    let message = object.and_then(|body| serde_json::from_slice::<Message>(&body).ok());
    let expected = r#"a message is {"update": "TEXT"}, with "event": "NAME" or without"#;
    let message = message.ok_or_else(|| ErrorBadRequest(expected))?;
    match feed.publish(&message.update, message.event.as_deref()).await {
        Ok(update) => Ok(HttpResponse::Created().json(update)),
        Err(Refused::Invalid(why)) => Err(ErrorBadRequest(why)),
        Err(Refused::Away) => Ok(HttpResponse::ServiceUnavailable()
            .insert_header(("Retry-After", "1"))
            .content_type(ContentType::plaintext())
            .body("the engine is away; send this again: it is not stored, unless only its answer was lost")),
    }
}

/// `200` with all that a reader has to read as a JSON array, `news` first. Where that is more than
/// a batch, it is made while the client reads it; it ends before a gap, of which the next answer
/// tells.
pub fn array(mut reader: Reader, news: News) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if news.gap {
        response.insert_header(("Feed-Gap", "true"));
    }
    let is_batch = |more: &News| !more.gap && !more.updates.is_empty();
    let more = (!news.updates.is_empty()).then(|| reader.newer()).filter(is_batch);
    let Some(more) = more else { return response.json(news.updates) };
    let rest = stream::unfold(reader, async |mut reader| Some((reader.newer(), reader)));
    let rest = stream::once(future::ready(more)).chain(rest);
    let rest = rest.take_while(move |more| future::ready(is_batch(more)));
    let json = |news: &News| serde_json::to_string(&news.updates).expect("text and numbers");
    let first = json(&news).trim_end_matches(']').to_owned();
    let rest = rest.map(move |news| json(&news).trim_end_matches(']').replacen('[', ",", 1));
    let array = stream::iter([first]).chain(rest).chain(stream::iter(["]".to_owned()]));
    response
        .content_type("application/json")
        .streaming(array.map(|part| Ok::<_, io::Error>(part.into())))
}
