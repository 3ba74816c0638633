//! The staging table (`ssd_api_data_staging`, or `…_anon` with fake children) and
//! the databases that it lives in.
//!
//! Authorities have the table already, made and filled by SQL that is not ours.
//! So a store reads the table's shape before it uses it, keeps every column that
//! it does not know, and writes only what the life of a row says (the reference's
//! `staging-table.md`), with SELECT and UPDATE as its only rights.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod anon;
pub mod connection;
mod ddl;
mod error;
mod examine;
mod owner;
mod patience;
mod postgres;
mod row;
mod shape;
mod sqlite;
mod sqlserver;
mod standstill;
mod store;
mod superseded;
mod table_name;

pub use anon::{Earlier, Filled, Halt, Restaged, RowSource};
pub use connection::ConnectionTarget;
pub use ddl::{Dialect, create_sql};
pub use error::{StoreError, StoreErrorKind};
pub use owner::{OwnerOnly, create_folder_for_owner, owner_only};
pub use row::{NewRow, Outcome, RowKey, RowResult, RowState, StagedRow, SubmissionStatus};
pub use shape::{Column, TableShape};
pub use standstill::Standstill;
pub use store::{
    Created, PageLimits, PageRequest, Present, Selection, StagingStore, TABLE_PROBE, TableSummary,
    connect, connect_creating,
};
pub use superseded::{Stretch, Superseded};
pub use table_name::{TableName, TableNameFault};
