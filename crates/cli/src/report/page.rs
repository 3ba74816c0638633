//! The report as one HTML page that needs nothing from anywhere else: no script, no
//! image, no font. maud escapes whatever stands in it, and the page's own policy lets a
//! browser load nothing and run nothing.

use base64::Engine;
use csc_digest::sha256;
use csc_payload::finding::RuleId;
use csc_sender_run::{Failure, Mode, Refusal, RunBrief, RunCounts};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts::{Bar, Chart};
use super::words::{counted, day, minute, moment, number, size, time};
use super::{Report, RunView};

const STYLE: &str = include_str!("style.css");

/// So many of the failed posts are listed.
const FAILURES: usize = 20;
/// So many of the last runs are listed.
const RUNS: usize = 14;
/// So many days have a bar each; of more, weeks do.
const DAYS: usize = 62;

/// The page.
pub fn html(report: &Report) -> String {
    let title = match &report.run {
        Some(run) => format!("csc-sender: run {}", run.run_id),
        None => "csc-sender: no run yet".to_string(),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    @match &report.run {
                        Some(run) => (run_sections(run)),
                        None => (no_run()),
                    }
                    (over_time(report))
                    @if let Some(run) = &report.run {
                        (facts(run))
                        (settings(run))
                    }
                    footer {
                        p {
                            "Made by csc-sender " (env!("CARGO_PKG_VERSION")) " at "
                            (moment(&report.made_at.to_string())) ". Times are UTC. Of children there are row ids \
                             here and nothing else; what is wrong with a row stands in its api_response."
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// Nothing may be loaded, run or sent; the one style sheet is known by its hash.
fn policy() -> String {
    let hash = base64::engine::general_purpose::STANDARD.encode(sha256(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

fn no_run() -> Markup {
    html! {
        header {
            h1 { "No live run yet" }
            p.lead {
                "The journal on this machine knows of no run that sent anything. "
                "Testing runs are not in it: " code { "csc-sender send --report DIR" }
                " writes a report of one."
            }
        }
    }
}

fn run_sections(run: &RunView) -> Markup {
    html! {
        header {
            div.eyebrow {
                @match run.mode {
                    Mode::Live => span.badge { "LIVE RUN" },
                    Mode::Testing => span.badge.testing { "TESTING RUN" },
                }
                span { (moment(&run.begun_at)) }
                span { "authority " (run.la_code) }
            }
            h1 { (run.verdict()) }
            p.lead { "Run " span.id { (run.run_id) } }
        }
        @if let Some(counts) = &run.counts {
            (ended_by(counts))
            (tiles(run, counts))
        }
        (refusals(&run.refusals))
        (posts(run))
    }
}

fn ended_by(counts: &RunCounts) -> Markup {
    html! {
        @if let Some(ended) = &counts.ended_by {
            section.ended {
                h2 { "Ended early: " (ended.what) }
                p { (ended.why) }
                p.next { strong { "What to do: " } (ended.next) " (" code { (ended.code) } ")" }
            }
        }
    }
}

fn tiles(run: &RunView, counts: &RunCounts) -> Markup {
    let sent = match run.mode {
        Mode::Live => "sent",
        Mode::Testing => "tried",
    };
    let bad = |n: u64| if n > 0 { "bad" } else { "" };
    html! {
        section aria-label="Counts" {
            dl.tiles {
                div class="good" { dt { "records " (sent) } dd { (number(counts.accepted)) } }
                div class=(bad(counts.refused)) { dt { "refused" } dd { (number(counts.refused)) } }
                div { dt { "unchanged" } dd { (number(counts.unchanged)) } }
                div class=(bad(counts.not_reached)) { dt { "not reached" } dd { (number(counts.not_reached)) } }
                @if counts.purged > 0 { div { dt { "of those sent, purges" } dd { (number(counts.purged)) } } }
                @if counts.changed > 0 { div { dt { "changed meanwhile" } dd { (number(counts.changed)) } } }
                div { dt { "posts" } dd { (number(counts.posts)) } }
                div { dt { "time" } dd { (time(counts.took)) } }
                div class=(bad(u64::from(counts.exit_code))) { dt { "exit code" } dd { (counts.exit_code) } }
            }
        }
    }
}

fn refusals(refusals: &[Refusal]) -> Markup {
    html! {
        @if !refusals.is_empty() {
            section {
                h2 { "Refused, by rule" }
                @for refusal in refusals { (refusal_entry(refusal)) }
            }
        }
    }
}

fn refusal_entry(refusal: &Refusal) -> Markup {
    let more = refusal
        .rows
        .saturating_sub(refusal.row_ids.len().try_into().unwrap_or(u64::MAX));
    let ids: Vec<String> = refusal.row_ids.iter().map(i64::to_string).collect();
    html! {
        div.refusal {
            div.refusal-head {
                h3 {
                    @match &refusal.rule {
                        Some(rule) => {
                            (rule) " at " code { (place(&refusal.path)) }
                            @if let Some(item) = &refusal.item { " (item " (item) ")" }
                        },
                        None => (refusal.reason),
                    }
                }
                span.many { (counted(refusal.rows, "row", "rows")) }
            }
            @if let Some(meaning) = meaning(refusal) { p { (meaning) } }
            @if let Some(example) = example(refusal) { p { (example) } }
            p { strong { "To do: " } (refusal.advice) }
            p.ids {
                @if refusal.rows == 1 { "row " } @else { "rows " }
                (ids.join(", "))
                @if more > 0 { " and " (number(more)) " more" }
            }
        }
    }
}

/// What it means that a record breaks the rule.
pub fn meaning(refusal: &Refusal) -> Option<&'static str> {
    let name = refusal.rule.as_deref()?;
    let rule = RuleId::ALL.iter().find(|rule| rule.name() == name)?;
    Some(rule.meaning())
}

/// What is there in the first of the rows.
pub fn example(refusal: &Refusal) -> Option<String> {
    let first = refusal.row_ids.first()?;
    let message = Some(&refusal.message).filter(|message| !message.is_empty())?;
    let what = match refusal.path.as_str() {
        "" => "the record",
        _ => "it",
    };
    Some(format!("For example, in row {first} {what} {message}."))
}

/// A field, or the record itself.
pub fn place(path: &str) -> &str {
    match path {
        "" => "the record itself",
        path => path,
    }
}

fn posts(run: &RunView) -> Markup {
    let Some(total) = run.figures.total() else {
        return html! {};
    };
    let figures = run.figures.all();
    let each = run.figures.posts_each();
    let largest = figures.iter().map(|f| f.mean_bytes()).max().unwrap_or(0);
    let label = |n: usize| match each {
        1 => format!("Post {}", n + 1),
        each => format!(
            "Posts {} to {}",
            number(n as u64 * each + 1),
            number(((n as u64 + 1) * each).min(total.posts))
        ),
    };
    let of_each = if each > 1 { ", on average" } else { "" };
    let part = |failed: u64, height: f64| match failed {
        0 => vec![height, 0.0],
        _ => vec![0.0, height],
    };
    let sizes = figures.iter().enumerate().map(|(n, figure)| Bar {
        parts: part(figure.failed, figure.mean_bytes() as f64),
        says: format!("{}: {}{of_each}", label(n), size(figure.mean_bytes())),
    });
    let times = figures.iter().enumerate().map(|(n, figure)| Bar {
        parts: part(figure.failed, figure.slowest.as_secs_f64()),
        says: match each {
            1 => format!("{}: answered after {}", label(n), time(figure.slowest)),
            _ => format!(
                "{}: answered after {} on average, {} at most",
                label(n),
                time(figure.mean_took()),
                time(figure.slowest)
            ),
        },
    });
    let ends = (
        "post 1".to_string(),
        format!("post {}", number(total.posts)),
    );
    html! {
        section {
            h2 { "Posts to the receiver" @if run.mode == Mode::Testing { " (simulated)" } }
            div.charts {
                (Chart {
                    title: "Size of each post",
                    summary: format!(
                        "Sizes of {} in their order: {} on average, {} in all.",
                        counted(total.posts, "post", "posts"), size(total.mean_bytes()), size(total.bytes)
                    ),
                    bars: sizes.collect(),
                    styles: &["bar", "bar-warn"],
                    top: format!("{} on average, the top is {}", size(total.mean_bytes()), size(largest)),
                    ends: ends.clone(),
                }.markup())
                (Chart {
                    title: "Time until its answer",
                    summary: format!(
                        "Times until the answer in their order: {} on average, {} at most.",
                        time(total.mean_took()), time(total.slowest)
                    ),
                    bars: times.collect(),
                    styles: &["bar", "bar-warn"],
                    top: format!("{} on average, the top is {}", time(total.mean_took()), time(total.slowest)),
                    ends,
                }.markup())
            }
            @if total.failed > 0 { (key(&[("bar", "accepted"), ("bar-warn", "not accepted")])) }
            (failed_posts(&run.failures))
        }
    }
}

fn key(entries: &[(&str, &str)]) -> Markup {
    html! {
        ul.key {
            @for (style, word) in entries {
                li {
                    svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(style) width="10" height="10" rx="2" {} }
                    (word)
                }
            }
        }
    }
}

fn failed_posts(failures: &[Failure]) -> Markup {
    html! {
        @if !failures.is_empty() {
            div.scroll.after {
                table {
                    caption { "Posts that failed. When you tell the DfE of them, give the request ids." }
                    thead { tr { th { "status" } th { "request id" } } }
                    tbody {
                        @for failure in failures.iter().take(FAILURES) {
                            tr {
                                td { @match failure.status { Some(status) => (status), None => "no answer" } }
                                td.id { (failure.request_id.as_deref().unwrap_or("none given")) }
                            }
                        }
                    }
                }
            }
            @if failures.len() > FAILURES {
                p.quiet { "and " (failures.len() - FAILURES) " more" }
            }
        }
    }
}

/// Runs that belong to one bar.
struct Period {
    name: String,
    runs: u64,
    accepted: u64,
    refused: u64,
}

/// A bar for each day with a run, or for each week where there are many days.
fn periods(history: &[RunBrief]) -> (Vec<Period>, &'static str) {
    let mut days: Vec<&str> = history.iter().map(|run| day(&run.begun_at)).collect();
    days.dedup();
    let by_day = days.len() <= DAYS;
    let mut periods: Vec<Period> = Vec::new();
    for run in history {
        let day = day(&run.begun_at);
        let name = if by_day { day.to_string() } else { week(day) };
        if periods.last().is_none_or(|last| last.name != name) {
            periods.push(Period {
                name,
                runs: 0,
                accepted: 0,
                refused: 0,
            });
        }
        if let Some(last) = periods.last_mut() {
            last.runs += 1;
            last.accepted += run.accepted;
            last.refused += run.refused.unwrap_or(0);
        }
    }
    (periods, if by_day { "day" } else { "week" })
}

/// The Monday of a day's week.
fn week(day: &str) -> String {
    let Ok(date) = day.parse::<jiff::civil::Date>() else {
        return day.to_string();
    };
    let back = i64::from(date.weekday().to_monday_zero_offset());
    let monday = date
        .checked_sub(jiff::Span::new().days(back))
        .unwrap_or(date);
    format!("week of {monday}")
}

fn over_time(report: &Report) -> Markup {
    let history = &report.history;
    match history.len() {
        0 => return html! {},
        1 => {
            return html! {
                section {
                    h2 { "Over time" }
                    p.quiet {
                        "It is the only live run from this table to this receiver that the journal has."
                    }
                }
            };
        }
        _ => {}
    }
    let (periods, unit) = periods(history);
    let highest = periods
        .iter()
        .map(|p| p.accepted + p.refused)
        .max()
        .unwrap_or(0);
    let bars = periods.iter().map(|period| Bar {
        parts: vec![period.accepted as f64, period.refused as f64],
        says: format!(
            "{}: {} sent, {} refused, in {}",
            period.name,
            number(period.accepted),
            number(period.refused),
            counted(period.runs, "run", "runs")
        ),
    });
    let name = |period: Option<&Period>| period.map_or(String::new(), |p| p.name.clone());
    let (first, last) = (name(periods.first()), name(periods.last()));
    let ends = (first, last);
    let with_notes = history
        .iter()
        .rev()
        .take(RUNS)
        .any(|run| note(run).is_some());
    let unknown = history.iter().filter(|run| run.refused.is_none()).count();
    html! {
        section {
            h2 { "Over time" }
            (Chart {
                title: &format!("Records by {unit}"),
                summary: format!(
                    "{} since {}, at most {} records a {unit}.",
                    counted(history.len() as u64, "run", "runs"), ends.0, number(highest)
                ),
                bars: bars.collect(),
                styles: &["bar", "bar-warn"],
                top: format!("the top is {}", counted(highest, "record", "records")),
                ends,
            }.markup())
            (key(&[("bar", "sent"), ("bar-warn", "refused")]))
            @if unknown > 0 {
                p.quiet.after {
                    "Of " (counted(unknown as u64, "run", "runs"))
                    " the journal does not know how many were refused: they did not end, or a version wrote them \
                     that did not keep it."
                }
            }
            div.scroll.after {
                table {
                    caption {
                        "The last " (counted(history.len().min(RUNS) as u64, "live run", "live runs"))
                        " from this table to this receiver"
                    }
                    thead {
                        tr {
                            th { "begun" } th.n { "sent" } th.n { "refused" } th.n { "exit code" }
                            @if with_notes { th.note { "ended early" } }
                        }
                    }
                    tbody {
                        @for run in history.iter().rev().take(RUNS) { (history_row(run, with_notes)) }
                    }
                }
            }
        }
    }
}

/// How a run ended, where that was not as it should.
fn note(run: &RunBrief) -> Option<&str> {
    match (&run.ending, run.exit_code) {
        (None, _) => Some("has not ended, or was ended by force"),
        (Some(_), Some(0 | 1) | None) => None,
        (Some(ending), Some(_)) => Some(ending),
    }
}

fn history_row(run: &RunBrief, with_note: bool) -> Markup {
    let bad = |bad: bool| if bad { "n bad" } else { "n" };
    html! {
        tr {
            th.when scope="row" { (minute(&run.begun_at)) }
            td.n { (number(run.accepted)) }
            td class=(bad(run.refused.unwrap_or(0) > 0)) {
                @match run.refused { Some(refused) => (number(refused)), None => "not known" }
            }
            td class=(bad(run.exit_code.unwrap_or(0) > 1)) {
                @match run.exit_code { Some(code) => (code), None => "not known" }
            }
            @if with_note { td.note { (note(run).unwrap_or_default()) } }
        }
    }
}

fn facts(run: &RunView) -> Markup {
    html! {
        section {
            h2 { "The run" }
            dl.facts {
                dt { "id" } dd.id { (run.run_id) }
                dt { "begun" } dd { (moment(&run.begun_at)) }
                dt { "ended" }
                dd {
                    @match &run.ended_at {
                        Some(at) => (moment(at)),
                        None => "it has not ended, or was ended by force",
                    }
                }
                dt { "from" } dd { (run.place) }
                dt { "to" }
                dd {
                    @match &run.endpoint {
                        Some(endpoint) => (endpoint),
                        None => "a receiver simulated in the program: nothing left the authority",
                    }
                }
                dt { "payloads" }
                dd { @if run.payloads == "full" { "full records" } @else { (run.payloads) } }
                @if let Some(who) = &run.who {
                    dt { "account" } dd { (who.user) }
                    dt { "machine" } dd { (who.host) }
                    dt { "program" } dd { (who.program) }
                }
            }
        }
    }
}

fn settings(run: &RunView) -> Markup {
    html! {
        @if !run.settings.is_empty() {
            section {
                h2 { "Settings in force" }
                table.settings {
                    thead { tr { th { "setting" } th { "value" } th { "from" } } }
                    tbody {
                        @for setting in &run.settings {
                            tr {
                                th scope="row" { code { (setting.name) } }
                                td { (setting.value) }
                                td { (setting.source) }
                            }
                        }
                    }
                }
            }
        }
    }
}
