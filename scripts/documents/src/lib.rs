//! Whether the documents are true: `tests/readmes.rs` runs every command of every README, and says
//! how to write one; `tests/lesson.rs` gives the lesson, in a real browser.
