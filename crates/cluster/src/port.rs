//! The cluster port: gRPC for whoever knows the secret, and how many of its answers are on their way.

use crate::channel::bearer;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tidegate_core::{Error, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::Server;
use tonic::{Request, Status};
use tower::util::MapResponseLayer;

/// Counts answers that are on their way: each task of a query has one for as long as it lives. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// How many there are.
    pub fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn count(&self, body: Body) -> Body {
        self.0.fetch_add(1, Ordering::Relaxed);
        Body::new(Counted { body, in_flight: self.clone() })
    }
}

struct Counted {
    body: Body,
    in_flight: InFlight,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.in_flight.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves gRPC to whoever knows the secret, until the token is cancelled.
pub async fn serve(
    listener: TcpListener,
    secret: &str,
    services: Routes,
    in_flight: InFlight,
    stop: CancellationToken,
) -> Result<()> {
    let expected = if secret.is_empty() { None } else { Some(bearer(secret)?) };
    let check = move |request: Request<()>| -> std::result::Result<Request<()>, Status> {
        let given = request.metadata().get(http::header::AUTHORIZATION.as_str());
        let knows = match &expected {
            None => true,
            Some(expected) => given.is_some_and(|given| same(given.as_encoded_bytes(), expected.as_bytes())),
        };
        match knows {
            true => Ok(request),
            false => Err(Status::unauthenticated("cluster_secret is not the one of this cluster")),
        }
    };
    let counted = move |response: http::Response<Body>| response.map(|body| in_flight.count(body));
    let incoming = futures::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let mut server =
        Server::builder().tcp_nodelay(true).layer(InterceptorLayer::new(check)).layer(MapResponseLayer::new(counted));
    let served = server.add_routes(services).serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await;
    served.map_err(Error::internal)
}

/// Compares without telling by its time how much is the same.
fn same(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}
