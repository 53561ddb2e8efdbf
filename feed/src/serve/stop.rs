//! How a server learns that it is to stop.

use actix_web::rt::signal;

use crate::Feed;

/// Waits until Ctrl-C or SIGTERM, and ends the feed. So each reader learns of the stop.
pub(crate) async fn stop(feed: Feed) {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate()).ok();
    #[cfg(unix)]
    let terminate = async { terminate.as_mut()?.recv().await };
    #[cfg(not(unix))]
    let terminate = async { None };
    tokio::select! {
        _ = signal::ctrl_c() => {}
        Some(()) = terminate => {}
    }
    feed.end();
}
