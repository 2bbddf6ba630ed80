//! What nodes say to each other beside plans and their rows, over gRPC on the same port.

use bytes::Bytes;
use datafusion_distributed::grpc::BoxCloneSyncChannel;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http_body::Body as HttpBody;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{Service, StdError};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const BEAT: &str = "/tidegate.Cluster/Beat";
const PULL: &str = "/tidegate.Cluster/Pull";
const CHUNK: &str = "/tidegate.Work/Chunk";

/// A worker tells the leader that it is there, every second; the first of them joins it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Beat {
    /// Its id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// `core` or `task`.
    #[prost(string, tag = "2")]
    pub role: String,
    /// Where other nodes reach it.
    #[prost(string, tag = "3")]
    pub url: String,
    /// The zone it stands in.
    #[prost(string, tag = "4")]
    pub zone: String,
    /// `on_demand` or `spot`.
    #[prost(string, tag = "5")]
    pub market: String,
    /// Parts of a query that it runs at one time.
    #[prost(uint32, tag = "6")]
    pub slots: u32,
    /// Its version.
    #[prost(string, tag = "7")]
    pub version: String,
    /// Bytes of its disk in use.
    #[prost(uint64, tag = "8")]
    pub storage_used: u64,
    /// Bytes of its disk that it may use.
    #[prost(uint64, tag = "9")]
    pub storage_limit: u64,
    /// It leaves.
    #[prost(bool, tag = "10")]
    pub leaves: bool,
}

/// The leader's answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Heard {
    /// Whether the worker is to end what it has begun, and leave.
    #[prost(bool, tag = "1")]
    pub drain: bool,
}

/// A worker asks the leader for rows that only the leader has.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pull {
    /// The number of the plan's leaf.
    #[prost(uint64, tag = "1")]
    pub leaf: u64,
    /// The leaf's partition.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
}

/// Some of them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Rows {
    /// An Arrow IPC stream of one batch.
    #[prost(bytes = "bytes", tag = "1")]
    pub ipc: Bytes,
}

/// The leader has a chunk of work done by a worker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Chunk {
    /// Which kind of work.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// What is to be done, as that kind says it.
    #[prost(string, tag = "2")]
    pub body: String,
}

/// How it ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DoneChunk {
    /// One of both.
    #[prost(oneof = "Done", tags = "1, 2")]
    pub done: Option<Done>,
}

/// What a chunk gave, or an error as JSON.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Done {
    /// What it gave.
    #[prost(string, tag = "1")]
    Answer(String),
    /// The error that it would meet on any node.
    #[prost(string, tag = "2")]
    Error(String),
}

/// Who does chunks.
pub trait WorkAnswers: Clone + Send + Sync + 'static {
    /// Does one.
    fn chunk(&self, chunk: Chunk) -> BoxFuture<'static, Result<DoneChunk, Status>>;
}

/// The service of a worker's port.
#[derive(Clone)]
pub struct WorkServer<W>(pub W);

impl<W> NamedService for WorkServer<W> {
    const NAME: &'static str = "tidegate.Work";
}

impl<W: WorkAnswers> UnaryService<Chunk> for WorkServer<W> {
    type Response = DoneChunk;
    type Future = BoxFuture<'static, Result<Response<DoneChunk>, Status>>;

    fn call(&mut self, request: Request<Chunk>) -> Self::Future {
        let done = self.0.chunk(request.into_inner());
        Box::pin(async move { done.await.map(Response::new) })
    }
}

impl<W, B> Service<http::Request<B>> for WorkServer<W>
where
    W: WorkAnswers,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                CHUNK => {
                    let codec = ProstCodec::<DoneChunk, Chunk>::default();
                    Grpc::new(codec).max_decoding_message_size(usize::MAX).unary(server, request).await
                }
                path => Status::unimplemented(format!("there is no method {path}")).into_http(),
            })
        })
    }
}

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// To a worker that is there.
    fn beat(&self, beat: Beat) -> Result<Heard, Status>;
    /// To a worker that wants rows.
    fn pull(&self, pull: Pull) -> Result<BoxStream<'static, Result<Rows, Status>>, Status>;
}

/// The service of the leader's port.
pub struct ClusterServer<A>(pub Arc<A>);

impl<A> Clone for ClusterServer<A> {
    fn clone(&self) -> Self {
        ClusterServer(Arc::clone(&self.0))
    }
}

impl<A> NamedService for ClusterServer<A> {
    const NAME: &'static str = "tidegate.Cluster";
}

impl<A: Answers> UnaryService<Beat> for ClusterServer<A> {
    type Response = Heard;
    type Future = std::future::Ready<Result<Response<Heard>, Status>>;

    fn call(&mut self, request: Request<Beat>) -> Self::Future {
        std::future::ready(self.0.beat(request.into_inner()).map(Response::new))
    }
}

impl<A: Answers> ServerStreamingService<Pull> for ClusterServer<A> {
    type Response = Rows;
    type ResponseStream = BoxStream<'static, Result<Rows, Status>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Pull>) -> Self::Future {
        std::future::ready(self.0.pull(request.into_inner()).map(Response::new))
    }
}

impl<A, B> Service<http::Request<B>> for ClusterServer<A>
where
    A: Answers,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                BEAT => Grpc::new(ProstCodec::<Heard, Beat>::default()).unary(server, request).await,
                PULL => Grpc::new(ProstCodec::<Rows, Pull>::default()).server_streaming(server, request).await,
                path => Status::unimplemented(format!("there is no method {path}")).into_http(),
            })
        })
    }
}

/// Tells the leader that a worker is there.
pub async fn beat(channel: BoxCloneSyncChannel, beat: Beat) -> Result<Heard, Status> {
    ask(channel, BEAT, beat).await
}

/// Has a worker do a chunk of work.
pub async fn chunk(channel: BoxCloneSyncChannel, chunk: Chunk) -> Result<DoneChunk, Status> {
    ask(channel, CHUNK, chunk).await
}

async fn ask<Q, A>(channel: BoxCloneSyncChannel, path: &'static str, question: Q) -> Result<A, Status>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static(path);
    Ok(client.unary(Request::new(question), path, ProstCodec::<Q, A>::default()).await?.into_inner())
}

/// Asks the leader for rows.
pub async fn pull(channel: BoxCloneSyncChannel, pull: Pull) -> Result<tonic::Streaming<Rows>, Status> {
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Pull, Rows>::default();
    let path = http::uri::PathAndQuery::from_static(PULL);
    Ok(client.server_streaming(Request::new(pull), path, codec).await?.into_inner())
}
