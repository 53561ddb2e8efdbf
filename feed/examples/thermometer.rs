//! `feed` in a system of your own: a thermometer publishes, readers follow at their own pace.
//!
//! Run it with `cargo run -p feed --example thermometer`.

use feed::Feed;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let feed = Feed::default();
    let thermometer = feed.clone(); // another handle on the same list
    let mut display = feed.reader(None).await; // what comes from now on

    for degrees in [19, 20, 21] {
        thermometer.publish(&format!("{degrees} °C"), None).await.expect("a good text");
    }
    let news = display.next().await.expect("the feed goes on"); // waits where there is nothing yet
    let first = &news.updates[0];
    println!("the display shows {}", first.update);

    // The display was switched off here. It comes back and says what it saw last.
    let mut display = feed.reader(Some(first.id)).await;
    for missed in display.newer().updates {
        println!("the display catches up: {}", missed.update);
    }
}
