//! One suite of behaviour for every staging store: what holds for one database holds
//! for all. Each place is a real database with a table that somebody else made.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    missing_docs
)]

mod anon;
mod place;
mod sqlserver;
mod sqlserver_suite;
mod suite;

use place::Place;

/// Makes one test per behaviour for a kind of place. `$place` is an `Option`: where the
/// server that it needs is not there, its tests have nothing to do.
macro_rules! behaves {
    ($name:ident, $place:expr) => {
        behaves!($name, async { Some($place.await) }, given);
    };
    ($name:ident, $place:expr, given) => {
        mod $name {
            use super::*;
            behaves!(@tests $place;
                eligible_rows_are_read_in_order_of_id_whatever_the_case_of_their_words
                rows_that_are_sent_deleted_or_blank_are_not_read
                only_the_newest_row_of_a_child_is_read
                every_row_without_a_person_is_read
                a_long_history_is_passed_over
                pages_end_at_their_bounds_and_miss_nothing
                a_page_always_holds_a_row_however_large
                text_is_carried_byte_for_byte
                an_accepted_row_is_recorded_in_all_its_columns
                a_refused_row_keeps_everything_but_status_and_response
                a_tested_row_keeps_everything_but_status_and_response
                a_row_whose_payload_changed_meanwhile_is_left_alone
                a_row_whose_state_changed_meanwhile_is_left_alone
                a_row_that_was_only_touched_is_still_recorded
                a_row_that_is_gone_or_became_another_childs_is_left_alone
                a_hundred_outcomes_of_all_kinds_are_one_call
                columns_that_we_do_not_know_survive
                a_second_run_is_kept_out_until_the_first_has_ended
                creating_leaves_a_table_that_exists_alone
                the_summary_counts_what_is_there
                what_is_present_is_told_without_the_table
                what_is_prepared_for_recording_changes_nothing
                rows_that_were_never_sent_are_no_last_submission
                staged_rows_are_new_and_pending
                deleted_rows_are_read_apart_whatever_their_status
                every_child_that_is_not_deleted_is_read_for_a_check
                a_purge_is_recorded_and_the_row_stays_deleted
                deltas_are_written_only_to_rows_that_are_as_they_were_read
                a_table_that_is_missing_or_lacks_a_column_is_named
                an_examination_names_what_is_missing_and_what_mends_it
                a_trial_of_writing_leaves_nothing_behind
                a_filling_is_all_or_nothing
                earlier_rows_go_only_where_that_is_asked_for
                only_a_table_of_fake_children_is_filled_or_changed
                changes_are_staged_as_the_pilots_sql_stages_them
                legacy_ids_are_read_by_row
                rows_are_set_back_by_their_status_and_counted
            );
        }
    };
    (@tests $place:expr; $($behaviour:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let place: Option<Place> = $place.await;
                let Some(place) = place else { return };
                suite::$behaviour(&place).await;
                place.clean().await;
            }
        )+
    };
}

behaves!(sqlite_as_created, Place::sqlite(place::SQLITE_CREATED));
behaves!(sqlite_of_others, Place::sqlite(place::SQLITE_OTHERS));
behaves!(postgres_as_created, Place::postgres(place::PG_CREATED));
behaves!(
    postgres_text_with_short_response,
    Place::postgres(place::PG_SHORT)
);
behaves!(
    postgres_jsonb_with_extra_columns,
    Place::postgres(place::PG_JSONB)
);
behaves!(
    postgres_mixed_types_without_legacy_id,
    Place::postgres(place::PG_MIXED)
);
behaves!(
    postgres_with_a_unique_person,
    Place::postgres(place::PG_UNIQUE)
);

behaves!(
    sqlserver_as_created,
    Place::sqlserver(sqlserver::CREATED),
    given
);
behaves!(
    sqlserver_of_an_older_release,
    Place::sqlserver(sqlserver::OLD),
    given
);
behaves!(
    sqlserver_case_sensitive_with_a_trigger,
    Place::sqlserver(sqlserver::CASE_SENSITIVE),
    given
);
behaves!(
    sqlserver_with_a_unique_person,
    Place::sqlserver(sqlserver::UNIQUE),
    given
);

/// What only a database with transactions of several sessions can show.
mod postgres_only {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_change_that_commits_while_the_outcome_waits_for_its_lock_wins() {
        let place = Place::postgres(place::PG_JSONB).await;
        suite::a_change_under_way_wins(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_payload_column_with_a_limit_is_named_with_what_lifts_it() {
        let place = Place::postgres(place::PG_CREATED).await;
        let shorten = "ALTER TABLE {t} ALTER COLUMN partial_json_payload TYPE VARCHAR(4000)";
        suite::a_payload_column_with_a_limit_is_named_with_what_lifts_it(&place, shorten).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_in_another_schema_is_named_where_there_is_none_here() {
        let place = Place::postgres(place::PG_CREATED).await;
        suite::a_table_in_another_schema_is_named_where_there_is_none_here(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_trial_of_writing_finds_a_right_that_is_missing_for_a_column() {
        let place = Place::postgres(place::PG_CREATED).await;
        suite::a_trial_of_writing_finds_a_right_that_is_missing_for_a_column(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_response_is_cut_to_the_columns_length() {
        let place = Place::postgres(place::PG_SHORT).await;
        suite::a_response_is_cut(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_is_found_whatever_the_case_of_its_name() {
        let place = Place::postgres(place::PG_SHORT).await;
        suite::found_in_upper_case(&place).await;
        place.clean().await;
    }
}

/// What only SQL Server has.
mod sqlserver_only {
    use super::*;

    async fn at(made: place::Made) -> Option<Place> {
        Place::sqlserver(made).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_payload_column_with_a_limit_is_named_with_what_lifts_it() {
        let Some(place) = at(sqlserver::CREATED).await else {
            return;
        };
        let shorten = "ALTER TABLE {t} ALTER COLUMN partial_json_payload NVARCHAR(4000)";
        suite::a_payload_column_with_a_limit_is_named_with_what_lifts_it(&place, shorten).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_check_says_to_a_logon_without_rights_lets_it_in() {
        let Some(place) = at(sqlserver::CREATED).await else {
            return;
        };
        sqlserver_suite::what_check_says_to_a_logon_without_rights_lets_it_in(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_in_another_schema_is_named_where_there_is_none_here() {
        let Some(place) = at(sqlserver::CREATED).await else {
            return;
        };
        suite::a_table_in_another_schema_is_named_where_there_is_none_here(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_change_that_commits_while_the_outcome_waits_for_its_lock_wins() {
        let Some(place) = at(sqlserver::CREATED).await else {
            return;
        };
        sqlserver_suite::a_change_under_way_wins(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_response_is_cut_to_the_columns_length_in_utf16() {
        let Some(place) = at(sqlserver::OLD).await else {
            return;
        };
        suite::a_response_is_cut(&place).await;
        sqlserver_suite::a_response_is_never_cut_inside_a_pair(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_response_is_cut_in_a_column_of_bytes_too() {
        let Some(place) = at(sqlserver::UNIQUE).await else {
            return;
        };
        suite::a_response_is_cut(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_is_found_whatever_the_case_of_its_name() {
        let Some(place) = at(sqlserver::OLD).await else {
            return;
        };
        suite::found_in_upper_case(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_receipts_time_is_kept_in_a_datetime() {
        let Some(place) = at(sqlserver::CREATED).await else {
            return;
        };
        sqlserver_suite::receipts_times_are_kept(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_printed_script_runs_twice_without_harm() {
        let Some(place) = at(sqlserver::OLD).await else {
            return;
        };
        sqlserver_suite::the_script_runs_twice(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn select_and_update_are_all_the_rights_that_are_needed() {
        let Some(place) = at(sqlserver::CASE_SENSITIVE).await else {
            return;
        };
        sqlserver_suite::select_and_update_suffice(&place).await;
        place.clean().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_wrong_password_and_an_unknown_certificate_are_told_in_words() {
        let Some(place) = at(sqlserver::CREATED).await else {
            return;
        };
        sqlserver_suite::logon_and_certificate_are_checked(&place).await;
        place.clean().await;
    }
}
