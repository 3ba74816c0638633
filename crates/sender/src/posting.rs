//! A part of a batch posted, and again where that helps, until there is an answer that
//! stands.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use csc_message::Message;
use csc_receiver::{Answer, Client, Receipt, Submitted, TokenFault, Trouble, Words, body_of};

use crate::deliver::{Delivery, End};
use crate::figures::Post;
use crate::plan::Prepared;
use crate::report::{Event, Failure};
use crate::settling::LastAnswer;
use crate::{NextTry, Reason};

/// The most failed posts that a report lists.
const FAILURES: usize = 100;

/// What a first post was answered.
pub(crate) type FirstAnswer = Result<Answer, TokenFault>;

/// What came of a part of a batch, retries included.
pub(crate) enum Posted {
    Accepted(Vec<Receipt>),
    Malformed {
        named: BTreeMap<usize, Words>,
        words: Words,
        status: Option<u16>,
    },
    TooLarge(Words),
    /// Refused as a whole.
    Whole {
        reason: Reason,
        words: String,
    },
    /// Retries are spent: the rows say why, and the run ends.
    Spent {
        words: String,
        message: Message,
    },
}

impl Delivery<'_> {
    /// Posts a part, and again where that helps. Also says whether the receiver may have
    /// taken it although no reply says so.
    /// `first` is the answer of a post that was made before.
    pub(crate) async fn post(
        &mut self,
        part: &[Prepared],
        first: Option<FirstAnswer>,
    ) -> (Result<Posted, End>, bool) {
        let mut in_doubt = false;
        let posted = self.post_until_answered(part, first, &mut in_doubt).await;
        (posted, in_doubt)
    }

    pub(crate) async fn post_until_answered(
        &mut self,
        part: &[Prepared],
        mut first: Option<FirstAnswer>,
        in_doubt: &mut bool,
    ) -> Result<Posted, End> {
        let mut body = None;
        let (mut failed, mut no_token) = (0, 0);
        loop {
            let answer = match first.take() {
                Some(answer) => answer,
                None => {
                    if !self.pacer.turn(&mut self.stop).await {
                        return Err(End::Interrupted);
                    }
                    // What is in the table by now is told of, and what kept it out ends the
                    // run before more is posted.
                    self.note_recorded().await?;
                    let body = body.get_or_insert_with(|| bytes_of(part)).clone();
                    self.client.submit(body, part.len()).await
                }
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(TokenFault::Final(message)) => return Err(End::Because(message)),
                Err(TokenFault::Trouble {
                    kind,
                    words,
                    retry_after,
                }) => {
                    no_token += 1;
                    self.wait_for_token(kind, no_token, &words, retry_after)
                        .await?;
                    continue;
                }
            };
            self.note_answer(&answer, part);
            let status = answer.status;
            match answer.submitted {
                Submitted::Accepted(receipts) => return Ok(Posted::Accepted(receipts)),
                Submitted::Unreadable { why, words } => {
                    *in_doubt = true;
                    return Ok(Posted::Whole {
                        reason: Reason::UnreadableReceipts,
                        words: with_words(&why, &words),
                    });
                }
                Submitted::NothingTaken => {
                    return Ok(Posted::Whole {
                        reason: Reason::NothingTaken,
                        words: "status 204: the receiver took nothing of this batch".into(),
                    });
                }
                Submitted::Malformed { named, words } => {
                    return Ok(Posted::Malformed {
                        named,
                        words,
                        status,
                    });
                }
                Submitted::TooLarge { words } => return Ok(Posted::TooLarge(words)),
                Submitted::Unauthorised => {
                    if !self.client.escalate() {
                        return Err(End::Because(self.client.unauthorised()));
                    }
                    tracing::info!("401: trying again with other credentials");
                }
                Submitted::RunEnds(message) => return Err(End::Because(message)),
                Submitted::Trouble {
                    kind,
                    what,
                    words,
                    retry_after,
                } => {
                    *in_doubt |= may_have_arrived(kind);
                    failed += 1;
                    match self.next_try(kind, failed, retry_after) {
                        NextTry::After(wait) => {
                            self.pause(what, wait).await?;
                            if *in_doubt {
                                self.note_again(part)?;
                            }
                        }
                        NextTry::Spent => {
                            let said = with_words(&what, &words);
                            return Ok(Posted::Spent {
                                words: format!("not accepted after {failed} tries: {said}"),
                                message: spent(self.client, kind, failed, &what),
                            });
                        }
                        NextTry::TooLong(wait) => {
                            return Ok(Posted::Spent {
                                words: format!(
                                    "{what}: the receiver asks to wait {} s",
                                    wait.as_secs()
                                ),
                                message: too_long(wait, self.options.retry.max_wait),
                            });
                        }
                    }
                }
            }
        }
    }

    pub(crate) async fn wait_for_token(
        &mut self,
        kind: Trouble,
        failed: u32,
        words: &str,
        retry_after: Option<Duration>,
    ) -> Result<(), End> {
        match self.next_try(kind, failed, retry_after) {
            NextTry::After(wait) => self.pause(format!("no token: {words}"), wait).await,
            NextTry::TooLong(wait) => {
                Err(End::Because(too_long(wait, self.options.retry.max_wait)))
            }
            NextTry::Spent if kind == Trouble::Proxy => Err(End::Because(no_way_through(
                &format!("{words} ({failed} tries)"),
                "No row of this batch was posted, they stay as they were",
            ))),
            NextTry::Spent => Err(End::Because(Message::new(
                404,
                format!("No token after {failed} tries"),
                format!("the token endpoint: {words}"),
                "check TOKEN_ENDPOINT, PROXY and the network, then start again; no row of this \
                 batch was posted, they stay as they were",
            ))),
        }
    }

    pub(crate) fn next_try(
        &self,
        kind: Trouble,
        failed: u32,
        retry_after: Option<Duration>,
    ) -> NextTry {
        self.options
            .retry
            .next(kind, failed, retry_after, rand::random::<f64>())
    }

    pub(crate) async fn pause(&mut self, why: String, wait: Duration) -> Result<(), End> {
        tracing::warn!("{why}: trying again in {:.1} s", wait.as_secs_f64());
        self.tell(Event::Waiting { why, wait });
        if self.stop.sleep(wait).await {
            Ok(())
        } else {
            Err(End::Interrupted)
        }
    }

    pub(crate) fn note_answer(&mut self, answer: &Answer, part: &[Prepared]) {
        self.report.posts += 1;
        self.note_failure(answer);
        let figure = Post {
            bytes: body_length(part) as u64,
            took: answer.took,
            accepted: matches!(answer.submitted, Submitted::Accepted(_)),
        };
        self.report.figures.add(&figure);
        self.state.answered = LastAnswer {
            post: Some(figure),
            what: in_our_words(&answer.submitted),
            status: answer.status,
            request_id: answer.request_id.clone(),
        };
    }

    pub(crate) fn note_failure(&mut self, answer: &Answer) {
        tracing::debug!(
            status = answer.status,
            request_id = answer.request_id,
            "post took {} ms",
            answer.took.as_millis()
        );
        if !matches!(answer.submitted, Submitted::Accepted(_))
            && self.report.failures.len() < FAILURES
        {
            self.report.failures.push(Failure {
                status: answer.status,
                request_id: answer.request_id.clone(),
            });
        }
    }
}

/// What the journal says of an answer: no word of the receiver's, which may quote a child.
pub(crate) fn in_our_words(submitted: &Submitted) -> String {
    match submitted {
        Submitted::Accepted(_) => String::new(),
        Submitted::Unreadable { why, .. } => why.clone(),
        Submitted::NothingTaken => "it took nothing".to_string(),
        Submitted::Malformed { named, .. } if named.is_empty() => {
            "malformed; no record is named".to_string()
        }
        Submitted::Malformed { named, .. } => format!("malformed; {} records named", named.len()),
        Submitted::TooLarge { .. } => "too large".to_string(),
        Submitted::Unauthorised => "not authorised".to_string(),
        Submitted::RunEnds(message) => message.what().to_string(),
        Submitted::Trouble { what, .. } => what.clone(),
    }
}

/// Whether the receiver may have taken a batch that it did not confirm.
pub(crate) fn may_have_arrived(trouble: Trouble) -> bool {
    match trouble {
        Trouble::NoAnswer | Trouble::Server => true,
        Trouble::Forbidden | Trouble::RateLimited | Trouble::Proxy => false,
    }
}

/// The body that carries these records.
pub(crate) fn bytes_of(part: &[Prepared]) -> Bytes {
    body_of(part.iter().map(|record| record.form.text.as_str()))
}

pub(crate) fn body_length(part: &[Prepared]) -> usize {
    part.iter()
        .map(|record| record.form.text.len() + 1)
        .sum::<usize>()
        + 1
}

pub(crate) fn status_words(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!("status {status}"))
}

/// Our words with the receiver's behind them: for `api_response` alone.
pub(crate) fn with_words(what: &str, words: &Words) -> String {
    if words.is_empty() {
        what.to_string()
    } else {
        format!("{what}: {}", words.for_response())
    }
}

pub(crate) fn too_long(wait: Duration, max_wait: Duration) -> Message {
    Message::new(
        411,
        format!("The receiver asks to wait {} s", wait.as_secs()),
        format!("that is longer than MAX_WAIT ({} s)", max_wait.as_secs()),
        "start again later, or raise MAX_WAIT; the rows that were not reached stay as they were",
    )
}

/// The proxy can't be reached, or reaches nobody itself, also at the last try.
pub(crate) fn no_way_through(words: &str, rows: &str) -> Message {
    Message::new(
        431,
        "No way through the proxy",
        words,
        format!(
            "check the proxy's name and port (`csc-sender config show` says who names it) and \
             whether this machine reaches it, or ask IT; then start again. {rows}"
        ),
    )
}

pub(crate) fn spent(client: &Client, kind: Trouble, failed: u32, what: &str) -> Message {
    let next = match kind {
        Trouble::Proxy => {
            return no_way_through(
                &format!("{what} ({failed} tries)"),
                "That batch's rows are `error` and go again, the rest stay as they were",
            );
        }
        Trouble::Forbidden => {
            "check with the DfE that this authority's LA_CODE and SCOPE are allowed; if it worked \
             before, the firewall may be throttling: raise MIN_GAP_MS"
        }
        Trouble::RateLimited => "start again later, or raise MIN_GAP_MS",
        Trouble::Server => "start again later; if it lasts, give the request ids to the DfE",
        Trouble::NoAnswer => "check the network, PROXY and API_ENDPOINT, then start again",
    };
    Message::new(
        410,
        format!(
            "No success after {failed} tries at {}",
            client.submission_url()
        ),
        what,
        format!("{next}. That batch's rows are `error` and go again, the rest stay as they were"),
    )
}
