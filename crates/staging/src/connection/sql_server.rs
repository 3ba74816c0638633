//! SQL Server: the strings of its ODBC and OLE DB drivers, ADO.NET and JDBC,
//! `mssql://…`, and a server's with a database's name. The keys are those of
//! Microsoft's pages "DSN and Connection String Keywords" (ODBC), "SqlConnection.
//! ConnectionString" (ADO.NET), "Using Connection String Keywords" (OLE DB) and
//! "Setting the connection properties" (JDBC).

use super::findings::Findings;
use super::pairs::{self, Fields, Keep, Meaning, Pair};
use super::server_address::{AddressFault, ServerAddress, read_instance};
use super::url::Url;
use super::{
    ApplicationIntent, ConnectionTarget, Credentials, Encrypt, Logon, SqlServerForm,
    SqlServerLogon, SqlServerTarget,
};

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Driver,
    Server,
    Port,
    Instance,
    Database,
    Integrated,
    User,
    Password,
    Authentication,
    Encrypt,
    TrustServerCertificate,
    HostNameInCertificate,
    ApplicationIntent,
    MultiSubnetFailover,
    FailoverPartner,
    ServerSpn,
    ConnectTimeout,
    App,
    Wsid,
}

/// The keys of all forms in one table: none means one thing here and another there.
fn meaning(key: &str) -> Meaning<Field> {
    let field = match key {
        "driver" | "provider" => Field::Driver,
        "server" | "servername" | "datasource" | "address" | "addr" | "networkaddress" => {
            Field::Server
        }
        "port" | "portnumber" => Field::Port,
        "instance" | "instancename" => Field::Instance,
        "database" | "databasename" | "initialcatalog" => Field::Database,
        "trustedconnection" | "integratedsecurity" => Field::Integrated,
        "uid" | "user" | "userid" | "username" => Field::User,
        "pwd" | "password" => Field::Password,
        "authentication" => Field::Authentication,
        "encrypt" | "useencryptionfordata" => Field::Encrypt,
        "trustservercertificate" => Field::TrustServerCertificate,
        "hostnameincertificate" => Field::HostNameInCertificate,
        "applicationintent" => Field::ApplicationIntent,
        "multisubnetfailover" => Field::MultiSubnetFailover,
        "failoverpartner" => Field::FailoverPartner,
        "serverspn" => Field::ServerSpn,
        "connecttimeout" | "connectiontimeout" | "logintimeout" | "timeout" => {
            Field::ConnectTimeout
        }
        "app" | "applicationname" => Field::App,
        "wsid" | "workstationid" => Field::Wsid,
        // Of the ODBC drivers.
        "ansinpw" | "autotranslate" | "columnencryption" | "connectretrycount"
        | "connectretryinterval" | "description" | "getdataextensions" | "ipaddresspreference"
        | "keepalive" | "keepaliveinterval" | "language" | "longasmax" | "marsconnection"
        | "quotedid" | "querylogon" | "querylogfile" | "querylogtime" | "regional"
        | "retryexec" | "statslogon" | "statslogfile" | "transparentnetworkipresolution"
        | "usefmtonly" | "tdsversion" | "clientcharset" | "packetsize"
        // Of ADO.NET and OLE DB.
        | "asynchronousprocessing" | "commandtimeout" | "connectionlifetime"
        | "connectionreset" | "contextconnection" | "currentlanguage" | "datatypecompatibility"
        | "enlist" | "extendedproperties" | "loadbalancetimeout" | "maxpoolsize" | "minpoolsize"
        | "multipleactiveresultsets" | "network" | "networklibrary" | "persistsecurityinfo"
        | "poolblockingperiod" | "pooling"
        | "replication" | "transactionbinding" | "typesystemversion" | "userinstance"
        | "useprocedureforprepare"
        // Of JDBC.
        | "lastupdatecount" | "locktimeout" | "querytimeout" | "responsebuffering"
        | "selectmethod" | "sendstringparametersasunicode" | "sendtimeasdatetime"
        | "sockettimeout" | "xopenstates" | "columnencryptionsetting" => return Meaning::NoMatter,
        _ => return Meaning::Unknown,
    };
    Meaning::Field(field)
}

/// Whether a key, in lower case and without white space, can begin an ADO.NET string.
pub(super) fn is_ado_net_key(key: &str) -> bool {
    let key = Pair::new(key, "").key;
    match meaning(&key) {
        Meaning::Field(_) | Meaning::NoMatter => true,
        Meaning::Unknown => false,
    }
}

/// Whether a text, read as ADO.NET, names a server.
pub(super) fn names_server(text: &str) -> bool {
    pairs::ado_net(text, &mut Findings::default())
        .iter()
        .any(|pair| matches!(meaning(&pair.key), Meaning::Field(Field::Server)))
}

pub(super) fn from_odbc(
    pairs: Vec<Pair>,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    target(SqlServerForm::Odbc, pairs, logon, findings)
}

/// OLE DB is ADO.NET's form with a `Provider`.
pub(super) fn from_ado_net(
    text: &str,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let pairs = pairs::ado_net(text, findings);
    let Some(provider) = pairs.iter().find(|pair| pair.key == "provider") else {
        return target(SqlServerForm::AdoNet, pairs, logon, findings);
    };
    let name = provider.value.to_lowercase();
    if ["sqloledb", "sqlncli", "msoledbsql"]
        .iter()
        .any(|known| name.starts_with(known))
    {
        return target(SqlServerForm::OleDb, pairs, logon, findings);
    }
    findings.unknown_driver(provider);
    None
}

/// What follows `jdbc:sqlserver://`: `[host[\instance][:port]][;key=value]…`, where a
/// value may stand in braces as in ODBC.
pub(super) fn from_jdbc(
    rest: &str,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let (server, properties) = rest.split_once(';').unwrap_or((rest, ""));
    if server.contains('@') {
        findings.not_readable(
            "an @ stands before its first ;",
            "a JDBC address names the server only, without a user and password",
            "write them as properties: jdbc:sqlserver://HOST;databaseName=…;user=…;password=…",
        );
        return None;
    }
    let (server, port) = split_jdbc_port(server.trim());
    // In `//user:password@host`, which is no JDBC, the password would be taken for a
    // port or, with a `]` or a second `:` in it, for a part of the server, and for what
    // follows where it has a `;` in it.
    let hidden_where = |may_be_password: bool, pair: Pair| {
        if may_be_password { pair.hidden() } else { pair }
    };
    let has_colon = server.contains(':');
    let mut pairs = vec![hidden_where(has_colon, Pair::new("server", server))];
    pairs.extend(port.map(|port| Pair::new("port", port).hidden()));
    let spilt = (port.is_some() || has_colon) && properties.contains('@');
    let properties = pairs::odbc(properties, findings);
    pairs.extend(properties.into_iter().map(|pair| hidden_where(spilt, pair)));
    target(SqlServerForm::Jdbc, pairs, logon, findings)
}

/// Takes `:port` off; an IPv6 address stands in brackets.
fn split_jdbc_port(server: &str) -> (&str, Option<&str>) {
    match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (server, None),
    }
}

/// What follows `mssql://`: `user:password@host:port/database?key=value&…`.
pub(super) fn from_url(
    rest: &str,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let mut url = Url::read(rest, findings)?;
    // The address of a URL has its port apart, so an IPv6 host comes without brackets.
    if let Some(host) = &mut url.host {
        host.key = "server".to_string();
    }
    target(SqlServerForm::Url, url.into_pairs(), logon, findings)
}

pub(super) fn from_server_and_database(
    server: &str,
    database: &str,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let pairs = vec![
        Pair::new("SERVER", server),
        Pair::new("DATABASE", database.trim()),
    ];
    target(SqlServerForm::ServerAndDatabase, pairs, logon, findings)
}

fn target(
    form: SqlServerForm,
    pairs: Vec<Pair>,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let keep = match form {
        SqlServerForm::Odbc => Keep::First,
        SqlServerForm::OleDb
        | SqlServerForm::AdoNet
        | SqlServerForm::Jdbc
        | SqlServerForm::Url
        | SqlServerForm::ServerAndDatabase => Keep::Last,
    };
    let mut fields = Fields::collect(pairs, keep, Field::Password, meaning, findings);
    let address = address(&mut fields, findings);
    let database = fields.take_value(Field::Database);
    if database.is_none() {
        findings.missing(
            "database",
            "the staging table is in one database of the server, and none was given",
            "add it, e.g. Database=HDM_Local; (Initial Catalog, databaseName, or after the host \
             of mssql://)",
        );
    }
    let logon = settle_logon(&mut fields, logon, findings);
    let encrypt = fields
        .take(Field::Encrypt)
        .and_then(|pair| encrypt(&pair, findings));
    let mut flag = |field| {
        fields
            .take(field)
            .and_then(|pair| pairs::yes_or_no(&pair, findings))
            .unwrap_or(false)
    };
    let trust_server_certificate = flag(Field::TrustServerCertificate);
    let multi_subnet_failover = flag(Field::MultiSubnetFailover);
    let application_intent = match fields.take(Field::ApplicationIntent) {
        Some(pair) => intent(&pair, findings),
        None => ApplicationIntent::default(),
    };
    let connect_timeout = fields
        .take(Field::ConnectTimeout)
        .and_then(|pair| pairs::seconds(&pair, findings));
    let address = address?;
    Some(ConnectionTarget::SqlServer(SqlServerTarget {
        form,
        driver: fields.take_value(Field::Driver),
        host: address.host,
        port: address.port,
        instance: address.instance,
        database: database?,
        logon: logon?,
        encrypt,
        trust_server_certificate,
        host_name_in_certificate: fields.take_value(Field::HostNameInCertificate),
        application_intent,
        multi_subnet_failover,
        failover_partner: fields.take_value(Field::FailoverPartner),
        server_spn: fields.take_value(Field::ServerSpn),
        connect_timeout,
        app: fields.take_value(Field::App),
        wsid: fields.take_value(Field::Wsid),
    }))
}

/// The server with an instance and a port that are given apart from it.
fn address(fields: &mut Fields<Field>, findings: &mut Findings) -> Option<ServerAddress> {
    let port = fields.take(Field::Port);
    let instance = fields.take(Field::Instance);
    let Some(server) = fields.take(Field::Server) else {
        findings.missing(
            "server",
            "SQL Server is reached at a host, and none was given",
            "add it, e.g. Server=HOST\\INSTANCE; (Data Source in ADO.NET)",
        );
        return None;
    };
    let refused = |pair: &Pair, fault: AddressFault, findings: &mut Findings| {
        let (why, next) = fault.words();
        if fault.is_protocol() {
            findings.protocol(pair, why, next);
        } else {
            findings.value(pair, why, next);
        }
    };
    let address = ServerAddress::parse(&server.value)
        .map_err(|fault| refused(&server, fault, findings))
        .ok();
    let port = match port {
        Some(pair) => Some(pairs::port(&pair, findings)?),
        None => None,
    };
    let instance = match instance {
        Some(pair) => match read_instance(pair.value.trim()) {
            Ok(instance) => instance,
            Err(fault) => {
                refused(&pair, fault, findings);
                return None;
            }
        },
        None => None,
    };
    let address = address?;
    Some(ServerAddress {
        host: address.host,
        instance: instance.or(address.instance),
        port: port.or(address.port),
    })
}

/// Windows where the string says so, or names nobody and does not say otherwise.
fn settle_logon(
    fields: &mut Fields<Field>,
    beside: &Logon,
    findings: &mut Findings,
) -> Option<SqlServerLogon> {
    let sql_is_named = match fields.take(Field::Authentication) {
        Some(pair) => named_authentication(&pair, findings)?,
        None => false,
    };
    let integrated = match fields.take(Field::Integrated) {
        // ADO.NET's word for yes.
        Some(pair) if pair.value.trim().eq_ignore_ascii_case("sspi") => Some(true),
        Some(pair) => Some(pairs::yes_or_no(&pair, findings)?),
        None => None,
    };
    let sql_is_named = sql_is_named || integrated == Some(false);
    let (user, password) = (fields.take(Field::User), fields.take(Field::Password));
    if integrated == Some(true) {
        if user.is_some() || password.is_some() || beside.user.is_some() {
            findings.warn(
                "The connection string asks for the Windows logon, so the user and password \
                 have no effect",
            );
        }
        return Some(SqlServerLogon::Windows);
    }
    let has_own_password = password.is_some();
    let Credentials { user, password } = Credentials::settle(user, password, beside);
    match (user, password) {
        (Some(user), Some(password)) => Some(SqlServerLogon::Sql { user, password }),
        (Some(_), None) => {
            findings.missing(
                "password",
                "it has a user, and a SQL logon needs both",
                "set DB_PASSWORD, or take the user out and write Trusted_Connection=yes for the \
                 Windows logon",
            );
            None
        }
        (None, Some(_)) if has_own_password || sql_is_named => {
            no_user(findings);
            None
        }
        (None, None) if sql_is_named => {
            no_user(findings);
            None
        }
        // A DB_PASSWORD alone, without a user anywhere, asks for nothing.
        (None, Some(_) | None) => Some(SqlServerLogon::Windows),
    }
}

fn no_user(findings: &mut Findings) {
    findings.missing(
        "user",
        "it asks for a SQL logon, which needs a user and a password",
        "add them (UID=… and PWD=…, or DB_USER and DB_PASSWORD), or write Trusted_Connection=yes \
         for the Windows logon",
    );
}

/// `Authentication=…`: whether it names the SQL logon. `None` where it is refused.
fn named_authentication(pair: &Pair, findings: &mut Findings) -> Option<bool> {
    let word: String = pair.value.split_whitespace().collect();
    let word = word.to_lowercase();
    if word.starts_with("activedirectory") {
        findings.entra_logon(pair);
        return None;
    }
    match word.as_str() {
        "sqlpassword" => Some(true),
        "notspecified" => Some(false),
        _ => {
            findings.value(
                pair,
                "csc-sender knows the SQL logon (SqlPassword) and, without this key, the \
                 Windows logon",
                "take it out, or write SqlPassword",
            );
            None
        }
    }
}

fn encrypt(pair: &Pair, findings: &mut Findings) -> Option<Encrypt> {
    match pair.value.trim().to_lowercase().as_str() {
        "no" | "false" | "0" | "optional" => Some(Encrypt::Optional),
        "yes" | "true" | "1" | "mandatory" => Some(Encrypt::Mandatory),
        "strict" => Some(Encrypt::Strict),
        _ => {
            findings.value(
                pair,
                "it takes yes (mandatory), no (optional) or strict",
                "write one of these",
            );
            None
        }
    }
}

fn intent(pair: &Pair, findings: &mut Findings) -> ApplicationIntent {
    match pair.value.trim().to_lowercase().as_str() {
        "readwrite" => ApplicationIntent::ReadWrite,
        "readonly" => {
            findings.warn(
                "ApplicationIntent=ReadOnly can lead to a replica that takes no writes, and \
                 csc-sender writes to the staging table",
            );
            ApplicationIntent::ReadOnly
        }
        _ => {
            findings.value(
                pair,
                "it takes ReadWrite or ReadOnly",
                "take it out, or write ReadWrite",
            );
            ApplicationIntent::default()
        }
    }
}
