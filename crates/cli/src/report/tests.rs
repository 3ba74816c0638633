use std::time::Duration;

use csc_sender_run::{
    EndedBy, Failure, Figures, Mode, Post, Refusal, RunBrief, RunCounts, Setting,
};

use super::{Report, RunView, Who, html, lines};

const HOSTILE: &str = r#"<script>alert("x")</script>&'<img src=x onerror=y>"#;

fn run() -> RunView {
    let mut figures = Figures::default();
    for n in 0..82 {
        figures.add(&Post {
            bytes: 60_000 + n * 137 % 9_000,
            took: Duration::from_millis(300 + n * 71 % 400),
            accepted: n != 40,
        });
    }
    RunView {
        run_id: "20261124T020001Z-5d1c07ae".into(),
        mode: Mode::Live,
        begun_at: "2026-11-24T02:00:01.020Z".into(),
        ended_at: Some("2026-11-24T02:01:12.400Z".into()),
        who: Some(Who {
            user: HOSTILE.into(),
            host: HOSTILE.into(),
            program: "csc-sender 0.1.0".into(),
        }),
        place: HOSTILE.into(),
        endpoint: Some(HOSTILE.into()),
        la_code: "845".into(),
        payloads: "full".into(),
        counts: Some(RunCounts {
            exit_code: 1,
            eligible: 8_125,
            accepted: 8_123,
            refused: 2,
            posts: 82,
            took: Duration::from_secs(71),
            ended_by: Some(EndedBy {
                code: "CSC0410".into(),
                what: HOSTILE.into(),
                why: HOSTILE.into(),
                next: HOSTILE.into(),
            }),
            ..RunCounts::default()
        }),
        receipts: 8_123,
        figures,
        failures: vec![Failure {
            status: Some(503),
            request_id: Some(HOSTILE.into()),
        }],
        refusals: vec![Refusal {
            reason: "the record breaks the payload rules".into(),
            rule: Some("date".into()),
            item: Some("7".into()),
            path: HOSTILE.into(),
            message: HOSTILE.into(),
            advice: HOSTILE.into(),
            rows: 150,
            row_ids: (1..=100).collect(),
        }],
        settings: vec![Setting {
            name: "PROXY".into(),
            value: HOSTILE.into(),
            source: HOSTILE.into(),
        }],
    }
}

fn brief(n: u64) -> RunBrief {
    let day: jiff::civil::Date = "2025-10-01".parse().unwrap();
    let day = day
        .checked_add(jiff::Span::new().days(i64::try_from(n).unwrap()))
        .unwrap();
    RunBrief {
        run_id: format!("run{n}"),
        begun_at: format!("{day}T02:00:00.000Z"),
        ending: Some(HOSTILE.into()),
        accepted: 1_000 + n,
        refused: (n != 3).then_some(n % 5),
        exit_code: Some(u8::from(!n.is_multiple_of(5))),
    }
}

fn report(run: Option<RunView>, runs: u64) -> Report {
    Report {
        made_at: "2026-11-24T03:00:00Z".parse().unwrap(),
        run,
        history: (0..runs).map(brief).collect(),
    }
}

#[test]
fn whatever_stands_in_the_page_is_text() {
    for page in [html(&report(Some(run()), 400)), html(&report(None, 0))] {
        let document = without_the_escaped(&page);
        assert!(!document.contains("<script"), "{page}");
        assert!(!document.contains("<img"), "{page}");
        assert_eq!(page.matches("<style>").count(), 1);
        assert!(!page.contains(" style="), "the policy forbids them");
        assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
        for from_elsewhere in ["src=", "href=", "@import", "url(", "http-equiv=\"refresh\""] {
            let markup = page.replace("&lt;img src=x", "");
            assert!(!markup.contains(from_elsewhere), "{from_elsewhere}");
        }
    }
}

/// The page without what was escaped in it.
fn without_the_escaped(page: &str) -> String {
    page.replace("&lt;", "").replace("&gt;", "")
}

#[test]
fn the_policy_knows_the_style_sheet_by_its_hash() {
    use base64::Engine;
    let page = html(&report(None, 0));
    let (_, rest) = page.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(csc_digest::sha256(style));
    assert!(page.contains(&format!("sha256-{hash}")), "{hash}");
}

#[test]
fn rows_are_named_by_their_ids_and_the_rest_is_counted() {
    let page = html(&report(Some(run()), 1));
    assert!(page.contains("150 rows"));
    assert!(page.contains("99, 100 and 50 more"));
    assert!(page.contains("8,123 records sent, 2 refused."));
    let text = lines(&report(Some(run()), 1)).join("\n");
    assert!(text.contains("row ids: 1, 2, 3"), "{text}");
    assert!(text.contains("82 posts"), "{text}");
}

#[test]
fn many_runs_become_weeks_and_few_stay_days() {
    let bars = |runs| {
        html(&report(Some(run()), runs))
            .matches(" refused, in ")
            .count()
    };
    assert_eq!(bars(30), 30);
    assert_eq!(bars(400), 58, "400 days from a Wednesday");
    let page = html(&report(Some(run()), 400));
    assert!(page.contains("week of 2025-09-29"));
    assert!(page.contains("Of 1 run the journal does not know"));
    assert_eq!(page.matches("<th class=\"when\"").count(), 14);
}

#[test]
fn a_run_without_counts_says_so() {
    let mut cut = run();
    cut.counts = None;
    cut.ended_at = None;
    cut.receipts = 1;
    let page = html(&report(Some(cut), 1));
    assert!(
        page.contains("It has not ended, or was ended by force. 1 record has a receipt so far."),
        "{page}"
    );
}

#[test]
fn a_testing_run_is_marked_as_one() {
    let mut testing = run();
    testing.mode = Mode::Testing;
    testing.endpoint = None;
    testing.who = None;
    let page = html(&report(Some(testing), 0));
    assert!(page.contains("TESTING RUN") && page.contains("nothing left the authority"));
    assert!(page.contains("(simulated)"));
}
