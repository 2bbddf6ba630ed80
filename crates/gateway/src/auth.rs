//! Who a client is: nobody is asked (`auth = trust`), or a password is proved, by what is kept of it (Postgres:
//! `auth.c`). SCRAM-SHA-256 for most; md5 for who has only that; and clients of Redshift's drivers, which can do neither,
//! may send it in clear inside TLS. A certificate of `tls_client_ca` in the user's name will do instead.

use crate::backend;
use crate::decode::reader::Reader;
use crate::frontend::Frontend;
use crate::packet::Startup;
use crate::scram::{self, Exchange, Failed};
use crate::startup::Door;
use crate::tls::Secured;
use crate::transport::{Failure, Incoming, Outgoing, Wire};
use bytes::Bytes;
use std::net::IpAddr;
use tidegate_catalog::{Scram, Verifier, hmac_sha256, md5_hex, same};
use tidegate_core::{Error, Kind, Rng};

/// Codes of the authentication message.
const CLEARTEXT: i32 = 3;
const MD5: i32 = 5;
const SASL: i32 = 10;
const SASL_CONTINUE: i32 = 11;
const SASL_FINAL: i32 = 12;

/// Checks the client's proof, if one is asked for.
pub async fn check(
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
    startup: &Startup,
    secured: Option<&Secured>,
    (client, door): (Option<IpAddr>, &Door),
) -> Wire<()> {
    let user = startup.get("user").unwrap_or_default();
    if door.engine.settings().get("auth") != "password"
        || secured.is_some_and(|tls| tls.client.as_deref() == Some(user))
    {
        return Ok(());
    }
    let clock = door.engine.clock();
    if let Some(client) = client
        && let Err(left_ms) = door.failures.lock().check(client, user, clock.now_ms())
    {
        return Err(Failure::Fatal(too_many(user, left_ms)));
    }
    let proved = prove(incoming, outgoing, startup, secured, door).await;
    if let Some(client) = client {
        match &proved {
            Ok(()) => door.failures.lock().passed(client, user),
            Err(Failure::Fatal(error)) if error.kind() == Kind::InvalidPassword => {
                tracing::warn!(%client, user, "a login failed");
                door.failures.lock().failed(client, user, clock.now_ms());
            }
            Err(_) => {}
        }
    }
    proved
}

fn too_many(user: &str, left_ms: i64) -> Error {
    let message = format!("too many logins have failed for user \"{user}\" from this address");
    Error::new(Kind::InvalidAuthorization, message)
        .hint(format!("Wait {} seconds; login_failures_max says how many may fail.", left_ms / 1000 + 1))
}

async fn prove(
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
    startup: &Startup,
    secured: Option<&Secured>,
    door: &Door,
) -> Wire<()> {
    let user = startup.get("user").unwrap_or_default();
    let kept = door.engine.verifier_of(user);
    if secured.is_some() && startup.get("client_protocol_version").is_some() {
        return cleartext(incoming, outgoing, user, kept).await;
    }
    match kept {
        Some(Verifier::Md5(hex)) => md5(incoming, outgoing, user, &hex, &door.rng).await,
        Some(Verifier::Scram(verifier)) => scram(incoming, outgoing, user, Some(verifier), secured, door).await,
        None => scram(incoming, outgoing, user, None, secured, door).await,
    }
}

fn wrong(user: &str) -> Failure {
    Failure::Fatal(Error::new(Kind::InvalidPassword, format!("password authentication failed for user \"{user}\"")))
}

async fn answer(incoming: &mut Incoming, outgoing: &mut Outgoing) -> Wire<Bytes> {
    outgoing.flush().await?;
    match incoming.next().await? {
        Frontend::Password(bytes) => Ok(bytes),
        Frontend::Terminate => Err(Failure::Gone),
        _ => Err(Failure::Fatal(Error::new(Kind::Protocol, "expected a password response"))),
    }
}

async fn cleartext(incoming: &mut Incoming, outgoing: &mut Outgoing, user: &str, kept: Option<Verifier>) -> Wire<()> {
    backend::put_authentication(&mut outgoing.buffer, CLEARTEXT, &[]);
    let sent = answer(incoming, outgoing).await?;
    let sent = Reader::new(&sent).cstring().map_err(Failure::Fatal)?;
    match kept.is_some_and(|kept| kept.is_of(&sent, user)) {
        true => Ok(()),
        false => Err(wrong(user)),
    }
}

async fn md5(incoming: &mut Incoming, outgoing: &mut Outgoing, user: &str, kept: &str, rng: &Rng) -> Wire<()> {
    let [a, b, c, d, ..] = rng.next_u64().to_be_bytes();
    let salt = [a, b, c, d];
    backend::put_authentication(&mut outgoing.buffer, MD5, &salt);
    let sent = answer(incoming, outgoing).await?;
    let sent = Reader::new(&sent).cstring().map_err(Failure::Fatal)?;
    let expected = format!("md5{}", md5_hex(&[kept.as_bytes(), &salt].concat()));
    if same(sent.as_bytes(), expected.as_bytes()) { Ok(()) } else { Err(wrong(user)) }
}

/// Without a verifier the exchange is the same, so that names cannot be probed, and proves nothing.
async fn scram(
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
    user: &str,
    kept: Option<Scram>,
    secured: Option<&Secured>,
    door: &Door,
) -> Wire<()> {
    let certificate = secured.and_then(|tls| tls.binding.as_deref());
    let offered = [certificate.map(|_| scram::BOUND), Some(scram::PLAIN)];
    let mut methods = Vec::new();
    for method in offered.into_iter().flatten() {
        backend::put_cstring(&mut methods, method);
    }
    methods.push(0);
    backend::put_authentication(&mut outgoing.buffer, SASL, &methods);
    let first = answer(incoming, outgoing).await?;
    let (mechanism, first) = client_first(&first).map_err(Failure::Fatal)?;

    let is_known = kept.is_some();
    let verifier = kept.unwrap_or_else(|| Scram::of_nobody(&hmac_sha256(&door.secret, user.as_bytes())));
    let begun = Exchange::begin(&mechanism, &first, certificate, verifier, &door.rng.uuid());
    let (exchange, challenge) = begun.map_err(Failure::Fatal)?;
    backend::put_authentication(&mut outgoing.buffer, SASL_CONTINUE, challenge.as_bytes());

    let last = answer(incoming, outgoing).await?;
    let proof = match exchange.finish(text(&last).map_err(Failure::Fatal)?) {
        Ok(proof) if is_known => proof,
        Err(Failed::Refused(error)) => return Err(Failure::Fatal(error)),
        Ok(_) | Err(Failed::WrongPassword) => return Err(wrong(user)),
    };
    backend::put_authentication(&mut outgoing.buffer, SASL_FINAL, proof.as_bytes());
    Ok(())
}

/// The method's name, and the first message of the exchange behind its length.
fn client_first(bytes: &[u8]) -> tidegate_core::Result<(String, String)> {
    let mut reader = Reader::new(bytes);
    let method = reader.cstring()?;
    let length = usize::try_from(reader.i32()?).unwrap_or(0);
    Ok((method.to_string(), text(reader.take(length)?)?.to_string()))
}

fn text(bytes: &[u8]) -> tidegate_core::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::new(Kind::Protocol, "malformed SCRAM message: it is no text"))
}
