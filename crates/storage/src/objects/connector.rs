//! How requests leave for object stores: as the settings have it, never on by a redirect, and never to a link-local
//! address that a name leads to. What was allowed is the host that was asked for, not where an answer points.

use super::egress::{Egress, is_link_local_address};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::sync::Arc;
use std::time::Duration;

/// Longest time until a connection stands.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest time of a request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// Makes clients.
#[derive(Debug, Clone)]
pub struct Connector(pub Egress);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client =
            self.client().map_err(|error| object_store::Error::Generic { store: "HTTP", source: Box::new(error) });
        Ok(HttpClient::new(client?))
    }
}

impl Connector {
    fn client(&self) -> reqwest::Result<reqwest::Client> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(REQUEST_TIME_MAX)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Resolver(self.0.clone())));
        match self.0.proxy() {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy)?),
            None => builder,
        }
        .build()
    }
}

/// Looks names up.
#[derive(Debug)]
struct Resolver(Egress);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let is_allowed = |address: &std::net::SocketAddr| {
                !is_link_local_address(address.ip()) || egress.check(&address.ip().to_string(), name.as_str()).is_ok()
            };
            let allowed: Vec<_> = found.filter(is_allowed).collect();
            match allowed.is_empty() {
                true => Err(format!("host {} leads to link-local addresses only", name.as_str()).into()),
                false => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
