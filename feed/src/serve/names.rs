//! Whose name a request asks for, and whose page asks: what another site's page must not do.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::{env, net::IpAddr, thread};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, uri::Authority};
use actix_web::{HttpRequest, HttpResponse};

use super::guard::refuse;

/// The names in `ALLOWED_HOSTS`, or what is wrong with them.
static ALLOWED: LazyLock<Result<Vec<String>, String>> = LazyLock::new(|| {
    let names = env::var("ALLOWED_HOSTS").unwrap_or_default();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    names.split(',').map(|name| allowed(name.trim())).collect()
});
/// How many refused names are printed, each once. Any stranger can ask for any number of them.
const PRINTED: usize = 20;

/// The names in `ALLOWED_HOSTS`.
///
/// # Errors
/// Says in one line which of them can never match, and why.
pub(crate) fn allowed_hosts() -> Result<&'static [String], &'static str> {
    ALLOWED.as_deref().map_err(String::as_str)
}

/// One of `ALLOWED_HOSTS`: a name or an address, with a port or without; `.NAME` is all names below.
fn allowed(name: &str) -> Result<String, String> {
    let below = name.strip_prefix('.');
    let host = host_of(below.unwrap_or(name)).filter(|host| is_name(host) || is_address(host));
    let host = host.ok_or_else(|| {
        format!(
            "ALLOWED_HOSTS={name:?} matches no host: it takes names as in www.example.org, \
            .example.org for all below it, and commas between them"
        )
    })?;
    Ok(if below.is_some() { format!(".{host}") } else { host })
}

/// The host that a `Host` header or the authority of an `Origin` names, without its port, in small
/// letters, and without the dot that may end a name (the root of all names).
fn host_of(authority: &str) -> Option<String> {
    let parsed = authority.parse::<Authority>().ok()?;
    let host = parsed.host();
    let port = authority.strip_prefix(host)?; // only a port may follow
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(())?;
    Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

fn is_name(host: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| matches!(label.len(), 1..=63) && label.bytes().all(is_good);
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_allowed(host: &str) -> bool {
    let fits = |name: &String| host == name || name.starts_with('.') && host.ends_with(name);
    allowed_hosts().is_ok_and(|names| names.iter().any(fits))
}

/// `421` where a request asks for a name that is not this server's. Any site can have its own name
/// lead here (DNS rebinding), but no site has `localhost`, or an address.
pub(crate) fn refuse_foreign(request: &ServiceRequest) -> Option<HttpResponse> {
    let asked = request.headers().get_all(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    let mut asked = asked.chain(request.uri().authority().map(Authority::as_str));
    let foreign = asked.find_map(|asked| {
        let host = if asked.is_empty() { Some("localhost".into()) } else { host_of(asked) };
        let Some(host) = host else { return Some(String::new()) }; // it can't be read
        let is_ours = host == "localhost" || host.ends_with(".localhost");
        (!is_ours && !is_address(&host) && !is_allowed(&host)).then_some(host)
    })?;
    let mut why = "this server does not go by that name".to_owned();
    if is_name(&foreign) {
        let names = allowed_hosts().unwrap_or_default().iter().chain([&foreign]);
        let names = names.map(String::as_str).collect::<Vec<_>>().join(",");
        why = format!(
            "this server does not go by the name {foreign}; started with ALLOWED_HOSTS={names}, it does"
        );
        print_once(foreign, format!("421: {why}"));
    }
    Some(refuse(StatusCode::MISDIRECTED_REQUEST, why))
}

/// Prints a line on stderr, once for each name. The thread may wait for whoever reads there.
fn print_once(name: String, line: String) {
    static PRINTED_NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut names = PRINTED_NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if names.len() < PRINTED && names.insert(name) {
        thread::spawn(move || eprintln!("{line}"));
    }
}

/// `403` for another site's page that asks in the background (Fetch Metadata, W3C). It may not read
/// the answer, but it would learn when it comes. A link from there to here is followed.
pub(crate) fn refuse_cross_site(request: &ServiceRequest) -> Option<HttpResponse> {
    let says = |name: &str, value: &str| {
        let said = request.headers().get(HeaderName::from_bytes(name.as_bytes()).ok()?)?;
        said.as_bytes().eq_ignore_ascii_case(value.as_bytes()).then_some(())
    };
    says("sec-fetch-site", "cross-site")?;
    let is_navigation = says("sec-fetch-mode", "navigate").is_some();
    let has_origin = request.headers().contains_key(header::ORIGIN);
    let is_allowed = has_origin && is_own_page(request.request());
    (!is_navigation && !is_allowed)
        .then(|| refuse(StatusCode::FORBIDDEN, "a page of another site may not ask for this"))
}

/// Whether the page that asks is of this very host, or of one in `ALLOWED_HOSTS`; or none asks.
/// Any site's page may open a WebSocket to here, but its browser says in `Origin` where it is from
/// (RFC 6454 §7, RFC 6455 §10.2). It compares names only, not schemes or ports. A name that was rebound
/// stands in both headers: only `refuse_foreign` refuses that one.
pub fn is_own_page(request: &HttpRequest) -> bool {
    let text = |value: &HeaderValue| value.to_str().map(ToOwned::to_owned).ok();
    let host = request.headers().get(header::HOST).and_then(text).and_then(|host| host_of(&host));
    request.headers().get_all(header::ORIGIN).all(|origin| {
        let origin = text(origin).and_then(|origin| host_of(origin.split_once("://")?.1));
        origin.is_some_and(|origin| Some(&origin) == host.as_ref() || is_allowed(&origin))
    })
}
