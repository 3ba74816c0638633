//! `send`: one run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use csc_message::{Exit, Message};
use csc_payload::Record;
use csc_payload::rules::Rules;
use csc_payload::schema::Schema;
use csc_receiver::{Client, ClientOptions, CurlTransport, Receipt, Transport};
use csc_sender_run::{
    Author, Checks, Gap, Journal, Ledger, Mode, Opened, Payloads, RetryPolicy, Run, RunOptions,
    send_one,
};
use csc_simulator::{InProcess, Simulator};
use csc_staging::StagingStore;

use super::report::ReportFile;
use super::{Context, Outcome, block_on, no_threads, open_store, stop_on_interrupt};
use crate::arguments::{PayloadMode, SendArgs};
use crate::configuration::{Live, Need, Settings};
use crate::progress::Progress;
use crate::safety::{self, Children, EndpointKind, Intent};
use crate::{console, logging, summary};

pub fn run(context: &Context<'_>, args: &SendArgs) -> Outcome {
    let mut config_args = context.config.clone();
    if args.live {
        if config_args
            .testing_mode
            .as_deref()
            .is_some_and(|mode| mode != "false")
        {
            return Err(vec![Message::new(
                212,
                "--live and --testing-mode exclude each other",
                "one asks for a live run, the other for a testing one",
                "leave one of the two away",
            )]);
        }
        config_args.testing_mode = Some("false".into());
    }
    let settings =
        crate::configuration::Config::load(&config_args, context.world).settings(Need {
            database: !args.test_record,
            la_code: true,
            receiver_if_live: true,
            table: !args.test_record,
            network: false,
            receiver: false,
        })?;
    context.start_log(&settings)?;
    block_on(send(settings, args))?
}

async fn send(settings: Settings, args: &SendArgs) -> Outcome {
    let say = |line: &str| {
        // With --json standard output is the summary alone.
        if args.json {
            console::note(line);
        } else {
            console::result(line);
        }
    };
    let kind = match &settings.live {
        Some(live) => Some(check_safety(&settings, live, args)?),
        None => None,
    };
    if args.test_record {
        return send_test_record(&settings, kind, args, &say).await;
    }
    let settings = Arc::new(settings);
    let connecting = {
        let settings = Arc::clone(&settings);
        tokio::spawn(async move { open_store(&settings).await })
    };
    let journal = open_journal(&settings, args);
    let store = match connecting.await {
        Ok(connected) => connected?,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    };
    let place = store.place();
    say(&first_line(&settings, kind, &place));
    look_up_meanwhile(&store);
    let journal = journal?;
    let run = Run {
        store,
        ledger: ledger(&settings, journal.as_ref()),
        options: options(&settings, args)?,
    };
    let endpoint = settings.live.as_ref().map(|live| live.endpoint.to_string());
    if args.dry_run {
        let preview = run.preview().await.map_err(|e| vec![e])?;
        if args.json {
            let json = summary::preview_json(&preview, &place, endpoint.as_deref());
            console::result(&format!("{json:#}"));
        } else {
            for line in summary::preview_lines(&preview) {
                console::result(&line);
            }
        }
        return Ok(Exit::Done);
    }
    confirm(&settings, journal.as_ref(), args)?;
    let client = client(&settings)?;
    let report_file = match &args.report {
        Some(folder) => Some(ReportFile::create(folder, run.options.mode).map_err(|e| vec![e])?),
        None => None,
    };
    let mut progress = Progress::new();
    let mut report = run.send(&client, stop_on_interrupt(), &mut progress).await;
    report.ended_by = report
        .ended_by
        .map(|message| with_holder(message, &settings, &place));
    progress.finish();
    if args.json {
        let json = summary::json(&report, &place, endpoint.as_deref());
        console::result(&format!("{json:#}"));
    } else {
        for line in summary::lines(&report, &place, &settings.table.to_string()) {
            console::result(&line);
        }
    }
    if let Some(message) = &report.ended_by {
        console::failure(message);
    }
    if let (true, Exit::Done, Some(journal)) = (settings.live.is_some(), report.exit(), &journal) {
        journal.note_good_run(&place).map_err(|e| vec![e])?;
    }
    if let Some(file) = report_file {
        let deltas = run.options.payloads == Payloads::Deltas;
        if let Err(message) = file.write(&settings, &place, deltas, &report) {
            console::failure(&message);
            // What came of the run itself goes before what came of its report.
            return Ok(match report.exit() {
                Exit::Done => message.exit(),
                exit => exit,
            });
        }
    }
    Ok(report.exit())
}

/// Has the table looked up while the journal is opened. The run is told what is wrong with
/// the table when it asks itself.
fn look_up_meanwhile(store: &Arc<dyn StagingStore>) {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        if let Err(error) = store.shape().await {
            tracing::debug!("{}", error.message);
        }
    });
}

async fn send_test_record(
    settings: &Settings,
    kind: Option<EndpointKind>,
    args: &SendArgs,
    say: &impl Fn(&str),
) -> Outcome {
    say(&first_line(
        settings,
        kind,
        "no table: the one fake test record",
    ));
    let mode = if settings.live.is_some() {
        "live"
    } else {
        "testing"
    };
    if args.dry_run {
        let record = test_record(settings)?;
        if args.json {
            let json = serde_json::json!({
                "mode": mode,
                "dry_run": true,
                "la_child_id": record.la_child_id(),
            });
            console::result(&format!("{json:#}"));
        } else {
            say("Dry run: one record would go. Its shape, without its values:");
            say(&record.shape());
        }
        return Ok(Exit::Done);
    }
    let journal = open_journal(settings, args)?;
    confirm(settings, journal.as_ref(), args)?;
    let client = client(settings)?;
    let (child, receipt) = post_test_record(settings, args, &client, journal.as_ref()).await?;
    if args.json {
        console::result(&format!(
            "{:#}",
            serde_json::json!({
                "mode": mode,
                "la_child_id": child,
                "receipt": receipt.uuid,
                "at": receipt.at.to_string(),
            })
        ));
    } else {
        console::result(&format!(
            "Accepted: test record {child} with receipt {} of {}.",
            receipt.uuid, receipt.at
        ));
    }
    Ok(Exit::Done)
}

/// The one fake record, named for the authority.
fn test_record(settings: &Settings) -> Result<Record, Vec<Message>> {
    let la_code = settings.la_code.as_ref().map_or("", |code| code.as_str());
    let today = jiff::Zoned::now().date();
    let text = csc_payload::test_record(la_code, today).to_string();
    Record::parse(&text).map_err(|fault| {
        vec![Message::new(
            213,
            "The test record can't be made",
            fault.to_string(),
            "report this with the program's version",
        )]
    })
}

/// Posts the test record, and writes it to the journal where there is one. Gives its
/// child's id and the receipt.
pub async fn post_test_record(
    settings: &Settings,
    args: &SendArgs,
    client: &Client,
    journal: Option<&Journal>,
) -> Result<(String, Receipt), Vec<Message>> {
    let record = test_record(settings)?;
    let ledger = ledger(settings, journal);
    let options = options(settings, args)?;
    let receipt = send_one(client, &record, ledger.as_ref(), &options)
        .await
        .map_err(|e| vec![e])?;
    Ok((record.la_child_id().to_string(), receipt))
}

fn check_safety(
    settings: &Settings,
    live: &Live,
    args: &SendArgs,
) -> Result<EndpointKind, Vec<Message>> {
    safety::check(&Intent {
        endpoint: &live.endpoint,
        token_endpoint: &live.token_endpoint,
        stated_kind: settings.endpoint_kind,
        allowed_hosts: &settings.allowed_hosts,
        children: if args.test_record {
            Children::TestRecord
        } else {
            Children::Table(&settings.table)
        },
    })
}

/// What goes where: the first line of every run.
fn first_line(settings: &Settings, kind: Option<EndpointKind>, place: &str) -> String {
    let la_code = settings.la_code.as_ref().map_or("", |code| code.as_str());
    match (&settings.live, kind) {
        (Some(live), Some(kind)) => {
            let (children, receiver) = match kind {
                EndpointKind::Test => ("fake children", "a test receiver"),
                EndpointKind::Live => ("REAL CHILDREN", "a live receiver"),
            };
            format!(
                "LIVE: {children} of authority {la_code} go from {place} to {} ({receiver})",
                live.endpoint
            )
        }
        (Some(_) | None, _) => format!(
            "TESTING: nothing leaves the authority ({la_code}); the receiver is simulated in this \
             process. From {place}"
        ),
    }
}

/// A live run needs the journal. Any other reads one that is there, and does without
/// where this account may not.
pub fn open_journal(settings: &Settings, args: &SendArgs) -> Result<Option<Journal>, Vec<Message>> {
    if settings.live.is_none() || args.dry_run {
        return Ok(read_journal(settings));
    }
    let Opened { journal, set_aside } = Journal::open(&settings.journal).map_err(|e| vec![e])?;
    if let Some(aside) = set_aside {
        let lost = Message::new(
            282,
            format!("The journal {} was damaged", settings.journal.display()),
            format!(
                "it is kept as {}, and a new one is begun: what the receiver holds is not known \
                 now, so every record goes once more in full",
                aside.display()
            ),
            "keep the damaged file for whoever asks what has left; look at the disk's health",
        );
        console::failure(&lost);
    }
    if let Some(days) = settings.journal_keep_days {
        let runs = journal.prune(days).map_err(|e| vec![e])?;
        if runs > 0 {
            tracing::info!("{runs} runs of more than {days} days ago went from the journal");
        }
    }
    Ok(Some(journal))
}

/// How often, and at which distance, the journal is asked for the run that has the table.
const HOLDER_TRIES: u32 = 20;
const HOLDER_EVERY: Duration = Duration::from_millis(50);

/// Another run has the table: what this machine's journal knows of it.
fn with_holder(message: Message, settings: &Settings, place: &str) -> Message {
    if message.exit() != Exit::Busy {
        return message;
    }
    let open = || {
        let journal = Journal::open_to_read(&settings.journal).ok().flatten()?;
        journal.open_runs(place).ok()?.into_iter().next()
    };
    // Of two runs that begin together, the other may be about to write itself down.
    let mut found = open();
    for _ in 0..HOLDER_TRIES {
        if found.is_some() {
            break;
        }
        std::thread::sleep(HOLDER_EVERY);
        found = open();
    }
    match found {
        Some(run) => message.and_why(&format!(
            "this machine's journal knows of live run {}, begun {} by {} on {} (process {}), \
             which has not ended",
            run.run_id, run.begun_at, run.user, run.host, run.process
        )),
        None => message.and_why("this machine's journal knows of no live run that has not ended"),
    }
}

/// The journal, for whoever only wants to know what is in it.
pub fn read_journal(settings: &Settings) -> Option<Journal> {
    Journal::open_to_read(&settings.journal).unwrap_or_else(|message| {
        console::note(&format!("note: {message}"));
        None
    })
}

/// What is known to be held at the endpoint that is configured.
pub fn ledger(settings: &Settings, journal: Option<&Journal>) -> Option<Ledger> {
    let (journal, endpoint, la_code) = (
        journal?,
        settings.endpoint.as_ref()?,
        settings.la_code.as_ref()?,
    );
    Some(journal.ledger(endpoint.as_str(), la_code.as_str()))
}

/// The first live run to an endpoint needs a yes.
fn confirm(
    settings: &Settings,
    journal: Option<&Journal>,
    args: &SendArgs,
) -> Result<(), Vec<Message>> {
    let (Some(live), Some(journal), Some(la_code)) = (&settings.live, journal, &settings.la_code)
    else {
        return Ok(());
    };
    let endpoint = live.endpoint.as_str();
    if journal
        .is_confirmed(endpoint, la_code.as_str())
        .map_err(|e| vec![e])?
    {
        return Ok(());
    }
    let not_yet = |why: &str| {
        vec![Message::new(
            620,
            format!("No yes was given to the first live run to {endpoint}"),
            why,
            "look at `csc-sender send --live --dry-run`, then start again with --yes",
        )]
    };
    if !args.yes {
        if !console::can_ask() {
            return Err(not_yet("there is no terminal to ask on"));
        }
        let question = format!(
            "This is the first live run of authority {} to {endpoint}.",
            la_code.as_str()
        );
        if !console::ask_yes(&question) {
            return Err(not_yet("the answer was not yes"));
        }
    }
    journal
        .confirm(endpoint, la_code.as_str())
        .map_err(|e| vec![e])
}

/// The run's options, from settings and flags.
pub fn options(settings: &Settings, args: &SendArgs) -> Result<RunOptions, Vec<Message>> {
    let deltas = match args.mode {
        Some(mode) => mode == PayloadMode::Deltas,
        None => settings.deltas,
    };
    Ok(RunOptions {
        mode: if settings.live.is_some() {
            Mode::Live
        } else {
            Mode::Testing
        },
        payloads: if deltas {
            Payloads::Deltas
        } else {
            Payloads::Full {
                exact: settings.full_purges,
            }
        },
        checks: if args.no_validate {
            None
        } else {
            Some(Arc::new(checks(settings)?))
        },
        resync: args.resync,
        allow_purges: args.allow_purges,
        batch_size: settings.batch_size,
        max_batch_bytes: settings.max_batch_bytes,
        concurrency: settings.concurrency,
        limit: args.limit,
        gap: if settings.live.is_some() {
            Gap::from_millis(settings.min_gap_ms)
        } else {
            // Nobody is on the other side who could be asked too fast.
            Gap::from_millis(0)
        },
        retry: RetryPolicy {
            max_retries: settings.max_retries,
            base: settings.retry_base,
            max_wait: settings.max_wait,
        },
        run_id: logging::run_id().to_string(),
        // Looking up an account may open a socket of the system's own (nscd): not where
        // there is no journal to name anybody in.
        author: match &settings.live {
            Some(_) if !args.dry_run => author(settings),
            Some(_) | None => Author::default(),
        },
    })
}

/// Who runs this program, where, and with which settings.
pub fn author(settings: &Settings) -> Author {
    let user = whoami::username().unwrap_or_else(|_| "an unknown account".to_string());
    // A Windows account is known by its domain too.
    let user = match std::env::var("USERDOMAIN") {
        Ok(domain) if cfg!(windows) && !domain.is_empty() => format!("{domain}\\{user}"),
        Ok(_) | Err(_) => user,
    };
    Author {
        user,
        host: whoami::hostname().unwrap_or_else(|_| "an unknown machine".to_string()),
        program: concat!(
            "csc-sender ",
            env!("CARGO_PKG_VERSION"),
            " (commit ",
            env!("CSC_SENDER_COMMIT"),
            ")"
        )
        .to_string(),
        settings: settings.shown.clone(),
    }
}

/// The payload rules in force.
pub fn checks(settings: &Settings) -> Result<Checks, Vec<Message>> {
    let mut faults = Vec::new();
    let mut read = |path: &Path, what: &str, next: &str, load: &mut Load<'_>| {
        let loaded = std::fs::read_to_string(path)
            .map_err(|e| e.to_string())
            .and_then(|text| load(&text));
        if let Err(why) = loaded {
            let what = format!("Cannot use the {what} {}", path.display());
            faults.push(Message::new(214, what, why, next));
        }
    };
    let (mut rules, mut schema) = (None, None);
    if let Some(path) = &settings.rules_file {
        let next = "correct RULES_FILE, or leave it away for the built-in rules";
        read(path, "payload rules", next, &mut |text| {
            rules = Some(Rules::from_json(text).map_err(|fault| fault.to_string())?);
            Ok(())
        });
    }
    if let Some(path) = &settings.schema_file {
        let next = "name the openapi.json of the DfE API portal in SCHEMA_FILE, or leave it away";
        read(path, "schema", next, &mut |text| {
            schema = Some(Schema::from_openapi(text).map_err(|fault| fault.to_string())?);
            Ok(())
        });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Checks {
        rules: rules.unwrap_or_else(Rules::embedded),
        schema,
        strict: settings.strict,
    })
}

/// Takes a file's text.
type Load<'a> = dyn FnMut(&str) -> Result<(), String> + 'a;

/// Writes to the log which proxy is used and why, and what is trusted.
fn say_ways(settings: &Settings, live: &Live) {
    for (key, url) in [
        ("API_ENDPOINT", &live.endpoint),
        ("TOKEN_ENDPOINT", &live.token_endpoint),
    ] {
        let host = url.host_str().unwrap_or_default();
        tracing::info!("{key} {host}: {}", settings.network.proxies.route(url));
    }
    if let Some(bundle) = &settings.network.ca_bundle {
        tracing::info!(
            "CA_BUNDLE: {} certificates are trusted beside the system's",
            bundle.certificates()
        );
    }
}

/// USER_AGENT with the run's id, so that the DfE can tell which run a request was of.
pub fn user_agent(settings: &Settings) -> String {
    format!("{} (run {})", settings.user_agent, logging::run_id())
}

/// The receiver: the DfE's in live mode, else one that is simulated in this process.
pub fn client(settings: &Settings) -> Result<Client, Vec<Message>> {
    let la_code = settings
        .la_code
        .as_ref()
        .map_or_else(String::new, |code| code.as_str().to_string());
    let (transport, options): (Arc<dyn Transport>, ClientOptions) = match &settings.live {
        Some(live) => {
            say_ways(settings, live);
            let transport = CurlTransport::new(settings.network.clone(), settings.concurrency)
                .map_err(|e| vec![no_threads(&e)])?;
            let options = ClientOptions {
                endpoint: live.endpoint.to_string(),
                token_endpoint: live.token_endpoint.to_string(),
                la_code,
                client_id: live.client_id.clone(),
                client_secret: live.client_secret.clone(),
                scope: live.scope.clone(),
                supplier_key: live.supplier_key.clone(),
                supplier_key_secondary: live.supplier_key_secondary.clone(),
                user_agent: user_agent(settings),
                timeout: settings.api_timeout,
            };
            (Arc::new(transport), options)
        }
        None => {
            let simulator = Simulator::new(csc_simulator::Settings {
                hold_records: false,
                ..csc_simulator::Settings::default()
            });
            let options = ClientOptions {
                endpoint: format!("simulated://{}", csc_simulator::API_PATH),
                token_endpoint: format!("simulated://{}", csc_simulator::TOKEN_PATH),
                la_code,
                client_id: csc_simulator::CLIENT_ID.to_string(),
                client_secret: csc_simulator::CLIENT_SECRET.to_string().into(),
                scope: csc_simulator::SCOPE.to_string(),
                supplier_key: csc_simulator::SUPPLIER_KEY.to_string().into(),
                supplier_key_secondary: None,
                user_agent: user_agent(settings),
                timeout: settings.api_timeout,
            };
            (Arc::new(InProcess::new(simulator)), options)
        }
    };
    Ok(Client::new(transport, options))
}
