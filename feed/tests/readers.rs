//! What the wire can't show: readers of one list while several threads publish.

use std::{collections::BTreeSet, future::pending, thread, time::Duration};

use feed::{Feed, KEPT};
use tokio::time::{sleep, timeout};

/// Whichever thread is first: every reader has every update, each id once, all in one order, and
/// what one thread says in the order in which it said it.
#[tokio::test]
async fn two_threads_publish() {
    const EACH: usize = 400;
    let feed = Feed::default();
    let mut readers = [(); 3].map(|()| feed.reader(Some(0)));
    let threads = ["a", "b"].map(|name| {
        let feed = feed.clone();
        thread::spawn(move || {
            (0..EACH).map(|number| publish(&feed, &format!("{name}{number}"))).collect::<Vec<_>>()
        })
    });
    let mut seen = Vec::new();
    for reader in &mut readers {
        let mut updates = Vec::new();
        while updates.len() < 2 * EACH {
            let next =
                timeout(Duration::from_secs(20), reader.next()).await.expect("there is more");
            updates.push((next.id, next.update.clone()));
        }
        assert!(reader.newer().is_empty());
        seen.push(updates);
    }
    let ids: Vec<_> =
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2 * EACH, "each id once");
    assert!(seen[0].is_sorted_by(|(one, _), (next, _)| one < next));
    assert!(seen.iter().all(|updates| *updates == seen[0]), "one order for all");
    for name in ["a", "b"] {
        let texts = seen[0].iter().map(|(_, text)| text).filter(|text| text.starts_with(name));
        assert!(texts.eq(&(0..EACH).map(|number| format!("{name}{number}")).collect::<Vec<_>>()));
    }
}

/// A reader is given up in the middle of its waiting, again and again, at any moment: what it was
/// not told then, it is told later.
#[tokio::test]
async fn cancelled_it_loses_nothing() {
    const UPDATES: usize = 900;
    let feed = Feed::default();
    let mut reader = feed.reader(None);
    let publisher = feed.clone();
    let thread = thread::spawn(move || {
        for number in 0..UPDATES {
            publish(&publisher, &number.to_string());
            if number % 10 == 0 {
                thread::sleep(Duration::from_micros(100));
            }
        }
    });
    let mut cancelled = 0;
    for number in 0..UPDATES {
        let update = loop {
            // As in a server's loop, where something else happens first.
            tokio::select! {
                update = reader.next() => break update,
                () = tokio::task::yield_now() => cancelled += 1,
            }
        };
        assert_eq!(update.update, number.to_string());
    }
    thread.join().expect("it ends");
    assert!(timeout(Duration::ZERO, reader.next()).await.is_err(), "there is no more");
    publish(&feed, "one more");
    assert_eq!(reader.next().await.update, "one more");
    assert!(cancelled > 0);
}

/// Between the end of what was and the beginning of what is to come, nothing is lost and nothing
/// comes twice: somebody publishes all the time while readers come.
#[tokio::test]
async fn no_gap() {
    let feed = Feed::default();
    let publisher = feed.clone();
    let thread = thread::spawn(move || {
        for number in 1..KEPT {
            publish(&publisher, &number.to_string());
            thread::sleep(Duration::from_micros(20));
        }
    });
    while !thread.is_finished() {
        let mut reader = feed.reader(Some(0));
        let mut texts: Vec<_> = reader.newer().iter().map(|update| update.update.clone()).collect();
        while texts.len() < KEPT - 1 {
            texts.push(reader.next().await.update.clone());
            texts.extend(reader.newer().iter().map(|update| update.update.clone()));
        }
        assert!(texts.iter().eq(&(1..KEPT).map(|number| number.to_string()).collect::<Vec<_>>()));
    }
    thread.join().expect("it ends");
}

/// Who lags by more than is kept goes on from the oldest kept; who waits is woken.
#[tokio::test]
async fn a_reader_that_lags() {
    let feed = Feed::default();
    let mut waiting = feed.reader(None);
    let mut lagging = feed.reader(None);
    let first = publish(&feed, "first");
    assert_eq!(lagging.next().await.id, first);
    for number in 0..KEPT + 10 {
        publish(&feed, &number.to_string());
    }
    assert_eq!(lagging.next().await.update, "10");
    assert_eq!(lagging.newer().len(), KEPT - 1);
    assert_eq!(waiting.newer().len(), KEPT);
    assert_eq!(feed.reader(Some(0)).newer().len(), KEPT);

    let woken = async { waiting.next().await.update.clone() };
    let wake = async {
        sleep(Duration::from_millis(10)).await; // it waits by then, and if not, it is well too
        publish(&feed, "wake up");
        pending::<()>().await;
    };
    tokio::select! {
        text = woken => assert_eq!(text, "wake up"),
        () = wake => {}
    }
}

fn publish(feed: &Feed, text: &str) -> u64 {
    feed.publish(text, None).expect("a good text").id
}
