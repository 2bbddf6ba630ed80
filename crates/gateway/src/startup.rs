//! From an accepted socket to a session: encryption, the start-up packet, authentication, the settings a client follows.

use crate::auth;
use crate::backend::{self, Severity};
use crate::cancel::Registry;
use crate::connection::{Connection, Ending};
use crate::failures::Failures;
use crate::frontend::SMALL_MESSAGE_BYTES_MAX;
use crate::packet::{First, GSS_CODE, Head, PROTOCOL_MINOR_MAX, SSL_CODE, Startup, parse_first, read_head};
use crate::tls::{Secured, Tls};
use crate::transport::{Failure, Incoming, Outgoing, Wire};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result, Rng};
use tidegate_query::{Engine, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first byte of a TLS handshake, for clients that begin with one.
const TLS_HANDSHAKE_BYTE: u8 = 0x16;

/// Settings that a client is told of at start and whenever they change, as Postgres spells them.
const REPORTED: &[&str] = &[
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "search_path",
    "server_encoding",
    "server_version",
    "standard_conforming_strings",
    "TimeZone",
];

/// What a new connection needs of the server.
#[derive(Clone)]
pub struct Door {
    /// Opens sessions.
    pub engine: Engine,
    /// Present when the port offers TLS.
    pub tls: Option<Tls>,
    /// Where cancel requests look.
    pub registry: Registry,
    /// Secrets and salts.
    pub rng: Rng,
    /// What users who are not there are made of.
    pub secret: Arc<[u8]>,
    /// Logins that failed.
    pub failures: Arc<Mutex<Failures>>,
    /// When connections must end.
    pub ending: Ending,
}

/// A socket, encrypted or not.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Reported settings by the name that the session knows them by.
pub fn reported_name(name: &str) -> Option<&'static str> {
    REPORTED.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}

/// Logs a client in. None when there is nothing more to do: it was a cancel request, or it went away.
pub async fn welcome(tcp: TcpStream, door: &Door) -> Option<Connection> {
    let client = tcp.peer_addr().ok();
    let mut arrived = match encrypt(tcp, door).await {
        Ok(arrived) => arrived,
        Err(failure) => {
            tracing::debug!(?failure, "a client did not get as far as its start-up packet");
            return None;
        }
    };
    match begin(&mut arrived, door).await {
        Ok(First::Cancel(pid, secret)) => {
            if door.registry.knows(pid, &secret) {
                door.engine.sessions().cancel(pid);
            }
            None
        }
        Ok(First::Startup(startup)) => log_in(arrived, startup, client, door).await,
        Err(Failure::Fatal(error) | Failure::Statement(error)) => {
            refuse(&mut arrived.socket, error.kind().sqlstate(), &error).await;
            None
        }
        Err(Failure::Gone) => None,
    }
}

/// Tells a client why it may not come in.
pub async fn refuse(socket: &mut (impl AsyncWrite + Unpin), code: &str, error: &Error) {
    let mut out = Vec::new();
    backend::put_error(&mut out, Severity::Fatal, code, error);
    let _it_may_have_gone_already = socket.write_all(&out).await;
    let _likewise = socket.shutdown().await;
}

/// A socket whose first packet is about to come.
struct Arrived {
    socket: Box<dyn Socket>,
    secured: Option<Secured>,
    head: Head,
}

/// Settles encryption, which a client may ask for or begin with.
async fn encrypt(mut tcp: TcpStream, door: &Door) -> Wire<Arrived> {
    let mut first = [0; 1];
    let direct = tcp.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE_BYTE;
    if direct {
        return match &door.tls {
            Some(tls) => arrived_encrypted(tls, tcp).await,
            None => Err(Failure::Gone),
        };
    }
    // At most one request of each kind comes before the start-up packet.
    for _ in 0..2 {
        let head = read_head(&mut tcp).await?;
        match (head.code, &door.tls) {
            (SSL_CODE, Some(tls)) => {
                tcp.write_all(b"S").await?;
                return arrived_encrypted(tls, tcp).await;
            }
            (SSL_CODE | GSS_CODE, _) => tcp.write_all(b"N").await?,
            _ => return Ok(Arrived { socket: Box::new(tcp), secured: None, head }),
        }
    }
    let head = read_head(&mut tcp).await?;
    Ok(Arrived { socket: Box::new(tcp), secured: None, head })
}

/// Nothing that came before the handshake is read as if it had come inside it: reads above were exact.
async fn arrived_encrypted(tls: &Tls, tcp: TcpStream) -> Wire<Arrived> {
    let (mut socket, secured) = tls.accept(tcp).await?;
    let head = read_head(&mut socket).await?;
    Ok(Arrived { socket: Box::new(socket), secured: Some(secured), head })
}

/// Reads the packet that every connection begins with.
async fn begin(arrived: &mut Arrived, door: &Door) -> Wire<First> {
    let length = arrived.head.length as usize;
    if !(8..=SMALL_MESSAGE_BYTES_MAX).contains(&length) {
        return Err(Failure::Fatal(Error::new(Kind::Protocol, "invalid length of startup packet")));
    }
    let mut body = vec![0; length - 8];
    arrived.socket.read_exact(&mut body).await?;
    let first = parse_first(arrived.head.code, &body).map_err(Failure::Fatal)?;
    if let First::Startup(startup) = &first {
        negotiate_version(&mut arrived.socket, startup).await?;
    }
    if door.ending.drain.is_cancelled() {
        return Err(Failure::Fatal(Error::new(Kind::Shutdown, "the server is shutting down")));
    }
    Ok(first)
}

/// Tells a client that wants more than we speak what it gets instead.
async fn negotiate_version(socket: &mut Box<dyn Socket>, startup: &Startup) -> Wire<()> {
    let unknown = startup.extensions();
    if startup.minor <= PROTOCOL_MINOR_MAX && unknown.is_empty() {
        return Ok(());
    }
    let mut out = Vec::new();
    backend::put(&mut out, b'v', |o| {
        o.extend_from_slice(&u32::from(startup.minor.min(PROTOCOL_MINOR_MAX)).to_be_bytes());
        o.extend_from_slice(&(unknown.len() as u32).to_be_bytes());
        for name in &unknown {
            backend::put_cstring(o, name);
        }
    });
    Ok(socket.write_all(&out).await?)
}

async fn log_in(arrived: Arrived, startup: Startup, client: Option<SocketAddr>, door: &Door) -> Option<Connection> {
    let Arrived { socket, secured, .. } = arrived;
    let (reader, writer) = tokio::io::split(socket);
    let (mut incoming, mut outgoing) = (Incoming::new(Box::new(reader)), Outgoing::new(Box::new(writer)));
    let opened = async {
        let from = (client.map(|client| client.ip()), door);
        auth::check(&mut incoming, &mut outgoing, &startup, secured.as_ref(), from).await?;
        open(&startup, door).map_err(Failure::Fatal)
    };
    let opened = opened.await;
    if door.engine.settings().get("log_connections") == "on" {
        tell_login(&startup, client, opened.as_ref().err());
    }
    match opened {
        Ok(session) => {
            let secret = secret(&startup, &door.rng);
            put_greeting(&mut outgoing.buffer, &startup, &session, &secret);
            let slot = door.registry.register(session.id(), secret);
            let ending = Ending { drain: door.ending.drain.clone(), kill: door.ending.kill.child_token() };
            session.connected(client, ending.kill.clone());
            Some(Connection::new(incoming, outgoing, session, slot, ending))
        }
        Err(Failure::Fatal(error) | Failure::Statement(error)) => {
            backend::put_error(&mut outgoing.buffer, Severity::Fatal, error.kind().sqlstate(), &error);
            let _it_may_have_gone_already = outgoing.flush().await;
            outgoing.close().await;
            None
        }
        Err(Failure::Gone) => None,
    }
}

/// The audit of who comes in, and who does not.
fn tell_login(startup: &Startup, client: Option<SocketAddr>, failure: Option<&Failure>) {
    let state = match failure {
        None => "00000",
        Some(Failure::Fatal(error) | Failure::Statement(error)) => error.kind().sqlstate(),
        // It went away before it had logged in.
        Some(Failure::Gone) => "08006",
    };
    let user = startup.get("user").unwrap_or_default();
    let client = client.map(|client| client.to_string()).unwrap_or_default();
    tracing::info!(target: "tidegate::audit", user, client, state, "login");
}

/// Four bytes as of old; protocol 3.2 has room for more.
fn secret(startup: &Startup, rng: &Rng) -> Vec<u8> {
    let bytes = if startup.minor >= 2 { 32 } else { 4 };
    std::iter::repeat_with(|| rng.next_u64().to_be_bytes()).flatten().take(bytes).collect()
}

fn put_greeting(out: &mut Vec<u8>, startup: &Startup, session: &Session, secret: &[u8]) {
    backend::put_authentication(out, 0, &[]);
    for name in REPORTED {
        if let Ok(value) = session.show(name) {
            backend::put_parameter_status(out, name, &value);
        }
    }
    backend::put_parameter_status(out, "session_authorization", startup.get("user").unwrap_or_default());
    backend::put_key(out, session.id(), secret);
}

fn open(startup: &Startup, door: &Door) -> Result<Session> {
    let user = startup
        .get("user")
        .filter(|user| !user.is_empty())
        .ok_or_else(|| Error::new(Kind::InvalidAuthorization, "no PostgreSQL user name specified in startup packet"))?;
    let database = startup.get("database").filter(|name| !name.is_empty()).unwrap_or(user);
    door.engine.open_session(user, database, startup.settings()?)
}
