//! What all four do with a request and an answer: a client's cursor, its message, a JSON array.

use std::{collections::HashMap, io, mem, sync::Arc};

use actix_web::error::{ErrorBadRequest, Result};
use actix_web::http::header::ContentType;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use super::connection::Ends;
use crate::{Feed, News, Reader, Refused, Update};

/// The query's `after=ID`, if it is there: the last id that the client has seen.
///
/// # Errors
/// 400 where it is no id.
pub fn after(request: &HttpRequest) -> Result<Option<u64>> {
    let query = web::Query::<HashMap<String, String>>::from_query(request.query_string())?;
    let no_id = || ErrorBadRequest("after takes a whole number, as in after=0");
    query.get("after").map(|id| parse_id(id).ok_or_else(no_id)).transpose()
}

/// The id that is written in digits. With more digits than a `u64` has, it is `u64::MAX`.
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
    request: HttpRequest,
    body: web::Bytes,
    feed: web::Data<Feed>,
) -> Result<HttpResponse> {
    // A page of another site can't send this type: its browser would have to ask first (CORS).
    if !request.content_type().eq_ignore_ascii_case("application/json") {
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

/// `200` with all that is new to a reader, as a JSON array; `news` is the first of it. If there is
/// more than a batch, the rest is made while the client reads. The array ends before a gap: the
/// next answer tells of it.
pub fn array(mut reader: Reader, news: News) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if news.gap {
        response.insert_header(("Feed-Gap", "true"));
    }
    let more = if news.updates.is_empty() { None } else { next_batch(&mut reader) };
    let Some(more) = more else { return response.json(news.updates) };
    let rest = async |mut reader| Some((next_batch(&mut reader)?, reader));
    let batches = stream::iter([news.updates, more]).chain(stream::unfold(reader, rest));
    let mut before = '[';
    let json = batches.map(move |batch| {
        let mut json = String::new();
        for update in batch {
            json.push(mem::replace(&mut before, ','));
            json += &serde_json::to_string(&update).expect("text and numbers");
        }
        json
    });
    let array = json.chain(stream::iter(["]".to_owned()]));
    let array = array.map(|part| Ok::<_, io::Error>(part.into()));
    response.extensions_mut().insert(Ends);
    response.content_type("application/json").streaming(array)
}

/// What a reader has not seen yet, if there is no gap before it.
fn next_batch(reader: &mut Reader) -> Option<Vec<Arc<Update>>> {
    let news = reader.newer();
    (!news.gap && !news.updates.is_empty()).then_some(news.updates)
}
