//! The accept loop of the HTTP port and its routes.

use crate::kinesis::Kinesis;
use crate::metrics::{Counter, Metrics};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tidegate_core::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Longest wait for the head of a request.
const HEAD_SECONDS_MAX: u64 = 30;
/// Wait after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_RETRY_MS: u64 = 100;

#[derive(Clone)]
struct Port {
    metrics: Metrics,
    requests: Counter,
    kinesis: Option<Kinesis>,
}

/// Answers requests until `shutdown`; those of Kinesis only if there is one.
pub async fn serve(
    listener: TcpListener,
    mut metrics: Metrics,
    kinesis: Option<Kinesis>,
    shutdown: CancellationToken,
) -> Result<()> {
    let requests = metrics.counter("tidegate_http_requests_total", "Requests answered on the HTTP port.");
    let router = routes(Port { metrics, requests, kinesis });
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => drop(tokio::spawn(connection(socket, router.clone(), shutdown.clone()))),
            Err(error) => {
                tracing::warn!(%error, "accept on the HTTP port failed");
                tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, router: Router, shutdown: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX));
    builder.http2().timer(TokioTimer::new());
    let serving = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}

fn routes(port: Port) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/", post(aws).fallback(unknown))
        .fallback(unknown)
        .with_state(port)
}

/// The protocols of AWS: a POST whose headers name service and operation.
async fn aws(State(port): State<Port>, request: Request) -> Response {
    match &port.kinesis {
        Some(kinesis) => {
            port.requests.add(1);
            kinesis.answer(request).await
        }
        None => unknown(State(port)).await.into_response(),
    }
}

async fn health(State(port): State<Port>) -> impl IntoResponse {
    port.requests.add(1);
    "ok\n"
}

async fn metrics(State(port): State<Port>) -> impl IntoResponse {
    port.requests.add(1);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], port.metrics.page())
}

async fn unknown(State(port): State<Port>) -> impl IntoResponse {
    port.requests.add(1);
    (StatusCode::NOT_FOUND, "nothing is served here; see /healthz and /metrics\n")
}
