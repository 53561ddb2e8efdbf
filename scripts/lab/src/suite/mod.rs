//! What all four servers have in common, tried on any of them: each test takes the server's name.
//! `tests/wire.rs` of a server makes tests of its own of them with [`common_tests!`].
//!
//! [`common_tests!`]: crate::common_tests

pub mod cursor;
pub mod ending;
pub mod fair;
pub mod gap;
pub mod headers;
pub mod hostile;
pub mod messages;
pub mod methods;
pub mod names;
pub mod slow;
pub mod start;

/// Makes one test of each case for the server of this name, in a module for each topic.
#[macro_export]
macro_rules! common_tests {
    ($server:literal) => { $crate::common_tests! { $server:
        cursor {
            ids_grow_and_are_the_time_in_microseconds
            a_cursor_holds_over_a_restart
            a_cursor_beyond_the_newest_counts_as_0
            what_is_no_id_is_refused
            the_newest_1000_are_kept
            cut_off_at_random_moments_misses_nothing
        }
        ending {
            sigterm_at_once_ends_with_0
            ctrl_c_ends_with_0
            a_thousand_clients_do_not_hold_the_end
            the_same_port_is_free_after_it
            a_client_that_closes_is_forgotten
            a_client_that_closes_its_half_is_forgotten
            a_client_that_resets_is_forgotten
        }
        fair {
            a_burst_is_for_everyone_who_reads
            answers_that_nobody_reads_cost_little
        }
        gap {
            away_for_too_long_is_told
            a_restart_is_told
        }
        headers {
            every_response_has_them
            no_cors
            other_methods_are_refused
            nothing_outside_of_the_asset_folders
        }
        hostile {
            random_bytes
            random_changes_to_a_request
            requests_without_reading_the_answers
            more_clients_than_files
        }
        messages {
            client_a_to_client_b
            json_by_any_of_its_names
            bad_messages_are_refused
            at_most_4096_bytes
        }
        methods {
            head_is_answered
            what_is_allowed_is_said
            old_http_is_answered_as_it_reads
        }
        names {
            another_sites_name_is_refused
            allowed_names_pass
            listening_elsewhere_every_name_passes
            localhost_is_two_addresses
        }
        start {
            the_first_line_says_where
            a_port_that_is_none
            a_port_that_is_taken
            the_default_port
            host_says_for_whom
            the_page_and_what_pages_share
            a_plain_get_leads_to_the_page
            from_any_folder
        }
    } };
    ($server:literal: $($topic:ident { $($case:ident)* })*) => {
        $(mod $topic {
            $(#[test] fn $case() { $crate::run($crate::suite::$topic::$case($server)); })*
        })*
    };
}
