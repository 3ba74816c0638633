//! One test per row of the replies table: what each reply does to the rows, to the rest
//! of the table, to the exit code, and what a person is told.

use crate::faulty::dead_port;
use crate::place::Place;

/// Thirty children in batches of ten; the fault strikes after the first batch.
fn reply(fault: &str, exit: i32, statuses: &str, told: &str, response: &str) {
    let place = Place::new(30, &[fault]);
    place.write_env("MAX_RETRIES=2");
    let ran = place.live(&[]);
    assert_eq!(ran.exit, exit, "{fault}: {}", ran.both());
    assert_eq!(place.statuses(), statuses, "{fault}: {}", ran.both());
    assert!(ran.both().contains(told), "{fault}: {}", ran.both());
    let said = place.text("api_response", 11);
    assert!(said.contains(response), "{fault}: {said}");
}

macro_rules! replies {
    ($($name:ident: $fault:expr => $exit:expr, $statuses:expr, $told:expr, $response:expr;)+) => {
        $(
            #[test]
            fn $name() {
                reply($fault, $exit, $statuses, $told, $response);
            }
        )+
    };
}

const SENT: &str = "sent 30";
const LEFT_PENDING: &str = "pending 20, sent 10";
const ONE_BATCH: &str = "error 10, pending 10, sent 10";

replies! {
    receipts_as_a_list_are_read: "receipts=json" => 0, SENT, "30 records sent", "-";
    receipts_as_text_are_read: "receipts=text" => 0, SENT, "30 records sent", "-";
    no_content_refuses_the_batch: "no-content,after=1,times=1" => 1, "error 10, sent 20", "took nothing (204)", "status 204";
    a_400_that_names_a_record_costs_only_that: "refuse=C14" => 1, "error 1, sent 29", "refused by the receiver (row 14)", "-";
    a_400_that_names_none_costs_only_the_bad_record: "refuse-unnamed=C14" => 1, "error 1, sent 29", "(row 14)", "-";
    a_400_with_nonsense_indices_costs_only_the_bad_record: "refuse-nonsense=C14" => 1, "error 1, sent 29", "(row 14)", "-";
    a_422_is_a_400: "status=422,after=1" => 1, "error 20, sent 10", "refused by the receiver", "status 422";
    a_401_gets_a_fresh_token: "expire-tokens=1" => 0, SENT, "30 records sent", "-";
    a_401_gets_the_secondary_key: "revoke-primary-key" => 0, SENT, "30 records sent", "-";
    a_401_that_stays_ends_the_run: "status=401,after=1" => 4, LEFT_PENDING, "CSC0405", "";
    a_403_is_tried_again_and_ends_the_run: "forbid,after=1" => 4, ONE_BATCH, "CSC0410", "403";
    a_404_ends_the_run: "status=404,after=1" => 4, LEFT_PENDING, "CSC0407", "";
    a_405_ends_the_run: "status=405,after=1" => 4, LEFT_PENDING, "CSC0407", "";
    a_redirect_ends_the_run: "redirect=http://127.0.0.1:9/,after=1" => 4, LEFT_PENDING, "CSC0406", "";
    a_407_ends_the_run: "status=407,after=1" => 4, LEFT_PENDING, "CSC0408", "";
    another_4xx_ends_the_run: "status=410,after=1" => 4, LEFT_PENDING, "CSC0409", "";
    a_408_is_tried_again: "status=408,after=1,times=2" => 0, SENT, "trying again", "-";
    a_500_is_tried_again: "status=500,after=1,times=2" => 0, SENT, "trying again", "-";
    a_503_that_stays_ends_the_run: "status=503,after=1" => 4, ONE_BATCH, "CSC0410", "503";
    a_reset_is_tried_again: "reset,after=1,times=2" => 0, SENT, "trying again", "-";
    a_reset_that_stays_ends_the_run: "reset,after=1" => 4, ONE_BATCH, "CSC0410", "no answer";
    a_lost_reply_is_tried_again: "drop,after=1,times=1" => 0, SENT, "no answer", "-";
    a_413_halves_the_batch: "max-bytes=400" => 0, SENT, "30 records sent", "-";
    a_429_is_waited_for: "429=0,after=1,times=1" => 0, SENT, "trying again", "-";
    a_429_with_a_date_is_waited_for: "429=http-date:0,after=1,times=1" => 0, SENT, "trying again", "-";
    a_429_that_asks_too_much_ends_the_run: "429=301,after=1" => 4, ONE_BATCH, "CSC0411", "301 s";
    a_429_that_stays_ends_the_run: "429=0,after=1" => 4, ONE_BATCH, "CSC0410", "429";
    receipts_that_are_too_few_mark_the_batch: "receipts-short,after=1,times=1" => 1, "error 10, sent 20", "receipts can't be read", "9 receipts";
    a_reply_that_cannot_be_read_marks_the_batch: "garbage,after=1,times=1" => 1, "error 10, sent 20", "receipts can't be read", "status 200";
    a_page_of_html_marks_the_batch: "html,after=1,times=1" => 1, "error 10, sent 20", "receipts can't be read", "html";
    everything_refused_stops_the_run: "refuse-all" => 6, "error 30", "CSC0601", "status 400";
    a_refused_token_ends_the_run: "token-status=401" => 4, "pending 30", "CSC0401", "";
    a_token_endpoint_that_is_down_ends_the_run: "token-status=503" => 4, "pending 30", "CSC0404", "";
}

#[test]
fn a_receiver_that_is_not_there_ends_the_run_before_anything_is_posted() {
    let place = Place::new(30, &[]);
    place.write_env(&format!(
        "API_ENDPOINT=http://127.0.0.1:{}{}\nMAX_RETRIES=1",
        dead_port(),
        csc_simulator::API_PATH
    ));
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 4);
    assert_eq!(place.statuses(), "error 10, pending 20");
    assert!(place.text("api_response", 1).contains("no answer"));
}

#[test]
fn a_slow_receiver_is_given_up_after_the_timeout() {
    let place = Place::new(10, &["slow=20000"]);
    place.write_env("API_TIMEOUT=5\nMAX_RETRIES=1");
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 4, "{}", ran.both());
    assert_eq!(place.statuses(), "error 10");
}

#[test]
fn the_token_errors_own_words_reach_the_user() {
    let place = Place::new(3, &[]);
    place.write_env("CLIENT_SECRET=notthesecretcanary");
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 4);
    assert!(ran.both().contains("AADSTS"), "{}", ran.both());
    assert!(!ran.both().contains("notthesecretcanary"));
}

#[test]
fn request_ids_of_failed_posts_are_in_the_summary() {
    let place = Place::new(10, &["status=503,times=1"]);
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 0);
    assert!(
        ran.stdout.contains("failed post: status 503, request id "),
        "{}",
        ran.stdout
    );
}
