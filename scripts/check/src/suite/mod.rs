//! The suite: what [the contract](../../../../feed/WIRE.md) promises, tried on the real server of any
//! technique. Each case says which sentences it tries. A server's `tests/wire.rs` runs all of them
//! ([`main`]); `scripts/check.sh` runs those that a sentence asks for, on anybody's server.

pub mod basic;
pub mod between;
pub mod contract;
pub mod cursor;
pub mod ending;
pub mod fair;
pub mod gap;
pub mod headers;
pub mod hostile;
pub mod long_polling;
pub mod messages;
pub mod methods;
pub mod names;
pub mod polling;
pub mod server_sent_events;
pub mod slow;
pub mod start;
pub mod stream;
pub mod websockets;

use std::cell::RefCell;
use std::pin::Pin;

use libtest_mimic::{Arguments, Trial};

/// A test of any server of a technique, by the technique's name.
pub struct Case {
    /// As in `cursor::the_newest_1000_are_kept`.
    pub name: &'static str,
    /// The number of the sentence that it tries; none, where it is about our own servers.
    pub sentence: Option<&'static str>,
    /// The sentences without which it can't be tried: the first case of each has to hold.
    pub needs: Vec<&'static str>,
    /// Whether it takes more than some seconds, most of which it waits.
    pub is_slow: bool,
    /// Whether it can be tried on a server that runs already, and that others use.
    pub is_for_any: bool,
    run: Box<Run>,
}

type Run = dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync;

impl Case {
    /// What it tries, in words: its name without the module.
    #[must_use]
    pub fn title(&self) -> String {
        self.name.rsplit("::").next().unwrap_or(self.name).replace('_', " ")
    }

    /// Tries it.
    pub fn run(&self, technique: &'static str) -> Pin<Box<dyn Future<Output = ()>>> {
        (self.run)(technique)
    }

    fn slow(self) -> Case {
        Case { is_slow: true, ..self }
    }

    fn for_any(self) -> Case {
        Case { is_for_any: true, ..self }
    }

    /// It can't be tried without these sentences either.
    fn needing(mut self, numbers: &[&'static str]) -> Case {
        self.needs.extend(numbers.iter().filter(|number| Some(**number) != self.sentence));
        self
    }
}

/// A case that tries this sentence, if it tries one. It is called as its function is.
fn case<F, R>(sentence: &'static str, run: F) -> Case
where
    F: Fn(&'static str) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + 'static,
{
    let name = std::any::type_name::<F>();
    Case {
        name: name.strip_prefix("check::suite::").unwrap_or(name),
        sentence: Some(sentence).filter(|number| !number.is_empty()),
        needs: Vec::new(),
        is_slow: false,
        is_for_any: false,
        run: Box::new(move |technique| Box::pin(run(technique))),
    }
}

/// The sentences that others need, each behind those that it needs itself.
pub const NEEDED: [&str; 19] = [
    "1.2", "1.5", "1.7", "1.8", "1.10", "1.11", "1.12", "1.13", "1.3", "1.14", "2.15", "2.18",
    "2.2", "2.1", "2.4", "2.5", "2.16", "2.20", "2.19",
];

/// What each of these cases needs.
fn need(numbers: &[&'static str], cases: Vec<Case>) -> impl Iterator<Item = Case> {
    cases.into_iter().map(move |case| case.needing(numbers))
}

thread_local! {
    static BUT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What is not as one would wish, though every client can live with it: the case that runs on this
/// thread holds, but …
pub fn but(what: impl Into<String>) {
    BUT.with_borrow_mut(|all| all.push(what.into()));
}

/// The same, where this is not so.
pub fn but_only(is_so: bool, what: &str) {
    if !is_so {
        but(what);
    }
}

/// All that was said so on this thread since this was asked last.
#[must_use]
pub fn buts() -> Vec<String> {
    let mut all = BUT.take();
    all.dedup();
    all
}

/// All cases of a technique: what it has in common with the others, and its own.
#[must_use]
pub fn cases(technique: &str) -> Vec<Case> {
    // How its client listens, as what an update comes, and where its id stands.
    let (hears, says, ids) = match technique {
        "polling" => ("1.7", "1.7", "1.7"),
        "long-polling" => ("1.8", "1.8", "1.8"),
        "server-sent-events" => ("1.10", "1.11", "2.15"),
        _ => ("1.12", "1.13", "2.18"),
    };
    let talks = [&["1.2", hears][..], &["1.3"]].concat();
    let resumes = [&talks[..], &["1.5", ids, "2.2"]].concat();
    let mut cases = vec![case("1.1", basic::it_says_where_it_listens)];
    cases.push(case("1.2", basic::a_message_is_confirmed).for_any());
    cases.extend(need(&["1.2"], publishing()));
    cases.extend(need(&["1.2", hears, says, "1.3"], hearing()));
    cases.extend(need(&resumes, resuming()));
    cases.extend(need(&talks, talking()));
    cases.extend(alone());
    cases.extend(own(technique, &resumes));
    cases.extend(ours());
    cases
}

/// What is true of the answers to those who publish.
fn publishing() -> Vec<Case> {
    vec![
        case("1.2", basic::it_is_confirmed_by_201).for_any(),
        case("1.5", basic::ids_grow).for_any(),
        case("2.1", cursor::ids_are_the_time_in_microseconds).for_any().needing(&["1.5"]),
        case("2.1", cursor::ids_grow_over_a_restart),
        case("3.1", messages::json_by_any_of_its_names).for_any(),
        case("3.2", messages::at_most_4096_bytes).for_any(),
        case("3.10", names::another_sites_name_is_refused).for_any(),
        case("3.10", names::allowed_names_pass),
        case("3.11", names::listening_elsewhere_every_name_passes),
        case("3.14", ending::the_same_port_is_free_after_it),
    ]
}

/// What is true for those who listen.
fn hearing() -> Vec<Case> {
    vec![
        case("1.3", basic::client_a_reaches_client_b).for_any(),
        case("1.4", basic::in_the_order_of_sending).for_any(),
    ]
}

/// What is true for those who come back with a cursor.
fn resuming() -> Vec<Case> {
    vec![
        case("2.2", cursor::what_is_newer_then_what_comes).for_any(),
        case("2.2", cursor::nothing_falls_between_look_and_wait).for_any(),
        case("2.3", cursor::cut_off_at_random_moments_misses_nothing).for_any(),
        case("2.4", cursor::the_newest_1000_are_kept).for_any(),
        case("2.5", gap::away_for_too_long_is_told).needing(&["2.4"]),
        case("2.6", gap::a_restart_is_told).needing(&["2.1", "2.5"]),
        case("2.7", cursor::a_cursor_beyond_the_newest_is_told_a_gap).needing(&["2.5"]),
        case("2.8", fair::a_burst_is_for_everyone_who_reads).for_any(),
        case("2.9", slow::a_client_that_catches_up_slowly).slow(),
        case("2.10", messages::an_event_with_a_name).for_any(),
        case("2.11", messages::any_text_arrives).for_any(),
        case("2.12", slow::generated_updates).slow(),
        case("2.12", slow::quiet).slow(),
        case("3.3", cursor::what_is_no_id_is_refused).for_any(),
        case("3.7", methods::old_http_is_answered_as_it_reads).for_any(),
        case("3.16", slow::a_client_that_no_longer_reads).slow(),
        case("3.17", fair::no_queue_grows_for_those_who_do_not_read),
        case("3.17", fair::answers_that_nobody_reads_cost_little),
        case("3.17", hostile::requests_without_reading_the_answers),
    ]
}

/// What a server has to withstand while one client reaches the other.
fn talking() -> Vec<Case> {
    vec![
        case("3.1", messages::bad_messages_are_refused).for_any(),
        case("3.15", ending::a_client_that_closes_is_forgotten),
        case("3.15", ending::a_client_that_closes_its_half_is_forgotten),
        case("3.15", ending::a_client_that_resets_is_forgotten),
        case("3.16", slow::a_body_that_nobody_reads).slow(),
        case("3.16", slow::a_body_that_never_comes).slow(),
        case("3.16", slow::silent_clients_are_forgotten).slow(),
        case("3.18", hostile::random_bytes),
        case("3.18", hostile::random_changes_to_a_request),
        case("3.19", hostile::more_clients_than_files),
        case("3.28", between::another_sites_page_learns_nothing),
        case("3.29", between::an_offered_upgrade_is_ignored),
        case("3.29", between::an_upgrade_with_a_body_is_refused),
        case("3.30", between::a_whole_request_and_a_closed_half),
    ]
}

/// What needs nothing else.
fn alone() -> Vec<Case> {
    vec![
        case("3.4", headers::other_methods_are_refused).for_any(),
        case("3.4", methods::what_is_allowed_is_said).for_any(),
        case("3.5", messages::why_is_one_line_of_text).for_any(),
        case("3.8", headers::every_response_has_them).for_any(),
        case("3.9", headers::no_cors).for_any(),
        case("3.10", names::what_can_never_match_is_refused),
        case("3.12", names::localhost_is_two_addresses),
        case("3.12", start::host_says_for_whom),
        case("3.13", start::a_port_that_is_none),
        case("3.13", start::a_port_that_is_taken),
        case("3.13", start::any_free_port),
        case("3.14", ending::sigterm_at_once_ends_with_0),
        case("3.14", ending::ctrl_c_ends_with_0),
        case("3.14", ending::a_thousand_clients_do_not_hold_the_end),
    ]
}

/// What nobody else's server has to have.
fn ours() -> Vec<Case> {
    vec![
        case("", start::the_first_line_says_where),
        case("", start::the_default_port),
        case("", start::the_page_and_what_pages_share),
        case("", start::a_plain_get_leads_to_the_page),
        case("", start::from_any_folder),
        case("", headers::nothing_outside_of_the_asset_folders),
        case("", methods::head_of_a_page),
        case("", names::the_name_that_was_asked_for_is_said),
        case("", fair::a_burst_in_one_go),
    ]
}

/// What only one technique has.
fn own(technique: &str, resumes: &[&'static str]) -> Vec<Case> {
    match technique {
        "polling" => of_polling(resumes),
        "long-polling" => of_long_polling(resumes),
        "server-sent-events" => of_server_sent_events(resumes),
        _ => of_websockets(resumes),
    }
}

fn of_polling(resumes: &[&'static str]) -> Vec<Case> {
    let published = vec![
        case("1.6", polling::the_newest),
        case("1.7", polling::all_that_is_kept),
        case("", polling::the_newest_whatever_else_is_asked),
        case("", polling::a_browser_is_led_to_the_page),
    ];
    let back = vec![case("2.13", polling::only_what_is_newer).for_any()];
    let head = case("3.6", methods::head_is_answered).for_any();
    need(&["1.2"], published).chain(need(resumes, back)).chain([head]).collect()
}

fn of_long_polling(resumes: &[&'static str]) -> Vec<Case> {
    let published = vec![
        case("1.8", basic::everybody_who_waits_is_answered).for_any(),
        case("1.9", basic::nothing_after_25_seconds).slow(),
    ];
    let back = vec![
        case("2.2", long_polling::at_once).for_any(),
        case("2.2", long_polling::whatever_comes_next).for_any(),
        case("2.14", long_polling::the_preferred_time_is_applied).for_any(),
        case("2.14", long_polling::nothing_after_the_preferred_seconds).slow(),
        case("", long_polling::as_soon_as_something_is_newer),
        case("", long_polling::nothing_after_25_seconds).slow(),
    ];
    need(&["1.2"], published).chain(need(resumes, back)).collect()
}

fn of_server_sent_events(resumes: &[&'static str]) -> Vec<Case> {
    let begun = vec![
        case("1.10", basic::a_stream_begins).for_any(),
        case("1.10", basic::a_stream_begins_at_events).for_any(),
    ];
    let heard = vec![
        case("1.11", basic::an_update_is_an_event).for_any(),
        case("2.11", basic::lines_stay_in_one_event).for_any(),
        case("2.15", server_sent_events::retry_and_ids).for_any(),
        case("2.15", server_sent_events::each_stream_has_its_own_retry).for_any(),
        case("2.17", server_sent_events::a_comment_after_15_seconds_of_silence).slow(),
    ];
    let back = vec![
        case("2.5", server_sent_events::a_gap_is_an_event).needing(&["2.4", "2.16"]),
        case("2.11", server_sent_events::any_text_comes_back_as_itself).for_any(),
        case("2.16", server_sent_events::where_it_resumes),
        case("", server_sent_events::the_stream_to_the_byte).for_any(),
    ];
    let begun = need(&["1.2"], begun);
    begun.chain(need(&["1.2", "1.10", "1.11"], heard)).chain(need(resumes, back)).collect()
}

fn of_websockets(resumes: &[&'static str]) -> Vec<Case> {
    let alone = vec![
        case("1.12", websockets::the_handshake).for_any(),
        case("1.12", websockets::the_handshake_at_the_root).for_any(),
        case("3.21", websockets::no_handshake).for_any(),
        case("3.21", websockets::what_is_missing_is_said),
    ];
    let open = vec![
        case("1.14", basic::a_text_is_for_everyone).for_any().needing(&["1.13", "1.3"]),
        case("2.20", websockets::a_close_gets_its_close).for_any(),
        case("2.20", websockets::a_ping_gets_its_pong).for_any(),
        case("2.22", websockets::a_ping_every_15_seconds).slow().needing(&["1.14"]),
        case("3.17", websockets::pings_without_reading_the_pongs),
        case("3.20", websockets::another_sites_page_is_refused),
        case("3.23", websockets::silence_for_30_seconds_is_the_end).slow().needing(&["2.19"]),
    ];
    let heard = vec![
        case("1.13", basic::an_update_is_a_frame).for_any(),
        case("2.18", websockets::an_update_is_json).for_any().needing(&["1.3"]),
        case("3.27", websockets::a_stop_is_a_close),
    ];
    let spoken = vec![
        case("2.19", websockets::messages_in_pieces).for_any(),
        case("3.18", websockets::random_frames),
        case("3.24", websockets::a_message_is_printed),
        case("3.24", websockets::one_line_for_one_thing),
        case("3.25", websockets::nobody_reads_stdout),
        case("3.25", websockets::nobody_reads_stdout_at_the_end),
    ];
    let back = vec![
        case("2.2", websockets::where_it_begins).for_any(),
        case("2.5", websockets::a_gap_is_a_frame).needing(&["2.4"]),
        case("2.21", websockets::a_message_and_gone).needing(&["1.14", "2.20"]),
        case("2.21", websockets::many_messages_and_a_close).needing(&["1.14", "2.20"]),
        case("2.21", websockets::a_few_messages_beside_a_flood).needing(&["1.14", "2.20"]),
        case("3.26", websockets::a_client_that_does_not_read_is_heard),
        case("", websockets::many_messages_and_gone),
        case("3.22", websockets::what_may_not_be_sent),
    ];
    let open = need(&["1.12"], open).chain(need(&["1.2", "1.12", "1.13"], heard));
    let spoken = need(&["1.12", "1.14"], spoken);
    alone.into_iter().chain(open).chain(spoken).chain(need(resumes, back)).collect()
}

/// Runs all cases of a technique as tests, and ends the process. Those that take their time run side
/// by side in one test: there are as many test threads as processors, and they only wait.
pub fn main(technique: &'static str) {
    let (slow, quick): (Vec<_>, Vec<_>) =
        cases(technique).into_iter().partition(|case| case.is_slow);
    let test = |case: Case| {
        Trial::test(case.name, move || {
            lab::run(case.run(technique));
            Ok(())
        })
    };
    let mut tests: Vec<_> = quick.into_iter().map(test).collect();
    tests.push(Trial::test("all_that_takes_its_time", move || {
        let parts = slow.iter().map(|case| (case.name, case.run(technique)));
        lab::run(lab::together(parts.collect()));
        Ok(())
    }));
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}
