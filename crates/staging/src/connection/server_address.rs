//! SQL Server's way of naming a server: `tcp:HOST\INSTANCE,PORT` in all its parts.

use std::net::Ipv6Addr;

/// A server's address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerAddress {
    pub(super) host: String,
    pub(super) instance: Option<String>,
    pub(super) port: Option<u16>,
}

/// Why a text names no server that can be reached over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressFault {
    /// `np:`, `\\host\pipe\…`
    NamedPipe,
    /// `lpc:`
    SharedMemory,
    /// `(localdb)\…`
    LocalDb,
    /// `admin:`
    AdminConnection,
    /// `host:1433`
    ColonBeforePort,
    /// `host,abc`
    Port,
    /// A host with characters that no name has, or none at all.
    Host,
    /// An instance with characters that no name has, or none after a backslash.
    Instance,
}

impl ServerAddress {
    pub(super) fn parse(text: &str) -> Result<Self, AddressFault> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        for (prefix, fault) in [
            ("np:", AddressFault::NamedPipe),
            ("\\\\", AddressFault::NamedPipe),
            ("lpc:", AddressFault::SharedMemory),
            ("(localdb)", AddressFault::LocalDb),
            ("admin:", AddressFault::AdminConnection),
        ] {
            if lower.starts_with(prefix) {
                return Err(fault);
            }
        }
        let text = if lower.starts_with("tcp:") {
            text[4..].trim()
        } else {
            text
        };
        let (text, port) = match text.rsplit_once(',') {
            Some((before, port)) => match port.trim().parse() {
                Ok(0) | Err(_) => return Err(AddressFault::Port),
                Ok(port) => (before.trim(), Some(port)),
            },
            None => (text, None),
        };
        let (host, instance) = match text.split_once('\\') {
            Some((host, instance)) => (host.trim(), Some(instance.trim())),
            None => (text, None),
        };
        Ok(ServerAddress {
            host: read_host(host)?,
            instance: instance.map(read_instance).transpose()?.flatten(),
            port,
        })
    }
}

fn read_host(host: &str) -> Result<String, AddressFault> {
    let lower = host.to_ascii_lowercase();
    if matches!(lower.as_str(), "." | "(local)" | "localhost") {
        return Ok("localhost".to_string());
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Ok(bare.to_string());
    }
    if let Some((name, port)) = host.split_once(':')
        && !name.is_empty()
        && port.parse::<u16>().is_ok()
    {
        return Err(AddressFault::ColonBeforePort);
    }
    let fits = host
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if host.is_empty() || !fits {
        return Err(AddressFault::Host);
    }
    Ok(host.to_string())
}

/// `MSSQLSERVER` is the default instance's name for itself.
pub(super) fn read_instance(instance: &str) -> Result<Option<String>, AddressFault> {
    // SQL Server's rule for instances: letters, digits, _ and $ (and # in older ones).
    let fits = instance
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '-'));
    if instance.is_empty() || !fits {
        return Err(AddressFault::Instance);
    }
    Ok((!instance.eq_ignore_ascii_case("MSSQLSERVER")).then(|| instance.to_string()))
}

impl AddressFault {
    /// Why it is refused, and what to do next.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            AddressFault::NamedPipe => (
                "it asks for a named pipe, and csc-sender speaks TCP only",
                "name the server as HOST\\INSTANCE or host,port; the DBA can switch TCP/IP on \
                 in SQL Server Configuration Manager",
            ),
            AddressFault::SharedMemory => (
                "it asks for shared memory (lpc:), and csc-sender speaks TCP only",
                "name the server as localhost or .\\INSTANCE; the DBA can switch TCP/IP on in \
                 SQL Server Configuration Manager",
            ),
            AddressFault::LocalDb => (
                "LocalDB is reached through a named pipe only, and csc-sender speaks TCP only",
                "use an instance of SQL Server (Express will do), or sqlite:PATH to try things out",
            ),
            AddressFault::AdminConnection => (
                "admin: is the connection kept for an administrator in need",
                "take admin: out",
            ),
            AddressFault::ColonBeforePort => (
                "a colon stands before the port",
                "SQL Server writes the port after a comma: host,port",
            ),
            AddressFault::Port => (
                "what stands after the comma is no port, a number from 1 to 65535",
                "write host,port, e.g. sql01,1433",
            ),
            AddressFault::Host => (
                "it is neither a host's name nor an address",
                "write HOST, HOST\\INSTANCE or host,port",
            ),
            AddressFault::Instance => (
                "what stands after the backslash is no instance's name",
                "write HOST\\INSTANCE, or HOST alone for the default instance",
            ),
        }
    }

    /// Whether the server was understood and is only reached in a way that is not spoken.
    pub(super) fn is_protocol(self) -> bool {
        match self {
            AddressFault::NamedPipe
            | AddressFault::SharedMemory
            | AddressFault::LocalDb
            | AddressFault::AdminConnection => true,
            AddressFault::ColonBeforePort
            | AddressFault::Port
            | AddressFault::Host
            | AddressFault::Instance => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(
        host: &str,
        instance: Option<&str>,
        port: Option<u16>,
    ) -> Result<ServerAddress, AddressFault> {
        Ok(ServerAddress {
            host: host.to_string(),
            instance: instance.map(str::to_string),
            port,
        })
    }

    #[test]
    fn a_server_is_read_in_every_spelling() {
        for (text, expected) in [
            ("sql01", address("sql01", None, None)),
            (
                "sql01.example.gov.uk",
                address("sql01.example.gov.uk", None, None),
            ),
            (
                "SERVER\\INSTANCE",
                address("SERVER", Some("INSTANCE"), None),
            ),
            ("tcp:host,1433", address("host", None, Some(1433))),
            ("TCP: host , 1433", address("host", None, Some(1433))),
            ("host\\i,1500", address("host", Some("i"), Some(1500))),
            ("(local)", address("localhost", None, None)),
            (
                "(Local)\\SQL2019",
                address("localhost", Some("SQL2019"), None),
            ),
            (".", address("localhost", None, None)),
            (
                ".\\SQLEXPRESS",
                address("localhost", Some("SQLEXPRESS"), None),
            ),
            ("host\\MSSQLSERVER", address("host", None, None)),
            ("10.0.0.5", address("10.0.0.5", None, None)),
            ("[::1],1433", address("::1", None, Some(1433))),
            ("fe80::1", address("fe80::1", None, None)),
        ] {
            assert_eq!(ServerAddress::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_server_on_tcp_is_refused_for_its_own_reason() {
        for (text, expected) in [
            ("np:host", AddressFault::NamedPipe),
            (
                "np:\\\\host\\pipe\\MSSQL$I\\sql\\query",
                AddressFault::NamedPipe,
            ),
            ("\\\\host\\pipe\\sql\\query", AddressFault::NamedPipe),
            ("LPC:host", AddressFault::SharedMemory),
            ("(localdb)\\MSSQLLocalDB", AddressFault::LocalDb),
            ("(LocalDB)\\v11.0", AddressFault::LocalDb),
            ("admin:host", AddressFault::AdminConnection),
            ("host:1433", AddressFault::ColonBeforePort),
            ("host,", AddressFault::Port),
            ("host,0", AddressFault::Port),
            ("host,70000", AddressFault::Port),
            ("host,abc", AddressFault::Port),
            ("", AddressFault::Host),
            ("a b", AddressFault::Host),
            ("host;x", AddressFault::Host),
            ("\\INSTANCE", AddressFault::Host),
            ("host\\", AddressFault::Instance),
            ("host\\a\\b", AddressFault::Instance),
        ] {
            assert_eq!(ServerAddress::parse(text), Err(expected), "{text}");
        }
    }
}
