//! Connections between nodes: one to each, kept, watched, and with the cluster's secret in every request.

use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion_distributed::grpc::{BoxCloneSyncChannel, create_worker_client};
use datafusion_distributed::{ChannelResolver, WorkerChannel};
use http::HeaderValue;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::{Error, Kind, Result};
use tonic::transport::{Channel, Endpoint};
use tower::util::MapRequestLayer;
use tower::{Layer, ServiceExt};
use url::Url;

/// A node that does not take a connection for so long is not there.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How often a connection is asked for a sign of life, and how long it may take: a host that vanishes without a word
/// is noticed within their sum: twice, and a query still has its answer within ten seconds.
const ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const ALIVE_MAX: Duration = Duration::from_secs(2);
/// Bytes on their way in one stream of rows, and in all of a connection.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Connections that are kept; beyond that all are made anew.
const CHANNELS_MAX: usize = 1024;

/// Connections to nodes; clones share them.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

struct Inner {
    secret: Option<HeaderValue>,
    channels: Mutex<HashMap<Url, Channel>>,
}

impl Channels {
    /// With the secret that every node of the cluster knows, if there is one.
    pub fn new(secret: &str) -> Result<Self> {
        let secret = match secret {
            "" => None,
            secret => Some(bearer(secret)?),
        };
        Ok(Channels(Arc::new(Inner { secret, channels: Mutex::default() })))
    }

    /// A connection to a node, made when it is first used, and again when it broke.
    pub fn to(&self, url: &Url) -> EngineResult<BoxCloneSyncChannel> {
        let channel = self.channel(url).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let secret = self.0.secret.clone();
        let with_secret = MapRequestLayer::new(move |mut request: http::Request<tonic::body::Body>| {
            if let Some(secret) = &secret {
                request.headers_mut().insert(http::header::AUTHORIZATION, secret.clone());
            }
            request
        });
        Ok(BoxCloneSyncChannel::new(with_secret.layer(channel)))
    }

    fn channel(&self, url: &Url) -> std::result::Result<Channel, tonic::transport::Error> {
        let mut channels = self.0.channels.lock();
        if let Some(channel) = channels.get(url) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(url.to_string())?
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(ALIVE_INTERVAL)
            .keep_alive_timeout(ALIVE_MAX)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if channels.len() >= CHANNELS_MAX {
            channels.clear();
        }
        let channel = endpoint.connect_lazy();
        channels.insert(url.clone(), channel.clone());
        Ok(channel)
    }

    /// Whether a node answers within a time.
    pub async fn answers(&self, url: &Url, within: Duration) -> bool {
        let asked = async {
            let mut channel = self.to(url).ok()?;
            channel.ready().await.ok()?;
            let mut client = create_worker_client(channel);
            client.get_worker_info(datafusion_distributed::GetWorkerInfoRequest {}).await.ok()
        };
        tokio::time::timeout(within, asked).await.ok().flatten().is_some()
    }
}

/// The header that proves knowledge of the secret.
pub fn bearer(secret: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).map_err(|_| {
        Error::new(Kind::InvalidParameter, "cluster_secret holds a character that a header cannot carry")
            .hint("Use letters, digits and signs of ASCII.")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether an error is that of a connection rather than of a plan. One that came through another node is text by now.
pub fn is_broken(error: &DataFusionError) -> bool {
    error.to_string().contains("tonic::transport::Error")
}

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(&self, url: &Url) -> EngineResult<Box<dyn WorkerChannel>> {
        self.to(url).map(create_worker_client)
    }
}
