//! Updates that nobody sent: so that there is something to see, and something to test with.

use std::{env, time::Duration};

use actix_web::rt::time::sleep;

use super::print_line;
use crate::{Feed, Refused};

/// Sends the second update and all that follow, with a random pause before each; none with `QUIET=1`.
pub(crate) async fn send_all(feed: &Feed) {
    for number in 2u64.. {
        if env::var("QUIET").is_ok_and(|quiet| quiet == "1") {
            break;
        }
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
