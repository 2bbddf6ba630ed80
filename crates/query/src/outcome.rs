//! What running a statement gives: rows, a tag, or a copy in one of its directions.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use tidegate_catalog::Change;
use tidegate_core::Result;
use tidegate_parser::CopyOptions;

/// The result of one statement.
pub enum Outcome {
    /// Rows, streamed.
    Rows {
        /// Their columns.
        schema: SchemaRef,
        /// The batches.
        rows: SendableRecordBatchStream,
        /// What the statement is called when it has ended.
        tag: RowsTag,
    },
    /// Done; the command tag, such as `INSERT 0 5`.
    Done {
        /// The tag.
        tag: String,
    },
    /// There was no statement.
    Empty,
    /// The client is asked for data.
    CopyIn(Box<dyn CopyIn>),
    /// Rows to be sent as COPY data.
    CopyOut {
        /// Their columns.
        schema: SchemaRef,
        /// The batches.
        rows: SendableRecordBatchStream,
        /// How to write them.
        options: Box<CopyOptions>,
    },
}

/// The first word of the tag of a statement that gives rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsTag {
    /// `SELECT n`.
    Select,
    /// `EXPLAIN`, without a number.
    Explain,
    /// `SHOW`, without a number.
    Show,
    /// `FETCH n`.
    Fetch,
    /// `INSERT 0 n`: rows of RETURNING, and so for the next three.
    Insert,
    /// `UPDATE n`.
    Update,
    /// `DELETE n`.
    Delete,
    /// `MERGE n`.
    Merge,
}

impl RowsTag {
    /// The tag after `rows` rows.
    pub fn text(&self, rows: u64) -> String {
        match self {
            RowsTag::Select => format!("SELECT {rows}"),
            RowsTag::Explain => "EXPLAIN".to_string(),
            RowsTag::Show => "SHOW".to_string(),
            RowsTag::Fetch => format!("FETCH {rows}"),
            RowsTag::Insert => format!("INSERT 0 {rows}"),
            RowsTag::Update => format!("UPDATE {rows}"),
            RowsTag::Delete => format!("DELETE {rows}"),
            RowsTag::Merge => format!("MERGE {rows}"),
        }
    }
}

/// Where a session stands with regard to transactions: the letter of ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxStatus {
    /// `I`: outside a block.
    Idle,
    /// `T`: in a block.
    InBlock,
    /// `E`: in a block that has failed.
    Failed,
}

/// Something a client is told beside the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// NOTICE or WARNING.
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    /// The sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Takes the data of COPY … FROM STDIN. Whoever drops it without `finish` leaves nothing loaded.
#[async_trait]
pub trait CopyIn: Send {
    /// The columns of the client's rows.
    fn schema(&self) -> &SchemaRef;
    /// Whether the client sends them in binary: then they come by [`CopyIn::write`], else by [`CopyIn::push`].
    fn is_binary(&self) -> bool;
    /// Takes some bytes of text or CSV, cut anywhere.
    async fn push(&mut self, bytes: Bytes) -> Result<()>;
    /// Takes rows that have been read.
    async fn write(&mut self, rows: &RecordBatch) -> Result<()>;
    /// Ends the data: the tag, and what the transaction must change to have the rows.
    async fn finish(self: Box<Self>) -> Result<(String, Vec<Change>)>;
    /// Forgets all of it.
    async fn abort(self: Box<Self>);
}
