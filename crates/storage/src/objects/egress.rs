//! Which hosts may be reached, and by which way: every COPY, UNLOAD, delivery and external scan obeys.

use std::net::IpAddr;
use tidegate_core::{Error, Kind, Result, Settings};
use url::Url;

/// What the settings allow.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    settings: Option<Settings>,
}

impl Egress {
    /// By `egress_allowlist` and `http_proxy`.
    pub fn of(settings: &Settings) -> Self {
        Egress { settings: Some(settings.clone()) }
    }

    /// 42501 for a host that is not on the list. An empty list allows all but link-local addresses, where the keys of
    /// machines in a cloud are served: those must be on the list by themselves.
    pub fn check(&self, host: &str, what: &str) -> Result<()> {
        let list = self.setting("egress_allowlist");
        let mut allowed = list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let is_allowed = match is_link_local(host) {
            true => allowed.any(|pattern| !pattern.starts_with('*') && matches(pattern, host)),
            false => list.trim().is_empty() || allowed.any(|pattern| matches(pattern, host)),
        };
        if is_allowed {
            return Ok(());
        }
        Err(Error::new(Kind::InsufficientPrivilege, format!("{what}: host {host} is not in egress_allowlist"))
            .hint("ALTER SYSTEM SET egress_allowlist = '…' changes the list; * stands for any part of a name."))
    }

    /// The proxy that requests go through.
    pub fn proxy(&self) -> Option<String> {
        Some(self.setting("http_proxy")).filter(|proxy| !proxy.is_empty())
    }

    fn setting(&self, name: &str) -> String {
        self.settings.as_ref().map(|settings| settings.get(name)).unwrap_or_default()
    }
}

/// The host of an endpoint, with its port where it has one of its own.
pub fn host_of(endpoint: &str) -> String {
    let parsed = Url::parse(endpoint).ok();
    let named = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    match named {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_string(),
        None => endpoint.to_string(),
    }
}

/// Whether a host is an address that only means something on the machine's own network.
fn is_link_local(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let address = bare.unwrap_or_else(|| host.split(':').next().unwrap_or(host)).parse::<IpAddr>();
    address.is_ok_and(is_link_local_address) || host.parse::<IpAddr>().is_ok_and(is_link_local_address)
}

/// The same of an address.
pub(super) fn is_link_local_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.is_link_local(),
            None => address.is_unicast_link_local(),
        },
    }
}

/// A pattern is a host, or a host and port; `*.example.com` is any name below example.com.
fn matches(pattern: &str, host: &str) -> bool {
    let bare = if pattern.contains(':') { host } else { host.split(':').next().unwrap_or(host) };
    match pattern.strip_prefix('*') {
        Some(end) => bare.len() > end.len() && bare.to_ascii_lowercase().ends_with(&end.to_ascii_lowercase()),
        None => bare.eq_ignore_ascii_case(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_patterns() {
        let cases = [
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com:9000", true),
            ("example.com:9000", "example.com:9000", true),
            ("example.com:9000", "example.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*", "anything", true),
        ];
        for (pattern, host, expected) in cases {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
        assert_eq!(host_of("http://127.0.0.1:9000"), "127.0.0.1:9000");
        assert_eq!(host_of("https://s3.example.com/x"), "s3.example.com");
    }

    #[test]
    fn an_empty_list_allows_all() {
        let settings = Settings::new();
        let egress = Egress::of(&settings);
        egress.check("a.example.com", "x").unwrap();
        settings.set("egress_allowlist", "b.example.com, *.internal").unwrap();
        assert_eq!(egress.check("a.example.com", "x").unwrap_err().kind(), Kind::InsufficientPrivilege);
        egress.check("s3.internal", "x").unwrap();
        for host in ["169.254.169.254", "169.254.169.254:80", "[fe80::1]", "[::ffff:169.254.1.1]:80"] {
            settings.set("egress_allowlist", "").unwrap();
            assert_eq!(egress.check(host, "x").unwrap_err().kind(), Kind::InsufficientPrivilege, "{host}");
            settings.set("egress_allowlist", "*").unwrap();
            assert_eq!(egress.check(host, "x").unwrap_err().kind(), Kind::InsufficientPrivilege, "{host}");
        }
        settings.set("egress_allowlist", "169.254.169.254").unwrap();
        egress.check("169.254.169.254:80", "x").unwrap();
        egress.check("127.0.0.1:9000", "x").unwrap_err();
        assert_eq!(egress.proxy(), None);
    }
}
