//! Lines for stdout. A thread of its own prints them. So the server goes on when nobody reads them: the
//! terminal is paused, or the pipe is full.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{LazyLock, mpsc};
use std::{fmt, io, io::Write as _, thread, time::Duration};

use tokio::time::{sleep, timeout};

/// The most bytes that wait to be printed. A line that does not fit is left out, and counted.
const ROOM: usize = 1 << 20;
static WAITING: AtomicUsize = AtomicUsize::new(0);
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

static PRINTER: LazyLock<mpsc::Sender<String>> = LazyLock::new(|| {
    let (printer, lines) = mpsc::channel::<String>();
    thread::spawn(move || {
        for line in lines {
            let _ = writeln!(io::stdout(), "{line}");
            let is_last = WAITING.fetch_sub(line.len(), SeqCst) == line.len();
            let left_out = if is_last { LEFT_OUT.swap(0, SeqCst) } else { 0 };
            if left_out > 0 {
                let _ = writeln!(io::stdout(), "({left_out} lines left out: nobody read them)");
            }
        }
    });
    printer
});

/// Prints one line, whatever a client wrote into it. Characters are escaped that end a line in some
/// program, move a terminal's cursor, or turn the direction of writing.
pub fn print_line(line: impl fmt::Display) {
    let mut escaped = String::new();
    for c in line.to_string().chars() {
        match c {
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..'\u{2030}'
            | '\u{2066}'..'\u{2070}' => {
                escaped.extend(c.escape_default());
            }
            c if c.is_control() => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    let length = escaped.len();
    if WAITING.fetch_add(length, SeqCst) + length > ROOM || PRINTER.send(escaped).is_err() {
        WAITING.fetch_sub(length, SeqCst);
        LEFT_OUT.fetch_add(1, SeqCst);
    }
}

/// Waits until all lines are printed, but not for long: perhaps nobody reads them.
pub(crate) async fn printed() {
    let all = async {
        while WAITING.load(SeqCst) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = timeout(Duration::from_millis(300), all).await;
}
