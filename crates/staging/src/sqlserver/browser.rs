//! SQL Server Browser: at which port a named instance listens (MC-SQLR, "SQL Server
//! Resolution Protocol").
//!
//! It is asked here, not by the driver, whose answer is kept for as long as the program
//! runs: an instance whose port is not fixed has another one after a restart, and a
//! run survives that. The port is part of the service's name for Kerberos, too, which a
//! message about a refused logon must show.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

/// Where SQL Server Browser listens.
pub(super) const PORT: u16 = 1434;

/// A datagram may be lost: so often it is asked.
const TRIES: u32 = 3;

/// The longest that the host's addresses are looked up.
const LOOKUP: Duration = Duration::from_secs(15);

/// Asks for one instance; the answer to it; and its bytes before the text.
const ASK_FOR_INSTANCE: u8 = 0x04;
const ANSWER: u8 = 0x05;
const ANSWER_HEADER: usize = 3;

/// Why there is no port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoPort {
    /// The host's name leads nowhere.
    UnknownHost(String),
    /// Nobody answered.
    Silent,
    /// The instance is there, and TCP is switched off in it.
    NoTcp,
}

/// The port of an instance. Each try waits for `wait`.
pub(super) async fn port_of(
    host: &str,
    instance: &str,
    browser: u16,
    wait: Duration,
) -> Result<u16, NoPort> {
    let looked_up = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, browser)))
        .await
        .map_err(|_| {
            let words = format!("no name server answered within {} s", LOOKUP.as_secs());
            NoPort::UnknownHost(words)
        })?;
    let addresses: Vec<SocketAddr> = looked_up
        .map_err(|e| NoPort::UnknownHost(e.to_string()))?
        .collect();
    if addresses.is_empty() {
        return Err(NoPort::UnknownHost("it has no address".to_string()));
    }
    for _ in 0..TRIES {
        match tokio::time::timeout(wait, ask(&addresses, instance)).await {
            Ok(Some(found)) => return found,
            // Nothing could be sent at all (there is no such network here).
            Ok(None) => tokio::time::sleep(wait).await,
            Err(_) => {}
        }
    }
    Err(NoPort::Silent)
}

/// Asks every address and waits for the first answer from one of them. `None` where
/// nothing could be sent or received.
async fn ask(addresses: &[SocketAddr], instance: &str) -> Option<Result<u16, NoPort>> {
    let socket_of = async |local: &str| UdpSocket::bind(local).await.ok();
    let v4 = match addresses.iter().any(SocketAddr::is_ipv4) {
        true => socket_of("0.0.0.0:0").await,
        false => None,
    };
    let v6 = match addresses.iter().any(SocketAddr::is_ipv6) {
        true => socket_of("[::]:0").await,
        false => None,
    };
    let mut question = vec![ASK_FOR_INSTANCE];
    question.extend_from_slice(instance.as_bytes());
    question.push(0);
    for address in addresses {
        let socket = if address.is_ipv4() { &v4 } else { &v6 };
        if let Some(socket) = socket {
            // An address that cannot be reached is no reason not to ask the others.
            let _ = socket.send_to(&question, address).await;
        }
    }
    let known: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    match (v4, v6) {
        (Some(v4), Some(v6)) => tokio::select! {
            answer = answer(&v4, &known) => answer,
            answer = answer(&v6, &known) => answer,
        },
        (Some(socket), None) | (None, Some(socket)) => answer(&socket, &known).await,
        (None, None) => None,
    }
}

/// The first answer that can be read. One from another machine than was asked is no
/// answer.
async fn answer(socket: &UdpSocket, known: &[IpAddr]) -> Option<Result<u16, NoPort>> {
    let mut bytes = [0u8; 4096];
    loop {
        match socket.recv_from(&mut bytes).await {
            Ok((length, from)) if known.contains(&from.ip()) => {
                if let Some(found) = read(&bytes[..length]) {
                    return Some(found);
                }
            }
            Ok(_) => {}
            // On Windows, a closed port is reported by the next receive. Another
            // address may still answer.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(_) => return None,
        }
    }
}

/// `ServerName;…;InstanceName;…;IsClustered;…;Version;…;tcp;1500;np;…;;`
fn read(answer: &[u8]) -> Option<Result<u16, NoPort>> {
    let (header, text) = answer.split_at_checked(ANSWER_HEADER)?;
    if header[0] != ANSWER {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    let mut words = text.split(';');
    let mut has_instance = false;
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        match key {
            "InstanceName" => has_instance = true,
            "tcp" => {
                return match value.trim().parse() {
                    Ok(0) | Err(_) => Some(Err(NoPort::NoTcp)),
                    Ok(port) => Some(Ok(port)),
                };
            }
            _ => {}
        }
    }
    has_instance.then_some(Err(NoPort::NoTcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(text: &str) -> Vec<u8> {
        let mut bytes = vec![ANSWER];
        bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn the_port_is_read_from_the_answer() {
        let named = "ServerName;S;InstanceName;I;IsClustered;No;Version;15.0.2000.5;";
        for (text, expected) in [
            (
                format!("{named}tcp;1500;np;\\\\S\\pipe\\x;;"),
                Some(Ok(1500)),
            ),
            (
                format!("{named}np;\\\\S\\pipe\\x;tcp;51234;;"),
                Some(Ok(51234)),
            ),
            (
                format!("{named}np;\\\\S\\pipe\\x;;"),
                Some(Err(NoPort::NoTcp)),
            ),
            (format!("{named}tcp;0;;"), Some(Err(NoPort::NoTcp))),
            (format!("{named}tcp;x;;"), Some(Err(NoPort::NoTcp))),
            ("nonsense".to_string(), None),
            (String::new(), None),
        ] {
            assert_eq!(read(&datagram(&text)), expected, "{text}");
        }
        assert_eq!(read(b"\x05"), None);
        assert_eq!(read(b"\x04\x00\x00tcp;1;;"), None);
    }

    #[tokio::test]
    async fn an_instance_is_asked_for_by_name_and_a_lost_question_is_asked_again() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut bytes = [0u8; 64];
            server.recv_from(&mut bytes).await.unwrap(); // the first is lost
            loop {
                let (length, from) = server.recv_from(&mut bytes).await.unwrap();
                assert_eq!(bytes[..length], *b"\x04SSD\0");
                server
                    .send_to(&datagram("InstanceName;SSD;tcp;1500;;"), from)
                    .await
                    .unwrap();
            }
        });
        let found = port_of("127.0.0.1", "SSD", port, Duration::from_millis(100)).await;
        assert_eq!(found, Ok(1500));
    }

    #[tokio::test]
    async fn silence_and_an_unknown_host_are_told_apart() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let wait = Duration::from_millis(10);
        assert_eq!(
            port_of("127.0.0.1", "SSD", port, wait).await,
            Err(NoPort::Silent)
        );
        let unknown = port_of("no-such-host.invalid", "SSD", port, wait).await;
        assert!(
            matches!(unknown, Err(NoPort::UnknownHost(_))),
            "{unknown:?}"
        );
    }
}
