//! The two faces, side by side.

use std::time::Duration;

use csc_receiver::{Fault, FaultKind, Method, Reply, Request, Transport};
use csc_simulator::{
    API_PATH, InProcess, IncomingRequest, Running, Settings, Simulator, TOKEN_PATH, serve,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::asking::{Client, LA, batch, form};

/// What a client gets: status, headers that mean something, body; or `None` for
/// a connection cut.
type Got = Option<(u16, Vec<(String, String)>, String)>;

/// The reply with what is random in it, ids and times, made the same.
fn got(status: u16, headers: Vec<(String, String)>, body: &[u8]) -> Got {
    let framing = ["date", "content-length", "connection"];
    let mut headers: Vec<_> = headers
        .into_iter()
        .filter(|(name, _)| !framing.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = if name == "x-request-id" {
                assert_eq!(value.len(), 36);
                String::new()
            } else {
                value
            };
            (name, value)
        })
        .collect();
    headers.sort();
    let is_json = std::str::from_utf8(body).is_ok_and(|text| text.starts_with(['[', '{']));
    let body = match is_json.then(|| serde_json::from_slice::<Value>(body).unwrap()) {
        Some(Value::Array(receipts)) => format!("{} receipts", receipts.len()),
        Some(Value::Object(mut fields)) => {
            for random in [
                "access_token",
                "trace_id",
                "correlation_id",
                "timestamp",
                "error_description",
                "requests",
                "receipts",
            ] {
                if fields.contains_key(random) {
                    fields[random] = Value::Null;
                }
            }
            Value::Object(fields).to_string()
        }
        Some(_) | None => String::from_utf8_lossy(body).into_owned(),
    };
    Some((status, headers, body))
}

async fn over_the_socket(running: &Running, request: &IncomingRequest) -> Got {
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    let mut bytes = format!(
        "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        request.method,
        request.path,
        request.body.len()
    );
    for (name, value) in &request.headers {
        bytes += &format!("{name}: {value}\r\n");
    }
    let bytes = [bytes.as_bytes(), b"\r\n", &request.body].concat();
    stream.write_all(&bytes).await.unwrap();
    let mut reply = Vec::new();
    // A reset is an error, a close an empty reply.
    if stream.read_to_end(&mut reply).await.is_err() || reply.is_empty() {
        return None;
    }
    let end = reply
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(reply[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        })
        .collect();
    got(status.parse().unwrap(), headers, &reply[end + 4..])
}

/// Header names as the transport takes them.
fn header_name(name: &str) -> &'static str {
    [
        "Authorization",
        "SupplierKey",
        "Content-Type",
        "Accept",
        "User-Agent",
    ]
    .into_iter()
    .find(|known| *known == name)
    .unwrap()
}

async fn send(
    simulator: &Simulator,
    request: &IncomingRequest,
    timeout: Duration,
) -> Result<Reply, Fault> {
    let transport = InProcess::new(simulator.clone());
    let headers = request.headers.iter();
    transport
        .send(Request {
            method: match request.method.as_str() {
                "GET" => Method::Get,
                "POST" => Method::Post,
                other => panic!("{other}"),
            },
            url: format!("https://receiver.invalid{}", request.path),
            headers: headers
                .map(|(name, value)| (header_name(name), value.clone().into()))
                .collect(),
            body: request.body.clone(),
            timeout,
        })
        .await
}

async fn in_process(simulator: &Simulator, request: &IncomingRequest) -> Got {
    match send(simulator, request, Duration::from_secs(30)).await {
        Ok(reply) => got(reply.status, reply.headers, &reply.body),
        Err(fault) => {
            assert_eq!(fault.kind, FaultKind::Interrupted);
            None
        }
    }
}

/// The same series of requests to two simulators with those faults, one behind
/// each face.
async fn alike(
    faults: &[&str],
    series: impl Fn(&Client) -> Vec<IncomingRequest>,
) -> Vec<Option<u16>> {
    let client = |faults: &[&str]| {
        let mut client = Client::new(&[]);
        client.now = jiff::Timestamp::now();
        for fault in faults {
            client.simulator.order(fault.parse().unwrap());
        }
        client.fetch_token();
        client
    };
    let (near, far) = (client(faults), client(faults));
    let running = serve(far.simulator.clone(), 0).await.unwrap();
    let mut statuses = Vec::new();
    for (here, there) in series(&near).iter().zip(&series(&far)) {
        let here = in_process(&near.simulator, here).await;
        let there = over_the_socket(&running, there).await;
        assert_eq!(here, there, "{faults:?}");
        statuses.push(here.map(|(status, ..)| status));
    }
    assert_eq!(near.simulator.counts(), far.simulator.counts());
    assert_eq!(near.simulator.records(LA), far.simulator.records(LA));
    statuses
}

#[tokio::test]
async fn both_faces_reply_alike_to_whatever_is_asked() {
    let statuses = alike(&[], |client| {
        let good = || client.request(&batch(&["a", "b"]));
        let without = |name: &str| {
            let mut request = good();
            request.headers.retain(|(n, _)| n != name);
            request
        };
        let at = |method: &str, path: &str| IncomingRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            ..good()
        };
        let token = |form: String| IncomingRequest {
            headers: vec![(
                "Content-Type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            )],
            body: form.into(),
            ..at("POST", TOKEN_PATH)
        };
        let mut state = at("GET", "/state");
        state.body = Default::default();
        vec![
            good(),
            without("Authorization"),
            without("SupplierKey"),
            without("Content-Type"),
            without("Accept"),
            without("User-Agent"),
            client.request(&json!([{"la_child_id": "é"}, {}])),
            client.request(&json!([])),
            client.request(&json!([{"la_child_id": "a", "purge": true}])),
            at("POST", "/elsewhere"),
            at(
                "GET",
                &format!("{API_PATH}/children_social_care_data/845/children"),
            ),
            at(
                "POST",
                &format!("{API_PATH}/children_social_care_data/84/children"),
            ),
            token(form(("", ""))),
            token(form(("client_secret", "guess"))),
            token(form(("grant_type", ""))),
            state,
        ]
    })
    .await;
    let expected = [
        200, 401, 401, 415, 200, 403, 400, 400, 200, 404, 405, 404, 200, 401, 400, 200,
    ];
    assert_eq!(statuses, expected.map(Some));
}

#[tokio::test]
async fn both_faces_suffer_alike_from_whatever_is_ordered() {
    for (fault, status) in [
        ("status=503,retry-after=3", Some(503)),
        ("status=304", Some(304)),
        ("status=407", Some(407)),
        ("429=5", Some(429)),
        ("reset", None),
        ("drop", None),
        ("slow=1", Some(200)),
        ("forbid", Some(403)),
        ("redirect", Some(302)),
        ("html", Some(200)),
        ("no-content", Some(204)),
        ("max-bytes=3", Some(413)),
        ("revoke-primary-key", Some(401)),
        ("refuse=b", Some(400)),
        ("refuse-unnamed=b", Some(400)),
        ("refuse-nonsense=b", Some(400)),
        ("refuse-all", Some(400)),
        ("garbage", Some(200)),
        ("receipts-short", Some(200)),
        ("expire-tokens=0", Some(401)),
    ] {
        let faults = [format!("{fault},times=1")];
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        let statuses = alike(&faults, |client| vec![client.request(&batch(&["a", "b"]))]).await;
        assert_eq!(statuses, [status], "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_process_a_reply_later_than_the_timeout_is_a_timeout_and_the_batch_is_taken() {
    let client = Client::with(Settings {
        faults: vec!["slow=31000,every=2".parse().unwrap()],
        ..Settings::default()
    });
    let mut request = client.request(&batch(&["a"]));
    let token = send_token(&client.simulator).await;
    request.headers.retain(|(name, _)| name != "Authorization");
    request
        .headers
        .push(("Authorization".to_owned(), format!("Bearer {token}")));
    let second = Duration::from_secs(1);
    let begun = tokio::time::Instant::now();
    let reply = send(&client.simulator, &request, 30 * second).await;
    assert_eq!(reply.unwrap().status, 200);
    assert!(begun.elapsed() < second);
    let fault = send(&client.simulator, &request, 30 * second)
        .await
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout);
    assert_eq!(fault.to_string(), "no reply from the simulator within 30 s");
    assert!(begun.elapsed() >= 30 * second && begun.elapsed() < 31 * second);
    assert_eq!(client.simulator.arrivals(LA, "a"), 2);
    for _ in 0..2 {
        let reply = send(&client.simulator, &request, 40 * second).await;
        assert_eq!(reply.unwrap().status, 200);
    }
    assert!(begun.elapsed() >= 61 * second);
}

/// A token by the transport's own clock.
async fn send_token(simulator: &Simulator) -> String {
    let request = IncomingRequest {
        method: "POST".to_owned(),
        path: TOKEN_PATH.to_owned(),
        headers: vec![(
            "Content-Type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )],
        body: form(("", "")).into(),
        now: jiff::Timestamp::now(),
    };
    let reply = send(simulator, &request, Duration::from_secs(30)).await;
    let reply: Value = serde_json::from_slice(&reply.unwrap().body).unwrap();
    reply["access_token"].as_str().unwrap().to_owned()
}
