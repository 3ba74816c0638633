//! What the benchmark itself asks of SQL Server: statements without answers.

use anyhow::{Result, bail};
use csc_staging::connection::{ConnectionTarget, SqlServerLogon};
use mssql_tds::connection::client_context::ClientContext;
use mssql_tds::connection::tds_client::TdsClient;
use mssql_tds::connection_provider::tds_connection_provider::TdsConnectionProvider;
use mssql_tds::core::EncryptionSetting;
use secrecy::ExposeSecret;

pub async fn connect(target: &ConnectionTarget) -> Result<TdsClient> {
    let ConnectionTarget::SqlServer(target) = target else {
        bail!("CSC_TEST_MSSQL names no SQL Server");
    };
    let SqlServerLogon::Sql { user, password } = &target.logon else {
        bail!("CSC_TEST_MSSQL needs a SQL logon");
    };
    let address = format!("{},{}", target.host, target.port.unwrap_or(1433));
    let mut context = ClientContext::with_data_source(&address);
    context.database.clone_from(&target.database);
    context.user_name.clone_from(user);
    context.password = password.expose_secret().to_string();
    context.encryption_options.mode = EncryptionSetting::PreferOff;
    context.encryption_options.trust_server_certificate = true;
    let provider = TdsConnectionProvider;
    Ok(provider.create_client(context, &address, None).await?)
}

pub async fn execute(client: &mut TdsClient, sql: String) -> Result<()> {
    client.execute(sql, ()).await?;
    Ok(client.close_query().await?)
}

/// A text as T-SQL writes it; the benchmark's own fake children only.
pub fn literal(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}
