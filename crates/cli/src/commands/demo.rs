//! `demo`: the whole way, with fake children, on this machine alone.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csc_message::{Exit, Message};
use csc_payload::{Fakes, meaning_hash};
use csc_simulator::{Settings, Simulator};
use csc_staging::connection::{ConnectionTarget, SqlitePath};
use csc_staging::{NewRow, StagingStore, TableName, connect_creating, owner_only};

use super::{Context, Outcome, send, simulator};
use crate::arguments::{DemoArgs, SendArgs};
use crate::configuration::{ConfigArgs, World};
use crate::console;
use crate::secret_store::SecretStores;

const LA_CODE: &str = "845";
const TABLE: &str = "ssd_api_data_staging_anon";
const SEED: u64 = 2026;

pub fn run(context: &Context<'_>, args: &DemoArgs) -> Outcome {
    let folder = fresh_folder(args)?;
    let simulator = Simulator::new(Settings::default());
    let fakes = Fakes::new(SEED, jiff::Zoned::now().date());
    // The simulator runs on threads of its own while the run has its runtime.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| vec![cannot(&folder, "start the simulator", &e)])?;
    let running = runtime.block_on(simulator::start(simulator.clone(), 0))?;
    runtime.block_on(prepare(&folder, args.children, &fakes))?;
    let env_file = write_env(&folder, &simulator::env_lines(&running))?;
    console::result(&format!(
        "1. In the new folder {}: {TABLE} with {} fake children in children.db, settings in .env.",
        folder.display(),
        args.children
    ));
    console::result(&format!(
        "2. A simulator of the DfE's receiver listens on {}.",
        running.address()
    ));
    console::result("3. csc-sender send --live --yes:\n");
    // Not this machine's settings: the demo must never meet a real receiver.
    let world = World {
        environment: &|_| None,
        working_dir: folder.clone(),
        program_dir: None,
        secrets: Arc::new(SecretStores::none()),
        system_proxies: None,
    };
    let exit = send::run(
        &Context {
            verbose: context.verbose,
            config: ConfigArgs {
                env_file: Some(env_file),
                ..ConfigArgs::default()
            },
            world: &world,
        },
        &SendArgs {
            live: true,
            yes: true,
            ..SendArgs::default()
        },
    )?;
    console::result("");
    let agree = runtime.block_on(compare(&folder, args.children, &fakes, &simulator))?;
    runtime.block_on(running.stop());
    if agree {
        console::result("4. Both sides agree: every child, with the record that the table holds.");
        console::result(&format!(
            "\nTo look around: csc-sender status --env-file {}",
            folder.join(".env").display()
        ));
        Ok(exit)
    } else {
        console::result("4. The two sides do NOT agree: please report this.");
        Ok(Exit::Refused)
    }
}

fn cannot(folder: &Path, what: &str, why: &dyn std::fmt::Display) -> Message {
    Message::new(
        215,
        format!("Cannot {what} in {}", folder.display()),
        why.to_string(),
        "name a folder with --dir that does not exist yet and that this account may create",
    )
}

fn fresh_folder(args: &DemoArgs) -> Result<PathBuf, Vec<Message>> {
    let folder = args.dir.clone().unwrap_or_else(|| {
        let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
        PathBuf::from(format!("csc-sender-demo-{now}"))
    });
    std::fs::create_dir_all(&folder).map_err(|e| vec![cannot(&folder, "make the demo", &e)])?;
    let mut entries =
        std::fs::read_dir(&folder).map_err(|e| vec![cannot(&folder, "make the demo", &e)])?;
    if entries.next().is_some() {
        return Err(vec![cannot(
            &folder,
            "make the demo",
            &"the folder is not empty",
        )]);
    }
    // Not canonical: Windows writes that as \\\\?\\C:\\…, which no connection string takes.
    std::path::absolute(&folder).map_err(|e| vec![cannot(&folder, "make the demo", &e)])
}

async fn open(folder: &Path) -> Result<std::sync::Arc<dyn StagingStore>, Vec<Message>> {
    let target = ConnectionTarget::Sqlite {
        path: SqlitePath::File(folder.join("children.db")),
    };
    let table = TableName::parse(TABLE).map_err(|fault| vec![fault.message(TABLE)])?;
    connect_creating(&target, &table)
        .await
        .map_err(|e| vec![e.into()])
}

async fn prepare(folder: &Path, children: u32, fakes: &Fakes) -> Result<(), Vec<Message>> {
    let store = open(folder).await?;
    store.create().await.map_err(|e| vec![e.into()])?;
    let numbers: Vec<u32> = (1..=children).collect();
    // In pieces, so that memory does not grow with their number.
    for chunk in numbers.chunks(1000) {
        let rows: Vec<NewRow> = chunk
            .iter()
            .map(|n| {
                let child = fakes.child(u64::from(*n));
                let text = |key: &str| {
                    child
                        .get(key)
                        .and_then(|id| id.as_str())
                        .map(str::to_string)
                };
                NewRow {
                    person_id: text("la_child_id").unwrap_or_default(),
                    legacy_id: text("mis_child_id"),
                    hash: meaning_hash(&child),
                    payload: child.to_string(),
                }
            })
            .collect();
        store.stage(&rows).await.map_err(|e| vec![e.into()])?;
    }
    Ok(())
}

fn write_env(folder: &Path, receiver: &str) -> Result<PathBuf, Vec<Message>> {
    let path = folder.join(".env");
    let text = format!(
        "# Made by `csc-sender demo`. None of these is a secret: they open the simulator only.\n\
         {receiver}\nLA_CODE={LA_CODE}\nDB_CONNECTION_STRING='sqlite:{}'\nTABLE_NAME={TABLE}\n\
         STATE_DIR='{}'\nMIN_GAP_MS=20\n",
        folder.join("children.db").display(),
        folder.join("state").display(),
    );
    owner_only()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map(|()| path)
        .map_err(|e| vec![cannot(folder, "write the settings", &e)])
}

/// Holds what the simulator has against what the table was made of.
async fn compare(
    folder: &Path,
    children: u32,
    fakes: &Fakes,
    simulator: &Simulator,
) -> Result<bool, Vec<Message>> {
    let store = open(folder).await?;
    let table = store.summary().await.map_err(|e| vec![e.into()])?;
    let sent: u64 = table
        .counts
        .iter()
        .filter(|(status, _, _)| status == "sent")
        .map(|(_, _, count)| count)
        .sum();
    let counts = simulator.counts();
    let same = (1..=children)
        .filter(|n| {
            let child = fakes.child(u64::from(*n));
            child
                .get("la_child_id")
                .and_then(|id| id.as_str())
                .and_then(|id| simulator.record(LA_CODE, id))
                .is_some_and(|held| meaning_hash(&held) == meaning_hash(&child))
        })
        .count();
    console::result(&format!(
        "   the table:     {children} children, {sent} marked sent"
    ));
    console::result(&format!(
        "   the simulator: {} batches accepted, {} children held, {same} of them as in the table",
        counts.accepted_batches, counts.children_held
    ));
    Ok(sent == u64::from(children) && same as u64 == u64::from(children))
}
