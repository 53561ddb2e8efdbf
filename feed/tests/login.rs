//! A login, as `feed/README.md` shows it: a cookie, a ticket that works once, and a logout that ends
//! what is open.
#![cfg(feature = "serve")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody as _};
use actix_web::error::{ErrorUnauthorized, Result};
use actix_web::http::header::{COOKIE, SET_COOKIE};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpRequest, HttpResponse, rt, web, web::Bytes, web::Data};
use feed::Feed;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

/// How long a ticket may be under way.
const TICKET: Duration = Duration::from_millis(500);

/// Each session by the secret in its cookie, and each ticket with the secret of its session.
#[derive(Default)]
struct Logins {
    sessions: Mutex<HashMap<String, watch::Sender<()>>>,
    tickets: Mutex<HashMap<String, (String, Instant)>>,
}

fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The name and the password are right (that is not shown here): a new session begins.
async fn log_in(logins: Data<Logins>) -> HttpResponse {
    let session = secret();
    let cookie = format!("__Host-session={session}; Path=/; Secure; HttpOnly; SameSite=Lax");
    logins.sessions.lock().expect("nobody panics").insert(session, watch::Sender::new(()));
    HttpResponse::NoContent().insert_header((SET_COOKIE, cookie)).finish()
}

/// The session is forgotten, and its `watch::Sender` with it: all that waits for its end goes on.
async fn log_out(request: HttpRequest, logins: Data<Logins>) -> HttpResponse {
    let session = cookie(&request).unwrap_or_default();
    logins.sessions.lock().expect("nobody panics").remove(&session);
    HttpResponse::NoContent().finish()
}

/// The secret in a request's cookie.
fn cookie(request: &HttpRequest) -> Option<String> {
    let cookies = request.headers().get(COOKIE)?.to_str().ok()?;
    let mut cookies = cookies.split(';').map(str::trim);
    cookies.find_map(|cookie| cookie.strip_prefix("__Host-session=")).map(Into::into)
}

/// A ticket for whoever has the cookie.
async fn ticket(request: HttpRequest, logins: Data<Logins>) -> Result<String> {
    logins.session_of(&request)?;
    let (ticket, session) = (secret(), cookie(&request).unwrap_or_default());
    let mut tickets = logins.tickets.lock().expect("nobody panics");
    tickets.retain(|_, (_, made)| made.elapsed() < TICKET);
    tickets.insert(ticket.clone(), (session, Instant::now()));
    Ok(ticket)
}

impl Logins {
    /// The session of a request. It changes when the session ends.
    fn session_of(&self, request: &HttpRequest) -> Result<watch::Receiver<()>> {
        let query = web::Query::<HashMap<String, String>>::from_query(request.query_string())?;
        let session = match query.get("ticket") {
            Some(ticket) => {
                let ticket = self.tickets.lock().expect("nobody panics").remove(ticket);
                ticket.filter(|(_, made)| made.elapsed() < TICKET).map(|(session, _)| session)
            }
            None => cookie(request),
        };
        let sessions = self.sessions.lock().expect("nobody panics");
        let session = session.and_then(|session| sessions.get(&session));
        Ok(session.ok_or_else(|| ErrorUnauthorized("log in first"))?.subscribe())
    }
}

/// An event stream, for whoever is logged in, and as long as they are.
async fn events(
    request: HttpRequest,
    logins: Data<Logins>,
    feed: Data<Feed>,
) -> Result<HttpResponse> {
    let mut session = logins.session_of(&request)?;
    let reader = feed.reader(feed::after(&request)?).await;
    let updates = stream::unfold(reader, async |mut reader| {
        let updates = reader.next().await?.updates;
        let events = updates.iter().map(|it| format!("id: {}\ndata: {}\n\n", it.id, it.update));
        Some((Ok::<_, Infallible>(Bytes::from(events.collect::<String>())), reader))
    });
    let updates = updates.take_until(async move { session.changed().await });
    Ok(HttpResponse::Ok().content_type("text/event-stream").streaming(updates))
}

/// What comes next in an answer's body; nothing at its end.
async fn next(body: &mut BoxBody) -> Option<Bytes> {
    let next = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await;
    next.map(|part| part.expect("it is not broken"))
}

#[test]
fn a_login() {
    rt::System::new().block_on(async {
        let feed = Feed::default();
        let app = App::new()
            .app_data(Data::new(feed.clone()))
            .app_data(Data::new(Logins::default()))
            .route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
            .route("/ticket", web::post().to(ticket))
            .route("/events", web::get().to(events));
        let app = init_service(app).await;
        let post = |path: &str| TestRequest::post().uri(path);
        let get = |path: &str| TestRequest::get().uri(path);
        let status = async |request: TestRequest| {
            call_service(&app, request.to_request()).await.status().as_u16()
        };
        let forged = get("/events").insert_header((COOKIE, "__Host-session=00"));
        for stranger in [get("/events"), get("/events?ticket=00"), post("/ticket"), forged] {
            assert_eq!(status(stranger).await, 401);
        }
        let response = call_service(&app, post("/login").to_request()).await;
        let cookie = response.headers().get(SET_COOKIE).expect("a cookie").to_str();
        let cookie = (COOKIE, cookie.expect("text").split(';').next().expect("a value").to_owned());
        let ticket = async || {
            let request = post("/ticket").insert_header(cookie.clone()).to_request();
            let ticket = read_body(call_service(&app, request).await).await;
            get(&format!("/events?ticket={}", String::from_utf8_lossy(&ticket)))
        };
        let open = async |request: TestRequest| {
            let response = call_service(&app, request.to_request()).await;
            assert_eq!(response.status(), 200);
            response.into_body()
        };

        let with_cookie = open(get("/events").insert_header(cookie.clone())).await;
        let request = ticket().await.to_request();
        let again = get(&request.uri().to_string());
        let with_ticket = call_service(&app, request).await;
        assert_eq!(with_ticket.status(), 200);
        assert_eq!(status(again).await, 401, "a ticket works once");
        let late = ticket().await;
        tokio::time::sleep(TICKET).await;
        assert_eq!(status(late).await, 401, "a ticket works for some seconds");

        let unused = ticket().await;
        let mut streams = [with_cookie, with_ticket.into_body()];
        feed.publish("before", None).await.expect("a good text");
        for stream in &mut streams {
            let event = next(stream).await.expect("it is open");
            assert!(event.ends_with(b"data: before\n\n"), "{event:?}");
        }
        assert_eq!(status(post("/logout").insert_header(cookie.clone())).await, 204);
        for stream in &mut streams {
            assert!(next(stream).await.is_none(), "it ends with its session");
        }
        for request in [get("/events").insert_header(cookie.clone()), unused] {
            assert_eq!(status(request).await, 401, "it is no session any more");
        }
    });
}
