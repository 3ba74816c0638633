//! Every fault that the network, the receiver and its token endpoint can have, over real
//! sockets: what it does to the rows, to the exit code, and what a person is told. The
//! table is `docs/faults.md` too, and a test holds the two together.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use csc_simulator::{API_PATH, TOKEN_PATH};

use crate::faulty::{
    Answer, Faulty, Script, Seen, Step, Tls, accepted, bare, dead_port, granted, gzipped, json,
    reply, send, then, trusted,
};
use crate::place::{Place, Ran, TABLE, min_gap, payload, ran};

/// One fault and what has to come of it. There are six children, in batches of two.
pub struct Row {
    /// Its name on the page.
    pub name: &'static str,
    pub fault: Fault,
    /// What becomes of the rows, batch by batch: `s`ent, `e`rror, `p`ending.
    pub rows: &'static str,
    pub exit: i32,
    /// The message's code, or what is said where there is no message; several parts are
    /// parted by ` … `.
    pub told: &'static str,
    /// A part of `api_response` of the first row of the batch that is struck.
    pub response: &'static str,
}

/// Where something goes wrong.
#[derive(Clone, Copy)]
pub enum Fault {
    /// A fault of the simulator's grammar.
    Simulator(&'static str),
    /// The receiver answers so from the second post on.
    Posts(Answer),
    /// Only the second post is answered so.
    Post(Answer),
    /// Every request for a token is answered so.
    Tokens(Answer),
    /// Only the first one is.
    Token(Answer),
    /// Tokens last for one post, and from the second on are answered so.
    LaterTokens(Answer),
    /// The receiver's side of TLS.
    ReceiverTls(Tls),
    /// The token endpoint's.
    TokenTls(Tls),
    /// The receiver's host resets every connection before it reads.
    ReceiverResets,
    TokenResets,
    /// Nobody listens at the receiver's port.
    ReceiverRefuses,
    TokenRefuses,
    /// The receiver's name does not resolve.
    ReceiverUnknown,
    TokenUnknown,
    /// The proxy on the way to the receiver answers the CONNECT so.
    Proxy(Answer),
    ProxyRefuses,
    ProxyUnknown,
}

impl Fault {
    /// The batch that meets it first, counted from 0.
    fn strikes(self) -> usize {
        match self {
            Fault::Posts(_) | Fault::Post(_) | Fault::LaterTokens(_) => 1,
            Fault::Simulator(fault) if fault.contains("after=1") => 1,
            Fault::Simulator(_)
            | Fault::Tokens(_)
            | Fault::Token(_)
            | Fault::ReceiverTls(_)
            | Fault::TokenTls(_)
            | Fault::ReceiverResets
            | Fault::TokenResets
            | Fault::ReceiverRefuses
            | Fault::TokenRefuses
            | Fault::ReceiverUnknown
            | Fault::TokenUnknown
            | Fault::Proxy(_)
            | Fault::ProxyRefuses
            | Fault::ProxyUnknown => 0,
        }
    }
}

impl Fault {
    /// Whether it ends with API_TIMEOUT only.
    fn lasts(self) -> bool {
        let a_batch = Seen {
            head: String::new(),
            body: b"[{},{}]".to_vec(),
            elsewhere: String::new(),
        };
        let is_slow = |step: &Step| matches!(step, Step::Silence | Step::Drip(_));
        match self {
            Fault::Posts(answer)
            | Fault::Post(answer)
            | Fault::Tokens(answer)
            | Fault::Token(answer)
            | Fault::LaterTokens(answer)
            | Fault::Proxy(answer) => answer(&a_batch).iter().any(is_slow),
            Fault::ReceiverTls(tls) | Fault::TokenTls(tls) => matches!(tls, Tls::SilentHandshake),
            Fault::Simulator(_)
            | Fault::ReceiverResets
            | Fault::TokenResets
            | Fault::ReceiverRefuses
            | Fault::TokenRefuses
            | Fault::ReceiverUnknown
            | Fault::TokenUnknown
            | Fault::ProxyRefuses
            | Fault::ProxyUnknown => false,
        }
    }

    /// The same for a command whose only post is that of the test record.
    pub fn for_one_post(self) -> Fault {
        match self {
            Fault::Simulator("reset,after=1") => Fault::Simulator("reset"),
            Fault::Simulator("drop,after=1,times=1") => Fault::Simulator("drop,times=1"),
            Fault::Simulator("refuse-unnamed=C1") => Fault::Simulator("refuse-unnamed=Fake1234845"),
            Fault::Simulator("refuse-nonsense=C1") => {
                Fault::Simulator("refuse-nonsense=Fake1234845")
            }
            other => other,
        }
    }
}

const NO_WAY: &str = "not accepted after 2 tries: the proxy http://";
const LOST: &str = "not accepted after 2 tries: no answer";

/// The table.
pub fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(unreachable());
    rows.extend(secure());
    rows.extend(cut_off());
    rows.extend(slow_and_large());
    rows.extend(successes());
    rows.extend(redirects());
    rows.extend(statuses());
    rows.extend(tokens());
    rows.extend(proxies());
    rows
}

fn row(
    name: &'static str,
    fault: Fault,
    rows: &'static str,
    (exit, told): (i32, &'static str),
    response: &'static str,
) -> Row {
    Row {
        name,
        fault,
        rows,
        exit,
        told,
        response,
    }
}

const SENT: (i32, &str) = (0, "6 records sent");

fn unreachable() -> Vec<Row> {
    use Fault::{ReceiverRefuses, ReceiverResets, ReceiverUnknown};
    vec![
        row(
            "the receiver's name is not found",
            ReceiverUnknown,
            "ee pp pp",
            (4, "CSC0410"),
            "resolve",
        ),
        row(
            "nobody listens at the receiver's port",
            ReceiverRefuses,
            "ee pp pp",
            (4, "CSC0410"),
            "connect",
        ),
        row(
            "the connection is reset at once",
            ReceiverResets,
            "ee pp pp",
            (4, "CSC0410"),
            LOST,
        ),
    ]
}

fn secure() -> Vec<Row> {
    use Fault::ReceiverTls;
    vec![
        row(
            "a certificate that is in order",
            ReceiverTls(Tls::Good),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "the certificate is another host's",
            ReceiverTls(Tls::WrongName),
            "pp pp pp",
            (4, "CSC0403"),
            "",
        ),
        row(
            "the certificate has expired",
            ReceiverTls(Tls::Expired),
            "pp pp pp",
            (4, "CSC0403"),
            "",
        ),
        row(
            "the certificate is not valid yet",
            ReceiverTls(Tls::NotYetValid),
            "pp pp pp",
            (4, "CSC0403"),
            "",
        ),
        row(
            "the certificate's issuer is not known",
            ReceiverTls(Tls::UnknownIssuer),
            "pp pp pp",
            (4, "CSC0403"),
            "",
        ),
        row(
            "the certificate is signed by itself",
            ReceiverTls(Tls::SelfSigned),
            "pp pp pp",
            (4, "CSC0403"),
            "",
        ),
        row(
            "the receiver speaks TLS 1.1 only",
            ReceiverTls(Tls::TooOld),
            "pp pp pp",
            (4, "CSC0403"),
            "",
        ),
        row(
            "the receiver speaks no TLS at its https port",
            ReceiverTls(Tls::Plain),
            "pp pp pp",
            (4, "CSC0403"),
            "",
        ),
        row(
            "the connection is reset during the TLS handshake",
            ReceiverTls(Tls::ResetInHandshake),
            "ee pp pp",
            (4, "CSC0410"),
            LOST,
        ),
        row(
            "the connection is closed during the TLS handshake",
            ReceiverTls(Tls::CloseInHandshake),
            "ee pp pp",
            (4, "CSC0410"),
            LOST,
        ),
        row(
            "the TLS handshake is never answered",
            ReceiverTls(Tls::SilentHandshake),
            "ee pp pp",
            (4, "CSC0410"),
            LOST,
        ),
    ]
}

fn cut_off() -> Vec<Row> {
    use Fault::{Post, Posts, Simulator};
    let spent = (4, "CSC0410");
    vec![
        row(
            "the connection is reset before the reply",
            Posts(|_| vec![Step::Reset]),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "the same, once",
            Post(|_| vec![Step::Reset]),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "a kept connection is reset",
            Simulator("reset,after=1"),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "the connection is closed before the reply",
            Posts(|_| Vec::new()),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "the batch is accepted, and the reply lost, once",
            Simulator("drop,after=1,times=1"),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "the connection is reset in the reply's headers",
            Posts(|_| then(send("HTTP/1.1 200 OK\r\ncontent-ty"), [Step::Reset])),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "the connection is reset in the reply's body",
            Posts(|_| {
                then(
                    send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[\"2026-"),
                    [Step::Reset],
                )
            }),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "the connection is closed in the reply's body",
            Posts(|_| send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[\"2026-")),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "the connection is closed between two chunks of the body",
            Posts(|_| {
                send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n[\"2026-\r\n")
            }),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "the connection is reset after the whole reply",
            Posts(|seen| then(accepted(seen), [Step::Reset])),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "the connection is reset after a body that gives no length",
            Posts(|seen| {
                let body = seen.receipts();
                then(
                    send(&format!("HTTP/1.1 200 OK\r\n\r\n{body}")),
                    [Step::Reset],
                )
            }),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "something answers that does not speak HTTP",
            Posts(|_| send("SSH-2.0-OpenSSH_9.2\r\n")),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "a status line without a number",
            Posts(|_| send("HTTP/1.1 fine\r\ncontent-length: 0\r\n\r\n")),
            "ss ee pp",
            spent,
            LOST,
        ),
    ]
}

fn slow_and_large() -> Vec<Row> {
    use Fault::Posts;
    let spent = (4, "CSC0410");
    vec![
        row(
            "no reply within API_TIMEOUT",
            Posts(|_| vec![Step::Silence]),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "headers come too slowly",
            Posts(|_| then(send("HTTP/1.1 200 OK\r\nx-slow: "), [Step::Drip(b'a')])),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "headers without end",
            Posts(|_| {
                then(
                    send("HTTP/1.1 200 OK\r\n"),
                    [Step::Endless(
                        b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
                    )],
                )
            }),
            "ss ee pp",
            spent,
            "larger than is read",
        ),
        row(
            "the body comes too slowly",
            Posts(|_| {
                then(
                    send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"),
                    [Step::Drip(b' ')],
                )
            }),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "a body without end",
            Posts(|_| {
                then(
                    send("HTTP/1.1 200 OK\r\n\r\n"),
                    [Step::Endless(&[b'x'; 65536])],
                )
            }),
            "ss ee pp",
            spent,
            "larger than is read",
        ),
        row(
            "a reply that is compressed (gzip)",
            Posts(|seen| {
                let headers = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
                reply("200 OK", headers, gzipped(seen.receipts().as_bytes()))
            }),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "a small reply that unpacks to 64 MB",
            Posts(|_| {
                static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzipped(&vec![b' '; 64_000_000]));
                reply("200 OK", "content-encoding: gzip\r\n", &*BOMB)
            }),
            "ss ee pp",
            spent,
            "larger than is read",
        ),
        row(
            "a compressed reply that is damaged",
            Posts(|_| reply("200 OK", "content-encoding: gzip\r\n", "no gzip at all")),
            "ss ee pp",
            spent,
            LOST,
        ),
        row(
            "a compression that was not asked for",
            Posts(|_| reply("200 OK", "content-encoding: br\r\n", "whatever it is")),
            "ss ee pp",
            spent,
            LOST,
        ),
    ]
}

fn successes() -> Vec<Row> {
    use Fault::{Post, Posts};
    let unreadable = (1, "receipts can't be read");
    vec![
        row(
            "receipts of another content type",
            Posts(|seen| reply("200 OK", "content-type: text/html\r\n", seen.receipts())),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "receipts as text, with status 201",
            Posts(|seen| {
                let text = seen.receipts().replace(['[', ']', '"'], "");
                reply(
                    "201 Created",
                    "content-type: text/plain\r\n",
                    text.replace(',', "\r\n"),
                )
            }),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "100 Continue before the reply",
            Posts(|seen| then(send("HTTP/1.1 100 Continue\r\n\r\n"), accepted(seen))),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "a page of HTML instead of receipts",
            Post(|_| {
                let page = "<html><body>Please log on</body></html>";
                reply("200 OK", "content-type: text/html\r\n", page)
            }),
            "ss ee ss",
            unreadable,
            "status 200, but",
        ),
        row(
            "receipts that break off",
            Post(|seen| {
                let whole = seen.receipts();
                json("200 OK", &whole[..whole.len() - 20])
            }),
            "ss ee ss",
            unreadable,
            "status 200, but 1 receipts came back for 2 records",
        ),
        row(
            "an empty reply of success",
            Post(|_| bare("200 OK")),
            "ss ee ss",
            unreadable,
            "0 receipts came back for 2 records",
        ),
        row(
            "a receipt too few",
            Post(|seen| json("200 OK", seen.receipts_of(1))),
            "ss ee ss",
            unreadable,
            "1 receipts came back for 2 records",
        ),
        row(
            "a receipt too many",
            Post(|seen| json("200 OK", seen.receipts_of(3))),
            "ss ee ss",
            unreadable,
            "3 receipts came back for 2 records",
        ),
        row(
            "receipts of another form",
            Post(|_| json("200 OK", r#"["accepted","accepted"]"#)),
            "ss ee ss",
            unreadable,
            "receipt 1 of the reply has not the form",
        ),
        row(
            "a reply of success that quotes the records",
            Post(|seen| json("200 OK", &seen.body)),
            "ss ee ss",
            unreadable,
            "status 200, but",
        ),
    ]
}

fn redirect(status: &str, seen: &Seen) -> Vec<Step> {
    bare_with(status, &format!("location: {}\r\n", seen.elsewhere))
}

fn bare_with(status: &str, headers: &str) -> Vec<Step> {
    reply(status, headers, "")
}

fn redirects() -> Vec<Row> {
    use Fault::{Posts, Tokens};
    let ends = (4, "CSC0406");
    let post = |name, answer| row(name, Posts(answer), "ss pp pp", ends, "");
    let token = |name, answer| row(name, Tokens(answer), "pp pp pp", ends, "");
    vec![
        post("301 to another address", |s| {
            redirect("301 Moved Permanently", s)
        }),
        post("302 to another address", |s| redirect("302 Found", s)),
        post("303 to another address", |s| redirect("303 See Other", s)),
        post("307 to another address", |s| {
            redirect("307 Temporary Redirect", s)
        }),
        post("308 to another address", |s| {
            redirect("308 Permanent Redirect", s)
        }),
        post("302 to nowhere", |_| bare("302 Found")),
        token("302 of the token endpoint", |s| redirect("302 Found", s)),
        token("307 of the token endpoint", |s| {
            redirect("307 Temporary Redirect", s)
        }),
    ]
}

fn statuses() -> Vec<Row> {
    use Fault::{Post, Posts, Simulator};
    let (spent, too_long) = ((4, "CSC0410"), (4, "CSC0411"));
    let refused = (1, "refused by the receiver");
    vec![
        row(
            "204",
            Post(|_| bare("204 No Content")),
            "ss ee ss",
            (1, "took nothing (204)"),
            "status 204",
        ),
        row(
            "400 that names a record",
            Post(|_| {
                json(
                    "400 Bad Request",
                    r#"{"detail":"body[0].child_details: no"}"#,
                )
            }),
            "ss es ss",
            refused,
            "body[0].child_details: no",
        ),
        row(
            "400 that names a record and quotes it",
            Post(|seen| {
                json(
                    "400 Bad Request",
                    format!("[0].child_details in {}", seen.echo()),
                )
            }),
            "ss es ss",
            refused,
            "[0].child_details in",
        ),
        row(
            "400 that names none, every time",
            Posts(|_| bare("400 Bad Request")),
            "ss ee ee",
            refused,
            "status 400",
        ),
        row(
            "400 that names none, for one bad record",
            Simulator("refuse-unnamed=C1"),
            "es ss ss",
            refused,
            "status 400",
        ),
        row(
            "400 that names a record which is not in the batch",
            Simulator("refuse-nonsense=C1"),
            "es ss ss",
            refused,
            "status 400",
        ),
        row(
            "401, once",
            Post(|_| bare("401 Unauthorized")),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "401 for the primary supplier key",
            Simulator("revoke-primary-key"),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "401 that stays",
            Posts(|_| bare("401 Unauthorized")),
            "ss pp pp",
            (4, "CSC0405"),
            "",
        ),
        row(
            "403, once",
            Post(|_| bare("403 Forbidden")),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "403 that stays",
            Posts(|_| bare("403 Forbidden")),
            "ss ee pp",
            spent,
            "not accepted after 2 tries: status 403",
        ),
        row(
            "404",
            Posts(|_| bare("404 Not Found")),
            "ss pp pp",
            (4, "CSC0407"),
            "",
        ),
        row(
            "405",
            Posts(|_| bare("405 Method Not Allowed")),
            "ss pp pp",
            (4, "CSC0407"),
            "",
        ),
        row(
            "407",
            Posts(|_| {
                bare_with(
                    "407 Proxy Authentication Required",
                    "proxy-authenticate: Negotiate\r\n",
                )
            }),
            "ss pp pp",
            (4, "CSC0408"),
            "",
        ),
        row(
            "408, once",
            Post(|_| bare("408 Request Timeout")),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "408 that stays",
            Posts(|_| bare("408 Request Timeout")),
            "ss ee pp",
            spent,
            "status 408",
        ),
        row(
            "409",
            Posts(|_| bare("409 Conflict")),
            "ss pp pp",
            (4, "CSC0409"),
            "",
        ),
        row(
            "413",
            Posts(|_| bare("413 Content Too Large")),
            "ss ee ee",
            (1, "too large"),
            "status 413: the record alone is too large",
        ),
        row(
            "413 for two records, not for one",
            Simulator("max-bytes=150"),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "415",
            Posts(|_| bare("415 Unsupported Media Type")),
            "ss pp pp",
            (4, "CSC0409"),
            "",
        ),
        row(
            "422 that names a record",
            Post(|_| {
                let detail = r#"{"detail":[{"loc":["body",0,"x"],"msg":"no"}]}"#;
                json("422 Unprocessable Content", detail)
            }),
            "ss es ss",
            refused,
            "x: no",
        ),
        row(
            "429 without Retry-After, once",
            Post(|_| bare("429 Too Many Requests")),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "429 with Retry-After in seconds, once",
            Post(|_| bare_with("429 Too Many Requests", "retry-after: 1\r\n")),
            "ss ss ss",
            (0, "trying again in 1.0 s"),
            "-",
        ),
        row(
            "429 with Retry-After as a date, once",
            Post(|_| {
                let date = "retry-after: Tue, 24 Nov 2015 02:00:00 GMT\r\n";
                bare_with("429 Too Many Requests", date)
            }),
            "ss ss ss",
            (0, "trying again in 0.0 s"),
            "-",
        ),
        row(
            "429 that stays",
            Posts(|_| bare("429 Too Many Requests")),
            "ss ee pp",
            spent,
            "status 429",
        ),
        row(
            "429 with a Retry-After above MAX_WAIT",
            Posts(|_| bare_with("429 Too Many Requests", "retry-after: 86400\r\n")),
            "ss ee pp",
            too_long,
            "asks to wait 86400 s",
        ),
        row(
            "429 with a Retry-After that is a far date",
            Posts(|_| {
                let date = "retry-after: Tue, 24 Nov 2150 02:00:00 GMT\r\n";
                bare_with("429 Too Many Requests", date)
            }),
            "ss ee pp",
            too_long,
            "asks to wait",
        ),
        row(
            "429 with a Retry-After that can't be read, once",
            Post(|_| bare_with("429 Too Many Requests", "retry-after: soon\r\n")),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "500, once",
            Post(|_| bare("500 Internal Server Error")),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "500 that stays",
            Posts(|_| bare("500 Internal Server Error")),
            "ss ee pp",
            spent,
            "status 500",
        ),
        row(
            "500 that quotes the records and the credentials",
            Posts(|seen| json("500 Internal Server Error", seen.echo())),
            "ss ee pp",
            spent,
            "status 500",
        ),
        row(
            "502",
            Posts(|_| bare("502 Bad Gateway")),
            "ss ee pp",
            spent,
            "status 502",
        ),
        row(
            "503",
            Posts(|_| bare("503 Service Unavailable")),
            "ss ee pp",
            spent,
            "status 503",
        ),
        row(
            "503 with a Retry-After above MAX_WAIT",
            Posts(|_| bare_with("503 Service Unavailable", "retry-after: 86400\r\n")),
            "ss ee pp",
            too_long,
            "asks to wait 86400 s",
        ),
        row(
            "504",
            Posts(|_| bare("504 Gateway Timeout")),
            "ss ee pp",
            spent,
            "status 504",
        ),
        row(
            "a status that there is not (999)",
            Posts(|_| bare("999 Denied")),
            "ss pp pp",
            (4, "CSC0409"),
            "",
        ),
        row(
            "a request id that quotes the credentials and the records",
            Posts(|seen| {
                let quoted = seen.echo().replace(['\r', '\n'], " ");
                bare_with(
                    "503 Service Unavailable",
                    &format!("x-request-id: {quoted}\r\n"),
                )
            }),
            "ss ee pp",
            spent,
            "status 503",
        ),
    ]
}

fn granted_with(more: &str) -> Vec<Step> {
    json(
        "200 OK",
        format!(r#"{{"access_token":"canaryaccesstoken"{more}}}"#),
    )
}

fn tokens() -> Vec<Row> {
    use Fault::{
        LaterTokens, Simulator, Token, TokenRefuses, TokenResets, TokenTls, TokenUnknown, Tokens,
    };
    let ends = |name, answer, told| row(name, Tokens(answer), "pp pp pp", (4, told), "");
    let well = |name, answer| row(name, Tokens(answer), "ss ss ss", SENT, "-");
    let lost = |name, fault, told| row(name, fault, "pp pp pp", (4, told), "");
    vec![
        lost(
            "the token endpoint's name is not found",
            TokenUnknown,
            "CSC0404",
        ),
        lost(
            "nobody listens at the token endpoint's port",
            TokenRefuses,
            "CSC0404",
        ),
        lost(
            "the token endpoint resets every connection",
            TokenResets,
            "CSC0404",
        ),
        lost(
            "the token endpoint's certificate is another host's",
            TokenTls(Tls::WrongName),
            "CSC0403",
        ),
        lost(
            "the token endpoint's certificate has expired",
            TokenTls(Tls::Expired),
            "CSC0403",
        ),
        lost(
            "the token endpoint speaks TLS 1.1 only",
            TokenTls(Tls::TooOld),
            "CSC0403",
        ),
        lost(
            "the TLS handshake with the token endpoint is reset",
            TokenTls(Tls::ResetInHandshake),
            "CSC0404",
        ),
        ends(
            "400 invalid_client",
            |_| {
                json(
                    "400 Bad Request",
                    r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}"#,
                )
            },
            "CSC0401 … AADSTS7000215: Invalid client secret provided.",
        ),
        ends(
            "400 that quotes the request and so the secret",
            |seen| {
                let body = serde_json::json!({"error": "invalid_client", "error_description": seen.echo()});
                json("400 Bad Request", body.to_string())
            },
            "CSC0401",
        ),
        ends(
            "401 of the token endpoint",
            |_| {
                json(
                    "401 Unauthorized",
                    r#"{"error":"invalid_client","error_description":"AADSTS7000222: The secret is expired."}"#,
                )
            },
            "CSC0401 … AADSTS7000222",
        ),
        ends(
            "403 of the token endpoint",
            |_| bare("403 Forbidden"),
            "CSC0401",
        ),
        ends(
            "404 of the token endpoint",
            |_| bare("404 Not Found"),
            "CSC0401",
        ),
        row(
            "429 of the token endpoint, once",
            Token(|_| bare("429 Too Many Requests")),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "500 of the token endpoint, once",
            Token(|_| bare("500 Internal Server Error")),
            "ss ss ss",
            SENT,
            "-",
        ),
        ends(
            "500 of the token endpoint that stays",
            |_| bare("500 Internal Server Error"),
            "CSC0404",
        ),
        ends(
            "a Retry-After of the token endpoint above MAX_WAIT",
            |_| bare_with("503 Service Unavailable", "retry-after: 86400\r\n"),
            "CSC0411",
        ),
        ends(
            "a page of HTML instead of a token",
            |_| {
                reply(
                    "200 OK",
                    "content-type: text/html\r\n",
                    "<html>Please log on</html>",
                )
            },
            "CSC0402",
        ),
        ends(
            "a content type that quotes the request",
            |seen| {
                let quoted = String::from_utf8_lossy(&seen.body).into_owned();
                reply("200 OK", &format!("content-type: {quoted}\r\n"), "no token")
            },
            "CSC0402",
        ),
        ends(
            "a token reply that breaks off",
            |_| json("200 OK", r#"{"access_token":"simul"#),
            "CSC0402",
        ),
        ends(
            "a token reply without access_token",
            |_| json("200 OK", r#"{"expires_in":3599}"#),
            "CSC0402",
        ),
        ends(
            "an access_token that no header can carry",
            |_| {
                json(
                    "200 OK",
                    r#"{"access_token":"a\r\nX-Injected: b","expires_in":3599}"#,
                )
            },
            "CSC0402",
        ),
        ends(
            "204 of the token endpoint",
            |_| bare("204 No Content"),
            "CSC0401",
        ),
        ends(
            "no reply of the token endpoint within API_TIMEOUT",
            |_| vec![Step::Silence],
            "CSC0404",
        ),
        ends(
            "a token reply that comes too slowly",
            |_| {
                then(
                    send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
                    [Step::Drip(b' ')],
                )
            },
            "CSC0404",
        ),
        ends(
            "a token reply without end",
            |_| {
                then(
                    send("HTTP/1.1 200 OK\r\n\r\n"),
                    [Step::Endless(&[b' '; 65536])],
                )
            },
            "CSC0404",
        ),
        ends(
            "407 on the way to the token endpoint",
            |_| {
                bare_with(
                    "407 Proxy Authentication Required",
                    "proxy-authenticate: NTLM\r\n",
                )
            },
            "CSC0408",
        ),
        well("expires_in is 0", |_| granted_with(r#","expires_in":0"#)),
        well("expires_in is a text", |_| {
            granted_with(r#","expires_in":"3599""#)
        }),
        well("expires_in is no number", |_| {
            granted_with(r#","expires_in":"soon""#)
        }),
        well("expires_in is negative, or a fraction", |_| {
            granted_with(r#","expires_in":-3599.5"#)
        }),
        well("expires_in is missing", |_| granted_with("")),
        row(
            "a token expires in mid-run",
            Simulator("expire-tokens=1"),
            "ss ss ss",
            SENT,
            "-",
        ),
        row(
            "no further token in mid-run (401)",
            LaterTokens(|_| bare("401 Unauthorized")),
            "ss pp pp",
            (4, "CSC0401"),
            "",
        ),
        row(
            "no further token in mid-run (503)",
            LaterTokens(|_| bare("503 Service Unavailable")),
            "ss pp pp",
            (4, "CSC0404"),
            "",
        ),
    ]
}

fn proxies() -> Vec<Row> {
    use Fault::{Proxy, ProxyRefuses, ProxyUnknown};
    let no_way = (4, "CSC0431");
    vec![
        row(
            "the proxy's name is not found",
            ProxyUnknown,
            "ee pp pp",
            no_way,
            NO_WAY,
        ),
        row(
            "nobody listens at the proxy's port",
            ProxyRefuses,
            "ee pp pp",
            no_way,
            NO_WAY,
        ),
        row(
            "the proxy wants a logon",
            Proxy(|_| {
                let kind = "proxy-authenticate: Negotiate\r\n";
                bare_with("407 Proxy Authentication Required", kind)
            }),
            "pp pp pp",
            (4, "CSC0408"),
            "",
        ),
        row(
            "the proxy cannot reach the receiver",
            Proxy(|_| bare("503 Service Unavailable")),
            "ee pp pp",
            no_way,
            NO_WAY,
        ),
        row(
            "the proxy forbids the receiver",
            Proxy(|_| bare("403 Forbidden")),
            "pp pp pp",
            (4, "CSC0432"),
            "",
        ),
        row(
            "the proxy resets the connection",
            Proxy(|_| vec![Step::Reset]),
            "ee pp pp",
            (4, "CSC0410"),
            LOST,
        ),
    ]
}

/// A fault that is in force: its servers run until this is dropped.
pub struct Stage {
    /// The settings that lead to it.
    pub settings: String,
    /// Where redirects point to.
    elsewhere: Faulty,
    servers: [Faulty; 3],
}

impl Stage {
    /// Puts a fault in force. One of the simulator's has to be ordered at the place.
    pub fn of(fault: Fault) -> Stage {
        Stage::after(fault, 1)
    }

    /// The same; what strikes posts does so after that many.
    pub fn after(fault: Fault, posts: usize) -> Stage {
        const EVERY: usize = usize::MAX;
        let elsewhere = Faulty::start(Script::good(accepted));
        let mut receiver = Script::good(accepted);
        let mut token = Script::good(granted);
        let mut proxy = Script::good(accepted);
        for script in [&mut receiver, &mut token] {
            script.elsewhere = format!("http://{}/elsewhere", elsewhere.address);
        }
        let strike = |script: &mut Script, after, times, bad| {
            (script.after, script.times, script.bad) = (after, times, bad);
        };
        match fault {
            Fault::Posts(answer) => strike(&mut receiver, posts, EVERY, answer),
            Fault::Post(answer) => strike(&mut receiver, posts, 1, answer),
            Fault::Tokens(answer) => strike(&mut token, 0, EVERY, answer),
            Fault::Token(answer) => strike(&mut token, 0, 1, answer),
            Fault::LaterTokens(answer) => {
                strike(&mut token, 1, EVERY, answer);
                token.good = |_| granted_with(r#","expires_in":0"#);
            }
            Fault::Proxy(answer) => strike(&mut proxy, 0, EVERY, answer),
            Fault::ReceiverTls(tls) => receiver.tls = tls,
            Fault::TokenTls(tls) => token.tls = tls,
            Fault::ReceiverResets => receiver.reset_at_accept = true,
            Fault::TokenResets => token.reset_at_accept = true,
            Fault::Simulator(_)
            | Fault::ReceiverRefuses
            | Fault::TokenRefuses
            | Fault::ReceiverUnknown
            | Fault::TokenUnknown
            | Fault::ProxyRefuses
            | Fault::ProxyUnknown => {}
        }
        let servers = [receiver, token, proxy].map(Faulty::start);
        let base = |n: usize, tls: bool| {
            let scheme = if tls { "https" } else { "http" };
            format!("{scheme}://{}", servers[n].address)
        };
        let receiver = match fault {
            Fault::ReceiverTls(_) => base(0, true),
            Fault::ReceiverRefuses => format!("http://127.0.0.1:{}", dead_port()),
            Fault::ReceiverUnknown
            | Fault::Proxy(_)
            | Fault::ProxyRefuses
            | Fault::ProxyUnknown => "https://receiver.invalid".to_string(),
            _ => base(0, false),
        };
        let token = match fault {
            Fault::TokenTls(_) => base(1, true),
            Fault::TokenRefuses => format!("http://127.0.0.1:{}", dead_port()),
            Fault::TokenUnknown => "https://token.invalid".to_string(),
            _ => base(1, false),
        };
        let proxy = match fault {
            Fault::Proxy(_) => servers[2].address.to_string(),
            Fault::ProxyRefuses => format!("127.0.0.1:{}", dead_port()),
            Fault::ProxyUnknown => "proxy.invalid:8080".to_string(),
            _ => String::new(),
        };
        // A good request that took longer would be tried again, and that try struck instead.
        let timeout = if fault.lasts() { 5 } else { 60 };
        let mut settings = format!(
            "ALLOWED_HOSTS=receiver.invalid,token.invalid\nAPI_TIMEOUT={timeout}\nMAX_RETRIES=1\n\
             RETRY_BASE_MS=1\nMIN_GAP_MS={}\nBATCH_SIZE=2\nMAX_WAIT=5\n",
            min_gap(),
        );
        if !matches!(fault, Fault::Simulator(_)) {
            settings +=
                &format!("API_ENDPOINT={receiver}{API_PATH}\nTOKEN_ENDPOINT={token}{TOKEN_PATH}\n");
        }
        if !proxy.is_empty() {
            // The token endpoint is reached without it: what is told is the post's fault.
            settings += &format!(
                "PROXY=http://{PROXY_USER}:{PROXY_PASSWORD}@{proxy}\nNO_PROXY=127.0.0.1\n"
            );
        }
        Stage {
            settings,
            elsewhere,
            servers,
        }
    }

    /// How often the receiver, its token endpoint and the proxy were connected to.
    pub fn connections(&self) -> usize {
        self.servers.iter().map(Faulty::connections).sum()
    }
}

pub const PROXY_USER: &str = "proxyuser";
pub const PROXY_PASSWORD: &str = "canaryproxypassword";

/// A place with these children in which a fault is in force. The tests' authority is
/// trusted in it.
pub fn place_with(fault: Fault, payloads: &[String], stage: &Stage, more: &str) -> Place {
    let ordered = match fault {
        Fault::Simulator(fault) => vec![fault],
        _ => Vec::new(),
    };
    let place = Place::with_payloads(TABLE, payloads, &ordered);
    std::fs::write(place.file("authority.pem"), trusted()).unwrap();
    place.write_env(&format!("{}{more}", stage.settings));
    place
}

/// Runs the program in it.
pub fn run_trusting(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    command
        .env("SSL_CERT_FILE", place.file("authority.pem"))
        .env("TMPDIR", place.file("tmp"))
        .env("TMP", place.file("tmp"));
    ran(command.output().unwrap())
}

/// Calls `work` for every item, sixteen at a time: the long ones are waits.
pub fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
                    work(item);
                }
            });
        }
    });
}

/// What is not as the table says.
fn meet(row: &Row) -> Vec<String> {
    let stage = Stage::of(row.fault);
    let payloads: Vec<String> = (1..=6).map(payload).collect();
    let place = place_with(row.fault, &payloads, &stage, "");
    let ran = run_trusting(&place, &["send", "--live", "--yes"]);
    let mut rows = String::new();
    for id in 1..=6 {
        let status = place.text("lower(submission_status)", id);
        rows.push_str(&status[..1]);
        if id % 2 == 0 && id < 6 {
            rows.push(' ');
        }
    }
    let said = place.text("api_response", 2 * row.fault.strikes() as i64 + 1);
    let mut wrong = Vec::new();
    let mut expect = |so: bool, what: String| {
        if !so {
            wrong.push(what);
        }
    };
    expect(rows == row.rows, format!("rows {rows}, not {}", row.rows));
    expect(
        ran.exit == row.exit,
        format!("exit {}, not {}", ran.exit, row.exit),
    );
    for told in row.told.split(" … ") {
        expect(ran.both().contains(told), format!("not told {told:?}"));
    }
    expect(said.contains(row.response), format!("api_response: {said}"));
    if row.response.is_empty() {
        expect(said.is_empty(), format!("api_response: {said}"));
    }
    let followed = stage.elsewhere.connections();
    expect(followed == 0, format!("{followed} redirects followed"));
    if !wrong.is_empty() {
        wrong.push(ran.both());
    }
    wrong
}

#[test]
fn every_fault_costs_what_the_table_says_and_no_more() {
    let wrong = Mutex::new(Vec::new());
    let rows = table();
    assert!(rows.len() >= 30);
    in_parallel(&rows, |row| {
        let found = meet(row);
        if !found.is_empty() {
            wrong
                .lock()
                .unwrap()
                .push(format!("{}: {}", row.name, found.join("\n  ")));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The states of a batch, as the page words them.
fn states(batch: &str) -> String {
    let words: BTreeSet<&str> = batch
        .chars()
        .map(|state| match state {
            's' => "sent",
            'e' => "error",
            'p' => "pending",
            other => panic!("{other} is no state"),
        })
        .collect();
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[test]
fn the_page_of_faults_says_what_the_table_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/faults.md");
    let page = std::fs::read_to_string(page).unwrap();
    let told: Vec<Vec<String>> = page
        .lines()
        .take_while(|line| *line != "## Beyond one request")
        .filter(|line| line.starts_with("| ") && !line.starts_with("| fault |"))
        .filter(|line| !line.starts_with("| ---"))
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().to_string()).collect()
        })
        .collect();
    let rows = table();
    for (row, cells) in rows.iter().zip(&told) {
        let batches: Vec<&str> = row.rows.split(' ').collect();
        let struck = row.fault.strikes();
        let message = match row.told.get(..7).filter(|code| code.starts_with("CSC")) {
            Some(code) => format!("[{code}](troubleshooting.md#{})", code.to_lowercase()),
            None => row.told.to_string(),
        };
        assert_eq!(cells.len(), 6, "{}: {cells:?}", row.name);
        assert_eq!(cells[0], row.name);
        assert_eq!(cells[2], states(batches[struck]), "{}", row.name);
        assert_eq!(cells[3], states(batches[2]), "{}", row.name);
        assert_eq!(cells[4], row.exit.to_string(), "{}", row.name);
        assert!(cells[5].contains(&message), "{}: {message}", row.name);
    }
    assert_eq!(told.len(), rows.len());
}
