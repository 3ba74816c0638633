//! Many senders at once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use csc_simulator::Action;
use serde_json::{Value, json};

use crate::asking::{Client, LA, body};

#[test]
fn nothing_is_lost_or_counted_twice_under_concurrent_submissions() {
    const SENDERS: usize = 8;
    const ROUNDS: usize = 40;
    let client = Client::new(&["status=503,every=3", "drop,every=5"]);
    let receipts = Mutex::new(BTreeSet::new());
    let cuts = Mutex::new(0);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (client, receipts, cuts) = (&client, &receipts, &cuts);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // One child is everybody's: each adds an episode of its own.
                    let episode = format!("{sender}-{round}");
                    let sent = json!([
                        {"la_child_id": "shared",
                         "social_care_episodes": [{"social_care_episode_id": episode}]},
                        {"la_child_id": format!("own-{sender}"), "round": round},
                    ]);
                    loop {
                        match client.submit(&sent) {
                            Action::Reply(answer) if answer.status == 200 => {
                                let listed = body(&answer);
                                let listed = listed.as_array().unwrap().clone();
                                receipts.lock().unwrap().extend(
                                    listed.iter().map(|one| one.as_str().unwrap().to_owned()),
                                );
                                break;
                            }
                            Action::Reply(answer) => assert_eq!(answer.status, 503),
                            Action::DropConnection {
                                after_accepting, ..
                            } => {
                                assert!(after_accepting);
                                *cuts.lock().unwrap() += 1;
                            }
                        }
                    }
                }
            });
        }
    });
    let counts = client.simulator.counts();
    let cuts = *cuts.lock().unwrap();
    let done = (SENDERS * ROUNDS) as u64;
    assert!(cuts > 0);
    assert_eq!(counts.accepted_batches, done + cuts);
    assert_eq!(counts.accepted_records, 2 * (done + cuts));
    // Every third of all posts, every fifth of those that got through.
    assert_eq!(counts.turned_away, counts.posts / 3);
    assert_eq!(cuts, counts.accepted_batches / 5);
    assert_eq!(counts.posts, counts.accepted_batches + counts.turned_away);
    assert_eq!(receipts.lock().unwrap().len() as u64, 2 * done);
    assert_eq!(client.simulator.arrivals(LA, "shared"), done + cuts);
    let shared = client.simulator.record(LA, "shared").unwrap();
    let episodes: BTreeSet<&str> = shared["social_care_episodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|episode| episode["social_care_episode_id"].as_str().unwrap())
        .collect();
    assert_eq!(episodes.len() as u64, done);
    for sender in 0..SENDERS {
        let own = client.simulator.record(LA, &format!("own-{sender}"));
        assert_eq!(own.unwrap()["round"], Value::from(ROUNDS - 1));
    }
    assert_eq!(counts.children_held as usize, SENDERS + 1);
}
