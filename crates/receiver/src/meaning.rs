//! What each HTTP status means: the table of the reference's `receiver-api.md`.

/// What a status means for the batch and for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Accepted: the body holds one receipt per record.
    Accepted,
    /// Nothing was taken (204): a refusal of the batch that names no record.
    NothingTaken,
    /// Malformed: all records of the batch are refused, the detail may name which.
    Malformed,
    /// The token or the subscription key is not accepted.
    Unauthorised,
    /// The batch is too large in bytes.
    TooLarge,
    /// Trouble that a later try may not meet.
    Trouble(Trouble),
    /// Final for the run, not for the rows: they stay pending.
    RunEnds(RunEnd),
}

/// Trouble that a later try may not meet, and that ends the run when the retries
/// are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// 403: not allowed for this authority or scope, or the firewall throttling.
    Forbidden,
    /// 429: rate limit.
    RateLimited,
    /// 408 and 5xx.
    Server,
    /// No reply at all.
    NoAnswer,
    /// No way through the proxy, so that nothing reached the host.
    Proxy,
}

/// Why a reply ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// 3xx: the address moved; nothing is ever sent after a redirect.
    Redirect,
    /// 404, 405: wrong base address, authority code or method.
    WrongAddress,
    /// 407: the authority's own proxy wants credentials.
    ProxyLogon,
    /// Any other status that has no place in the receiver's rules.
    Unexpected,
}

/// What a status means.
pub fn meaning(status: u16) -> Meaning {
    match status {
        204 => Meaning::NothingTaken,
        200..=299 => Meaning::Accepted,
        300..=399 => Meaning::RunEnds(RunEnd::Redirect),
        400 | 422 => Meaning::Malformed,
        401 => Meaning::Unauthorised,
        403 => Meaning::Trouble(Trouble::Forbidden),
        404 | 405 => Meaning::RunEnds(RunEnd::WrongAddress),
        407 => Meaning::RunEnds(RunEnd::ProxyLogon),
        408 | 500..=599 => Meaning::Trouble(Trouble::Server),
        413 => Meaning::TooLarge,
        429 => Meaning::Trouble(Trouble::RateLimited),
        _ => Meaning::RunEnds(RunEnd::Unexpected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_reference_has_its_meaning() {
        let table: &[(&[u16], Meaning)] = &[
            (&[200, 201, 202], Meaning::Accepted),
            (&[204], Meaning::NothingTaken),
            (
                &[300, 301, 302, 303, 304, 307, 308],
                Meaning::RunEnds(RunEnd::Redirect),
            ),
            (&[400, 422], Meaning::Malformed),
            (&[401], Meaning::Unauthorised),
            (&[403], Meaning::Trouble(Trouble::Forbidden)),
            (&[404, 405], Meaning::RunEnds(RunEnd::WrongAddress)),
            (&[407], Meaning::RunEnds(RunEnd::ProxyLogon)),
            (
                &[408, 500, 501, 502, 503, 504, 529, 599],
                Meaning::Trouble(Trouble::Server),
            ),
            (&[413], Meaning::TooLarge),
            (&[429], Meaning::Trouble(Trouble::RateLimited)),
            (
                &[101, 402, 406, 409, 410, 415, 418, 451, 600],
                Meaning::RunEnds(RunEnd::Unexpected),
            ),
        ];
        for (statuses, expected) in table {
            for status in *statuses {
                assert_eq!(meaning(*status), *expected, "{status}");
            }
        }
    }
}
