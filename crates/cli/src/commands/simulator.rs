//! `simulator`: a receiver of our own on a loopback port.

use csc_message::{Exit, Message};
use csc_simulator::{
    CLIENT_ID, CLIENT_SECRET, Running, SCOPE, SUPPLIER_KEY, SUPPLIER_KEY_SECONDARY, Settings,
    Simulator, serve,
};

use super::{Context, Outcome, block_on, stop_on_interrupt};
use crate::arguments::SimulatorArgs;
use crate::configuration::Need;
use crate::console;

pub fn run(context: &Context<'_>, args: &SimulatorArgs) -> Outcome {
    if args.host != "127.0.0.1" && !args.host.eq_ignore_ascii_case("localhost") {
        return Err(vec![not_this_machine(&args.host)]);
    }
    let settings = context.load().settings(Need::default())?;
    context.start_log(&settings)?;
    block_on(async {
        let simulator = Simulator::new(Settings {
            hold_records: !args.forget,
            faults: args.fault.clone(),
            ..Settings::default()
        });
        let running = start(simulator, args.port).await?;
        console::result(&format!(
            "The simulator listens on {} (this machine only). Settings for it:\n",
            running.address()
        ));
        console::result(&env_lines(&running));
        console::result(&format!(
            "\nWhat it holds: http://{}/state    Ctrl-C ends it.",
            running.address()
        ));
        let mut stop = stop_on_interrupt();
        stop.wait().await;
        running.stop().await;
        Ok(Exit::Done)
    })?
}

fn not_this_machine(host: &str) -> Message {
    Message::new(
        261,
        format!("The simulator does not listen on {host}"),
        "it listens on 127.0.0.1 only, where nobody but this machine can reach it: it shows the \
         records that it holds to whoever asks",
        "leave --host away; to try things on another machine, start a simulator there",
    )
}

/// Puts a simulator on a port.
pub async fn start(simulator: Simulator, port: u16) -> Result<Running, Vec<Message>> {
    serve(simulator, port).await.map_err(|error| {
        vec![Message::new(
            211,
            format!("The simulator cannot listen on port {port}"),
            error.to_string(),
            "choose another port with --port, or 0 for any that is free",
        )]
    })
}

/// The settings for a simulator. None of its credentials is a secret.
pub fn env_lines(running: &Running) -> String {
    format!(
        "API_ENDPOINT={}\nTOKEN_ENDPOINT={}\nCLIENT_ID={CLIENT_ID}\nCLIENT_SECRET={CLIENT_SECRET}\n\
         SCOPE={SCOPE}\nSUPPLIER_KEY={SUPPLIER_KEY}\nSUPPLIER_KEY_SECONDARY={SUPPLIER_KEY_SECONDARY}",
        running.api_endpoint(),
        running.token_endpoint()
    )
}
