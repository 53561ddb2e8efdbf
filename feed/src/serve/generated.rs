//! Updates that nobody sent: so that there is something to see, and something to test with.

use std::{env, time::Duration};

use actix_web::rt::time::sleep;

use super::print_line;
use crate::{Feed, Refused};

/// Sends the second update and all that follow, with a random pause before each; none with `QUIET=1`.
/// On an engine only with `QUIET=0`: there, each server's updates go to the clients of all servers.
pub(crate) async fn send_all(feed: &Feed) {
    let quiet = env::var("QUIET").unwrap_or_default();
    if quiet == "1" || env::var_os("REDIS_URL").is_some() && quiet != "0" {
        return;
    }
    for number in 2u64.. {
        sleep(Duration::from_secs(rand::random_range(2..=9))).await;
        let sent = send(feed, number).await;
        print_line(sent.unwrap_or_else(|_| "not sent: the engine is away".into()));
    }
}

/// Sends one generated update, and says so.
pub(crate) async fn send(feed: &Feed, number: u64) -> Result<String, Refused> {
    let sent = feed.publish(&format!("Real-Time Update {number}"), None).await?;
    Ok(format!("SENT: {}", sent.update))
}
