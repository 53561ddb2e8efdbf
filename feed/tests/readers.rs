//! What the wire can't show: readers of one list while several threads publish.

use std::{collections::BTreeSet, future::pending, sync::Arc, thread, time::Duration};

use feed::{Feed, KEPT, News, Reader, Update};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Whichever thread is first: every reader has every update, each id once, all in one order, and
/// what one thread says in the order in which it said it; however many there are.
#[tokio::test]
async fn two_threads_publish() {
    const EACH: usize = 4 * KEPT;
    let feed = Feed::default();
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(feed.reader(Some(0)).await);
    }
    let threads = ["a", "b"].map(|name| {
        let feed = feed.clone();
        in_a_thread(async move || {
            let mut ids = Vec::new();
            for number in 0..EACH {
                ids.push(publish(&feed, &format!("{name}{number}")).await);
            }
            ids
        })
    });
    let read = readers.iter_mut().map(async |reader| {
        let mut updates = Vec::new();
        while updates.len() < 2 * EACH {
            let news = timeout(Duration::from_secs(20), next(reader)).await;
            updates.extend(all(news.expect("there is more")));
        }
        updates
    });
    let seen = futures_util::future::join_all(read).await;
    assert!(readers.iter_mut().all(|reader| reader.newer().updates.is_empty()));
    let ids: Vec<_> =
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2 * EACH, "each id once");
    assert!(seen[0].is_sorted_by(|one, next| one.id < next.id));
    let same =
        |updates: &[Arc<Update>]| updates.iter().map(|it| it.id).eq(seen[0].iter().map(|it| it.id));
    assert!(seen.iter().all(|updates| same(updates)), "one order for all");
    for name in ["a", "b"] {
        let texts = seen[0].iter().map(|it| &it.update).filter(|text| text.starts_with(name));
        assert!(texts.eq(&(0..EACH).map(|number| format!("{name}{number}")).collect::<Vec<_>>()));
    }
}

/// A reader is given up in the middle of its waiting, again and again, at any moment: what it was
/// not told then, it is told later.
#[tokio::test]
async fn cancelled_it_loses_nothing() {
    const UPDATES: usize = 3 * KEPT;
    let feed = Feed::default();
    let mut reader = feed.reader(None).await;
    let publisher = feed.clone();
    let thread = in_a_thread(async move || {
        for number in 0..UPDATES {
            publish(&publisher, &number.to_string()).await;
            if number % 10 == 0 {
                thread::sleep(Duration::from_micros(100));
            }
        }
    });
    let (mut cancelled, mut seen) = (0, 0);
    while seen < UPDATES {
        // As in a server's loop, where something else happens first.
        let news = tokio::select! {
            news = next(&mut reader) => news,
            () = yield_now() => {
                cancelled += 1;
                continue;
            }
        };
        for update in all(news) {
            assert_eq!(update.update, seen.to_string());
            seen += 1;
        }
    }
    thread.join().expect("it ends");
    assert!(timeout(Duration::ZERO, reader.next()).await.is_err(), "there is no more");
    publish(&feed, "one more").await;
    assert_eq!(texts(next(&mut reader).await), ["one more"]);
    assert!(cancelled > 0);
}

/// Between the end of what was and the beginning of what is to come, nothing is lost and nothing
/// comes twice: somebody publishes all the time while readers come.
#[tokio::test]
async fn no_gap() {
    let feed = Feed::default();
    let publisher = feed.clone();
    let thread = in_a_thread(async move || {
        for number in 1..KEPT {
            publish(&publisher, &number.to_string()).await;
            thread::sleep(Duration::from_micros(20));
        }
    });
    while !thread.is_finished() {
        let mut reader = feed.reader(Some(0)).await;
        let mut seen = Vec::new();
        while seen.len() < KEPT - 1 {
            seen.extend(texts(next(&mut reader).await));
            seen.extend(texts(reader.newer()));
        }
        assert!(seen.iter().eq(&(1..KEPT).map(|number| number.to_string()).collect::<Vec<_>>()));
    }
    thread.join().expect("it ends");
}

/// Who lags by more than is kept, for longer than anybody waits for it, goes on from the oldest
/// kept and is told, once; who waits is woken.
#[tokio::test]
async fn a_reader_that_lags() {
    let feed = Feed::default();
    let mut waiting = feed.reader(None).await;
    let mut lagging = feed.reader(None).await;
    let first = publish(&feed, "first").await;
    assert_eq!(next(&mut lagging).await.updates[0].id, first);
    for number in 0..KEPT + 10 {
        publish(&feed, &number.to_string()).await;
    }
    let news = next(&mut lagging).await;
    assert!(news.gap, "ten are missing");
    assert_eq!(news.updates[0].update, "10");
    assert_eq!(news.updates.len() + rest_of(&mut lagging).len(), KEPT);
    let news = waiting.newer();
    assert!(news.gap, "eleven are missing");
    assert_eq!(news.updates.len() + rest_of(&mut waiting).len(), KEPT);

    let woken = async { texts(next(&mut waiting).await) };
    let wake = async {
        sleep(Duration::from_millis(10)).await; // it waits by then, and if not, it is well too
        publish(&feed, "wake up").await;
        pending::<()>().await;
    };
    tokio::select! {
        texts = woken => assert_eq!(texts, ["wake up"]),
        () = wake => {}
    }
}

/// A cursor from before the list has a gap, be it of a process before this one; so has one beyond the
/// newest, of a process whose clock was ahead. 0 and none have none.
#[tokio::test]
async fn where_a_gap_is() {
    let feed = Feed::default();
    let first = publish(&feed, "first").await;
    for (after, gap, count) in [
        (Some(0), false, 1),
        (None, false, 0),
        (Some(first), false, 0),
        (Some(first + 1), true, 1),
        (Some(u64::MAX), true, 1),
        (Some(1), true, 1),
        (Some(first - 1_000_000), true, 1),
    ] {
        let mut reader = feed.reader(after).await;
        let news = reader.newer();
        assert_eq!((news.gap, news.updates.len()), (gap, count), "after {after:?}");
        let news = reader.newer();
        assert_eq!((news.gap, news.updates.len()), (false, 0), "it was told, after {after:?}");
    }
    for number in 0..KEPT {
        publish(&feed, &number.to_string()).await;
    }
    assert!(!feed.reader(Some(first)).await.newer().gap, "all after the first are kept");
    assert!(!feed.reader(Some(0)).await.newer().gap);
    publish(&feed, "one more").await;
    assert!(feed.reader(Some(first)).await.newer().gap, "one after the first is not");
}

/// A reader takes a batch at a time, whatever it has to read.
#[tokio::test]
async fn a_batch_is_bounded() {
    let feed = Feed::default();
    for _ in 0..KEPT {
        publish(&feed, &"x".repeat(4_000)).await;
    }
    let mut reader = feed.reader(Some(0)).await;
    let batch = reader.newer();
    assert!((1..4).contains(&batch.updates.len()), "{} updates of 4 KB", batch.updates.len());
    assert_eq!(batch.updates.len() + rest_of(&mut reader).len(), KEPT);
}

/// When the feed ends, who waits is woken, and who is behind gets what is there before the end; so
/// does a reader that comes afterwards. A reader whose feed is gone does not wait for ever either.
#[tokio::test]
async fn the_end() {
    let feed = Feed::default();
    let mut behind = feed.reader(None).await;
    publish(&feed, "the last").await;
    let mut waiting = feed.reader(None).await;
    let wake = async {
        yield_now().await; // it waits by then, and if not, it is well too
        feed.end();
    };
    let (news, ()) = futures_util::future::join(waiting.next(), wake).await;
    assert!(news.is_none());
    assert_eq!(texts(next(&mut behind).await), ["the last"]);
    assert!(behind.next().await.is_none() && behind.next().await.is_none(), "the end is the end");
    let mut late = feed.reader(Some(0)).await;
    assert_eq!(texts(next(&mut late).await), ["the last"]);
    drop(feed);
    assert!(late.next().await.is_none());

    let mut orphan = Feed::default().reader(None).await;
    assert!(orphan.next().await.is_none());
}

/// Runs it in a thread of its own.
fn in_a_thread<T: Send + 'static, F: Future<Output = T>>(
    it: impl FnOnce() -> F + Send + 'static,
) -> thread::JoinHandle<T> {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    thread::spawn(move || runtime.block_on(it()))
}

async fn publish(feed: &Feed, text: &str) -> u64 {
    feed.publish(text, None).await.expect("a good text").id
}

/// What is next in a feed that goes on.
async fn next(reader: &mut Reader) -> News {
    reader.next().await.expect("the feed goes on")
}

/// The updates, of which none is missing.
fn all(news: News) -> Vec<Arc<Update>> {
    assert!(!news.gap, "updates are missing before {:?}", news.updates.first());
    news.updates
}

fn texts(news: News) -> Vec<String> {
    all(news).iter().map(|update| update.update.clone()).collect()
}

fn rest_of(reader: &mut Reader) -> Vec<Arc<Update>> {
    let batches = std::iter::from_fn(|| Some(all(reader.newer())).filter(|it| !it.is_empty()));
    batches.flatten().collect()
}

/// What comes while an answer is made is for the next one: an answer without updates stays one.
#[tokio::test]
async fn an_array_is_json() {
    let feed = Feed::default();
    let nothing = feed.reader(Some(0)).await.newer();
    let reader = feed.reader(Some(0)).await;
    for number in 0..KEPT {
        publish(&feed, &format!("{number} {}", "x".repeat(100))).await;
    }
    let all = feed.reader(Some(0)).await.newer();
    let mut rest = feed.reader(Some(all.updates[all.updates.len() - 1].id)).await;
    assert!(!rest.newer().updates.is_empty(), "more than a batch");
    let rest = feed.reader(Some(all.updates[all.updates.len() - 1].id)).await;
    for (reader, news, count) in [(reader, nothing, 0), (rest, all, KEPT)] {
        let answer = feed::array(reader, news).into_body();
        let answer = actix_web::body::to_bytes(answer).await.expect("a body");
        let array: Vec<serde_json::Value> = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(array.len(), count);
    }
}
