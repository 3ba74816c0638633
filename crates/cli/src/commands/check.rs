//! `check`: looks at what a run needs, and says what is missing and what mends it.
//!
//! Every probe that can be tried is tried, whatever came of those before it. A fault of
//! the settings is a probe here too.

mod database;
mod printed;
mod receiver;
mod settings;

use csc_message::{Exit, Message, Probe, Verdict};

use super::{Context, Outcome, block_on, warn_of_exposed};
use crate::arguments::{CheckHow, CheckPart};
use crate::configuration::{Config, Examined, Need};
use crate::{console, logging};

/// The probes of one part.
struct Section {
    title: &'static str,
    probes: Vec<Probe>,
}

pub fn run(context: &Context<'_>, part: CheckPart, how: &CheckHow) -> Outcome {
    if how.post && !matches!(part, CheckPart::Receiver | CheckPart::All) {
        return Err(vec![Message::new(
            267,
            "--post has no place in this check",
            "it posts one fake record to the receiver, and this check does not look at the receiver",
            "leave --post away, or run `csc-sender check receiver --post`",
        )]);
    }
    let config = context.load();
    let need = Need::default();
    let basic = config.examine(need);
    let verbose = if basic.settings.debug {
        2
    } else {
        context.verbose
    };
    let log = logging::start(verbose, basic.settings.log_file.as_ref()).err();
    if !matches!(part, CheckPart::Config | CheckPart::All) {
        warn_of_exposed(&basic.settings);
    }
    let sections = block_on(sections(&config, part, how, log))?;
    if how.json {
        console::result(&format!("{:#}", printed::json(&config, part, &sections)));
    } else {
        for line in printed::lines(&sections) {
            console::result(&line);
        }
        for line in printed::support_block(&config, part, &sections) {
            console::result(&line);
        }
    }
    Ok(exit(&sections))
}

async fn sections(
    config: &Config,
    part: CheckPart,
    how: &CheckHow,
    log: Option<Message>,
) -> Vec<Section> {
    let is_all = part == CheckPart::All;
    let mut sections = Vec::new();
    // Where the settings are looked at, their faults stand there, and once.
    let mut of_settings: Vec<Probe> = log
        .iter()
        .map(|message| Probe::failed("log", message))
        .collect();
    let faults = |examined: &Examined, into: &mut Vec<Probe>| {
        if !is_all {
            into.extend(settings::faults(&examined.faults));
        }
    };
    if matches!(part, CheckPart::Config | CheckPart::All) {
        of_settings.extend(settings::probes(config));
    }
    let mut others = Vec::new();
    if matches!(
        part,
        CheckPart::Database | CheckPart::Table | CheckPart::All
    ) {
        let examined = config.examine(Need {
            database: true,
            ..Need::default()
        });
        faults(&examined, &mut of_settings);
        others.extend(database::sections(&examined, part).await);
    }
    if matches!(part, CheckPart::Receiver | CheckPart::All) {
        let examined = config.examine(Need {
            la_code: true,
            network: true,
            receiver: true,
            ..Need::default()
        });
        // --post asks for the receiver itself.
        let probes = if is_all && examined.is_testing && !how.post {
            vec![receiver::simulated()]
        } else {
            faults(&examined, &mut of_settings);
            receiver::probes(config, &examined, how.post).await
        };
        others.push(Section {
            title: "receiver",
            probes,
        });
    }
    if !of_settings.is_empty() {
        sections.push(Section {
            title: "config",
            probes: of_settings,
        });
    }
    sections.extend(others);
    sections
}

/// What could not be tried, and why.
fn not_tried(subject: &'static str, why: &str) -> Probe {
    Probe::warn(
        subject,
        format!("not tried: {why}"),
        "mend what says FAIL, then check again",
    )
}

/// The worst of all probes.
fn worst(sections: &[Section]) -> Verdict {
    sections
        .iter()
        .flat_map(|section| &section.probes)
        .map(|probe| probe.verdict)
        .max()
        .unwrap_or(Verdict::Ok)
}

fn exit(sections: &[Section]) -> Exit {
    match worst(sections) {
        Verdict::Fail => Exit::Refused,
        Verdict::Ok | Verdict::Warn => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fail_is_enough_for_exit_code_1_and_a_warning_is_not() {
        let section = |probes| Section {
            title: "table",
            probes,
        };
        let warned = || section(vec![Probe::warn("index", "none", "add one")]);
        assert_eq!(exit(&[warned()]), Exit::Done);
        let failed = section(vec![
            Probe::ok("table", "t"),
            Probe::fail("rights", "none", "grant"),
        ]);
        assert_eq!(exit(&[failed, warned()]), Exit::Refused);
        assert_eq!(exit(&[]), Exit::Done);
    }
}
