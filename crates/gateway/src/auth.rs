//! Who a client is: nobody is asked (`auth = trust`), or a password is proved by SCRAM-SHA-256. Clients of Redshift's
//! drivers, which cannot do SCRAM, may send it in clear inside TLS.

use crate::backend;
use crate::decode::reader::Reader;
use crate::frontend::Frontend;
use crate::packet::Startup;
use crate::startup::Door;
use crate::transport::{Failure, Incoming, Outgoing, Wire};
use bytes::Bytes;
use pgwire::api::auth::Password;
use pgwire::api::auth::sasl::SCRAM_SHA_256_METHOD;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramServerAuth, gen_salted_password};
use pgwire::error::PgWireError;
use tidegate_core::{Error, Kind, Rng};

/// Codes of the authentication message.
const CLEARTEXT: i32 = 3;
const SASL: i32 = 10;
const SASL_CONTINUE: i32 = 11;
const SASL_FINAL: i32 = 12;

/// Checks the client's proof, if one is asked for.
pub async fn check(
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
    startup: &Startup,
    secure: bool,
    door: &Door,
) -> Wire<()> {
    if door.engine.settings().get("auth") != "password" {
        return Ok(());
    }
    let user = startup.get("user").unwrap_or_default();
    let stored = door.engine.password_of(user);
    if secure && startup.get("client_protocol_version").is_some() {
        return cleartext(incoming, outgoing, user, stored.as_deref()).await;
    }
    scram(incoming, outgoing, user, stored, &door.rng).await
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

async fn cleartext(incoming: &mut Incoming, outgoing: &mut Outgoing, user: &str, stored: Option<&str>) -> Wire<()> {
    backend::put_authentication(&mut outgoing.buffer, CLEARTEXT, &[]);
    let sent = answer(incoming, outgoing).await?;
    let sent = Reader::new(&sent).cstring().map_err(Failure::Fatal)?;
    let stored = stored.ok_or_else(|| wrong(user))?;
    let differs = sent.bytes().zip(stored.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    if stored.is_empty() || sent.len() != stored.len() || differs != 0 {
        return Err(wrong(user));
    }
    Ok(())
}

async fn scram(
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
    user: &str,
    stored: Option<String>,
    rng: &Rng,
) -> Wire<()> {
    let mut methods = SCRAM_SHA_256_METHOD.as_bytes().to_vec();
    methods.extend_from_slice(b"\0\0");
    backend::put_authentication(&mut outgoing.buffer, SASL, &methods);
    let first = answer(incoming, outgoing).await?;
    let first = client_first(&first).map_err(Failure::Fatal)?;

    let salt: Vec<u8> = [rng.next_u64().to_be_bytes(), rng.next_u64().to_be_bytes()].concat();
    // An unknown user goes through the same exchange, so that names cannot be probed, and cannot pass.
    let password = stored.filter(|password| !password.is_empty()).unwrap_or_else(|| rng.uuid());
    let salted = gen_salted_password(&password, &salt, SCRAM_ITERATIONS);
    let begun = ScramServerAuth::new().on_client_first_message(&first, Password::new(Some(salt), salted));
    let (challenge, exchange) = begun.map_err(|error| refused(user, &error))?;
    backend::put_authentication(&mut outgoing.buffer, SASL_CONTINUE, challenge.as_bytes());

    let last = answer(incoming, outgoing).await?;
    let proof = exchange.on_client_final_message(&last).map_err(|error| refused(user, &error))?;
    backend::put_authentication(&mut outgoing.buffer, SASL_FINAL, proof.as_bytes());
    Ok(())
}

fn refused(user: &str, error: &PgWireError) -> Failure {
    match error {
        PgWireError::InvalidPassword(_) => wrong(user),
        other => Failure::Fatal(Error::new(Kind::Protocol, format!("SCRAM authentication: {other}"))),
    }
}

/// The method's name, a length and the first message of the exchange.
fn client_first(bytes: &[u8]) -> tidegate_core::Result<Vec<u8>> {
    let mut reader = Reader::new(bytes);
    let method = reader.cstring()?;
    if method != SCRAM_SHA_256_METHOD {
        let message = format!("client selected an invalid SASL authentication mechanism: {method}");
        return Err(Error::new(Kind::Protocol, message));
    }
    let length = usize::try_from(reader.i32()?).unwrap_or(0);
    Ok(reader.take(length)?.to_vec())
}
