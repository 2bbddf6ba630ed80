//! What the catalog holds: one struct for each kind of object, all under one [`Object`].
//!
//! Objects are immutable values. A change replaces an object by one with the next `revision`; a writer that saw an older
//! revision loses with 40001.

use crate::access::AccessList;
use crate::batch::{ComputeEnvironment, Job, JobDefinition, JobQueue};
use crate::continuous::ContinuousQuery;
use crate::copy_job::{CopiedObject, CopyJob};
use crate::function::Function;
use crate::policy::{Policy, RowSecurity};
use crate::table_spec::TableSpec;
use crate::types::Column;
use crate::user::User;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use tidegate_storage::S3Access;

/// The number of an object: stable for its life, across restarts and renames. Those below [`FIRST_OID`] are built in.
pub type Oid = u32;
/// The first number given to a user's object, as in Postgres.
pub const FIRST_OID: Oid = 16_384;
/// Schema `public`.
pub const PUBLIC: Oid = 2200;
/// The schema of the streams in which the server notes what it did. No user's statement finds it.
pub const HISTORY: Oid = 2201;
/// Its name.
pub const HISTORY_SCHEMA: &str = "$history";
/// User `admin`, who owns what nobody else does.
pub const ADMIN: Oid = 10;

/// Any object of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Object {
    /// A namespace.
    Schema(Schema),
    /// A table, stream, external table or view.
    Relation(Relation),
    /// Keys of a remote service.
    Credential(Credential),
    /// Someone who may log in.
    User(User),
    /// A delivery stream.
    Delivery(Delivery),
    /// A named reader of a stream.
    Consumer(Consumer),
    /// A setting changed by ALTER SYSTEM.
    Setting(Setting),
    /// A pump or a materialized view.
    ContinuousQuery(Box<ContinuousQuery>),
    /// A SQL function.
    Function(Box<Function>),
    /// Where jobs run.
    ComputeEnvironment(ComputeEnvironment),
    /// Where jobs wait.
    JobQueue(JobQueue),
    /// A revision of a job definition.
    JobDefinition(JobDefinition),
    /// A job.
    Job(Box<Job>),
    /// A COPY that loads what is new.
    CopyJob(CopyJob),
    /// An object that such a COPY has loaded.
    CopiedObject(CopiedObject),
    /// An UNLOAD that is writing.
    UnloadAttempt(UnloadAttempt),
    /// Who may do what with an object.
    AccessList(AccessList),
    /// Which rows of a relation are whose.
    Policy(Policy),
}

/// Who owns what was made before there were owners.
pub(crate) fn admin() -> Oid {
    ADMIN
}

/// A namespace of relations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// The user who made it.
    #[serde(default = "admin")]
    pub owner: Oid,
    /// Of an external schema: where its relations are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SchemaSource>,
    /// Megabytes that its tables may take together; None: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_mb: Option<u64>,
}

/// Where the relations of an external schema are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SchemaSource {
    /// This server's streams, under Redshift's column names.
    Kinesis,
}

/// A table, stream, external table or view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// Its number.
    pub oid: Oid,
    /// The schema it stands in.
    pub schema: Oid,
    /// Its name there.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// Its columns, without hidden ones.
    pub columns: Vec<Column>,
    /// The user who made it.
    pub owner: Oid,
    /// COMMENT ON.
    #[serde(default)]
    pub comment: Option<String>,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// Whether its policies count.
    #[serde(default, skip_serializing_if = "RowSecurity::is_none")]
    pub row_security: RowSecurity,
    /// What sort of relation, with its own facts.
    pub kind: RelationKind,
}

impl Relation {
    /// How many columns it has ever had; new ones stand behind the others.
    pub fn columns_made(&self) -> usize {
        let dropped = match &self.kind {
            RelationKind::Table(spec) => spec.dropped.len(),
            _ => 0,
        };
        self.columns.len() + dropped
    }
}

/// What sort of relation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RelationKind {
    /// A managed table: Parquet files of our own, listed in the catalog.
    Table(TableSpec),
    /// A durable sharded log.
    Stream(StreamSpec),
    /// Files that lie where they are.
    External(ExternalSpec),
    /// A stored SELECT.
    View(ViewSpec),
}

impl RelationKind {
    /// The word for it in messages.
    pub fn noun(&self) -> &'static str {
        match self {
            RelationKind::Table(_) => "table",
            RelationKind::Stream(_) => "stream",
            RelationKind::External(_) => "external table",
            RelationKind::View(_) => "view",
        }
    }
}

/// A stream's definition. Its shards and records stand beside it in the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// Columns whose text, joined by commas, is the partition key of an inserted row; empty: a random key.
    pub partition_key: Vec<String>,
    /// How `data` is read as typed columns: JSON, CSV; None has no typed columns.
    pub format: Option<RecordFormat>,
    /// WATERMARK FOR column AS expression.
    #[serde(default)]
    pub watermark: Option<(String, String)>,
    /// How long records are kept.
    pub retention_ms: i64,
    /// ON_DEMAND rather than PROVISIONED.
    #[serde(default)]
    pub on_demand: bool,
    /// Tags given by the AWS API.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// URL of the folder of its segments; ends without a slash.
    pub location: String,
}

/// How a record's bytes are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordFormat {
    /// One JSON object.
    Json,
    /// One CSV line.
    Csv,
}

impl fmt::Display for RecordFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordFormat::Json => "JSON",
            RecordFormat::Csv => "CSV",
        })
    }
}

/// An external table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalSpec {
    /// File, folder or glob, as a URL.
    pub location: String,
    /// PARQUET, CSV, JSON or ORC.
    pub format: String,
    /// Columns that the folders' names give; they stand last in `columns`.
    #[serde(default)]
    pub partition_columns: Vec<String>,
    /// TBLPROPERTIES and ROW FORMAT, by their Hive and Athena names (`field.delim`, `skip.header.line.count`, `credential`, …).
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewSpec {
    /// The SELECT, as text.
    pub query: String,
    /// search_path when it was made: names in it are looked up so for ever.
    #[serde(default)]
    pub search_path: Vec<String>,
    /// WITH NO SCHEMA BINDING: names are looked up when it is read.
    #[serde(default)]
    pub late: bool,
    /// The columns' names, where CREATE VIEW lists them.
    #[serde(default)]
    pub names: Vec<String>,
    /// What the names in it stand for; of a late-binding view nothing.
    #[serde(default)]
    pub uses: Vec<ViewUse>,
}

/// What a name in a view stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewUse {
    /// The schema, where the view names it.
    pub schema: Option<String>,
    /// The name in the view.
    pub name: String,
    /// The relation.
    pub relation: Oid,
    /// The relation's columns when the view was made: their names then, and the names under which they are found for ever.
    pub columns: Vec<(String, String)>,
}

/// Keys of a remote service. The secret never leaves through a view, a log or an error: `Debug` hides it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// The access key id.
    pub key: String,
    /// The secret access key.
    pub secret: String,
    /// A temporary credential's token.
    #[serde(default)]
    pub session_token: Option<String>,
    /// URL of an S3-compatible service.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// AWS region.
    #[serde(default)]
    pub region: Option<String>,
    /// Bucket in the path rather than in the host's name.
    #[serde(default)]
    pub path_style: bool,
    /// Paths it is chosen for when none is named; the longest that matches wins.
    #[serde(default)]
    pub scope: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// An UNLOAD that is writing: so that a start after a crash takes back what it did not complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnloadAttempt {
    /// Its number.
    pub oid: Oid,
    /// The number again.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// The prefix of the names of its files.
    pub url: String,
    /// With what they are reached.
    pub access: S3Access,
    /// Whether nothing was under the prefix before: then whole files of it go, too.
    pub fresh: bool,
}

/// A delivery stream: what was asked, what was decided, what is being tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its number.
    pub oid: Oid,
    /// Its name; deliveries have one namespace.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// Who made it: it runs with their rights.
    #[serde(default = "admin")]
    pub owner: Oid,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// What was asked.
    pub spec: DeliverySpec,
    /// What was decided.
    pub state: DeliveryState,
}

/// What the user asked of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliverySpec {
    /// The stream it reads.
    pub source: Oid,
    /// AS (SELECT …): the columns that are delivered; None delivers the stream's own.
    #[serde(default)]
    pub select: Option<String>,
    /// search_path when it was made: names in `select` are looked up so for ever.
    #[serde(default)]
    pub search_path: Vec<String>,
    /// Where to.
    pub target: DeliveryTarget,
    /// PARQUET, JSON or CSV, for objects.
    pub format: String,
    /// Bytes of records that make it flush.
    pub buffer_bytes: u64,
    /// Age of the oldest record that makes it flush.
    pub buffer_interval_ms: i64,
    /// The remaining options by name (`credential`, `compression`, …).
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// Where a delivery goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DeliveryTarget {
    /// Objects below a URL, which may hold `!{timestamp:…}`.
    Objects(String),
    /// A managed table.
    Table(Oid),
}

/// What was decided for a delivery; durable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// By shard number, the index of the first record not delivered.
    pub cursor: BTreeMap<u32, u64>,
    /// Stopped by PAUSE.
    #[serde(default)]
    pub paused: bool,
    /// What is being written now: after a crash the same again, under the same names.
    #[serde(default)]
    pub attempt: Option<DeliveryAttempt>,
    /// Why it waits, for people; empty while it works.
    #[serde(default)]
    pub reason: String,
    /// Records delivered in all.
    #[serde(default)]
    pub records: u64,
    /// Objects or commits made in all.
    #[serde(default)]
    pub flushes: u64,
    /// When it last delivered, in milliseconds of the Unix epoch.
    #[serde(default)]
    pub delivered_ms: i64,
}

/// A range that is being written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// By shard number, the range of indexes: first, and one past the last.
    pub range: BTreeMap<u32, (u64, u64)>,
    /// The object's URL.
    pub object: String,
}

/// A named reader of a stream, whose position commits with what it wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consumer {
    /// Its number.
    pub oid: Oid,
    /// The stream it reads.
    pub stream: Oid,
    /// Its name, unique for the stream.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// By shard number, the index of the first record not consumed.
    pub cursor: BTreeMap<u32, u64>,
}

/// A setting changed by ALTER SYSTEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its number.
    pub oid: Oid,
    /// The setting.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// Its value.
    pub value: String,
}

/// The namespace that a name stands in: relations share one per schema, each other kind has its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Schemas.
    Schema,
    /// The relations of a schema.
    Relation(Oid),
    /// Credentials.
    Credential,
    /// Users.
    User,
    /// Deliveries.
    Delivery,
    /// The consumers of a stream.
    Consumer(Oid),
    /// Settings.
    Setting,
    /// Continuous queries.
    ContinuousQuery,
    /// The functions of a schema, by name and types.
    Function(Oid),
    /// Compute environments.
    ComputeEnvironment,
    /// Job queues.
    JobQueue,
    /// Revisions of job definitions.
    JobDefinition,
    /// Jobs.
    Job,
    /// COPY jobs.
    CopyJob,
    /// The objects that a COPY job has loaded.
    CopiedObject(Oid),
    /// UNLOADs that are writing.
    UnloadAttempt,
    /// The one list of an object.
    AccessList(Oid),
    /// The policies of a relation.
    Policy(Oid),
}

macro_rules! each_object {
    ($self:expr, $o:ident => $body:expr) => {
        match $self {
            Object::Schema($o) => $body,
            Object::Relation($o) => $body,
            Object::Credential($o) => $body,
            Object::User($o) => $body,
            Object::Delivery($o) => $body,
            Object::Consumer($o) => $body,
            Object::Setting($o) => $body,
            Object::ContinuousQuery($o) => $body,
            Object::Function($o) => $body,
            Object::ComputeEnvironment($o) => $body,
            Object::JobQueue($o) => $body,
            Object::JobDefinition($o) => $body,
            Object::Job($o) => $body,
            Object::CopyJob($o) => $body,
            Object::CopiedObject($o) => $body,
            Object::UnloadAttempt($o) => $body,
            Object::AccessList($o) => $body,
            Object::Policy($o) => $body,
        }
    };
}

impl Object {
    /// Its number.
    pub fn oid(&self) -> Oid {
        each_object!(self, o => o.oid)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        each_object!(self, o => &o.name)
    }

    /// How often it has changed.
    pub fn revision(&self) -> u64 {
        each_object!(self, o => o.revision)
    }

    /// The namespace its name stands in.
    pub fn space(&self) -> Space {
        match self {
            Object::Schema(_) => Space::Schema,
            Object::Relation(o) => Space::Relation(o.schema),
            Object::Credential(_) => Space::Credential,
            Object::User(_) => Space::User,
            Object::Delivery(_) => Space::Delivery,
            Object::Consumer(o) => Space::Consumer(o.stream),
            Object::Setting(_) => Space::Setting,
            Object::ContinuousQuery(_) => Space::ContinuousQuery,
            Object::Function(o) => Space::Function(o.schema),
            Object::ComputeEnvironment(_) => Space::ComputeEnvironment,
            Object::JobQueue(_) => Space::JobQueue,
            Object::JobDefinition(_) => Space::JobDefinition,
            Object::Job(_) => Space::Job,
            Object::CopyJob(_) => Space::CopyJob,
            Object::CopiedObject(o) => Space::CopiedObject(o.job),
            Object::UnloadAttempt(_) => Space::UnloadAttempt,
            Object::AccessList(o) => Space::AccessList(o.object),
            Object::Policy(o) => Space::Policy(o.relation),
        }
    }

    /// The word for it in messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Object::Schema(_) => "schema",
            Object::Relation(_) => "relation",
            Object::Credential(_) => "credential",
            Object::User(_) => "role",
            Object::Delivery(_) => "delivery stream",
            Object::Consumer(_) => "consumer",
            Object::Setting(_) => "setting",
            Object::ContinuousQuery(_) => "continuous query",
            Object::Function(_) => "function",
            Object::ComputeEnvironment(_) => "compute environment",
            Object::JobQueue(_) => "job queue",
            Object::JobDefinition(_) => "job definition",
            Object::Job(_) => "job",
            Object::CopyJob(_) => "COPY job",
            Object::CopiedObject(_) => "loaded object",
            Object::UnloadAttempt(_) => "unload",
            Object::AccessList(_) => "access list",
            Object::Policy(_) => "policy",
        }
    }
}
