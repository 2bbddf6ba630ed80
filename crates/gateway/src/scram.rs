//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with the channel binding `tls-server-end-point` (RFC 5929).
//!
//! Pure: messages in, messages out. A nonce of our own is in each exchange, so that no message of another one proves
//! anything in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidegate_catalog::{Scram, hmac_sha256, same, sha256};
use tidegate_core::{Error, Kind, Result};

/// The mechanism without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism with it.
pub const BOUND: &str = "SCRAM-SHA-256-PLUS";
/// The one kind of channel binding that there is.
const BINDING: &str = "tls-server-end-point";

/// An exchange that has begun.
pub struct Exchange {
    verifier: Scram,
    /// What the client has to repeat: its header, and the hash of our certificate where it is bound.
    binding: Vec<u8>,
    nonce: String,
    client_first: String,
    server_first: String,
}

/// Why an exchange has come to nothing.
#[derive(Debug)]
pub enum Failed {
    /// The password is another one.
    WrongPassword,
    /// The client does not keep to the protocol, or somebody stands between.
    Refused(Error),
}

fn malformed(what: &str) -> Error {
    Error::new(Kind::Protocol, format!("malformed SCRAM message: {what}"))
}

fn unbound(message: &str) -> Error {
    Error::new(Kind::InvalidAuthorization, message)
}

/// The value of the next attribute.
fn attribute<'m>(parts: &mut impl Iterator<Item = &'m str>, name: char) -> Result<&'m str> {
    let part = parts.next().and_then(|part| part.strip_prefix(name)?.strip_prefix('='));
    part.ok_or_else(|| malformed(&format!("attribute \"{name}\" is expected")))
}

impl Exchange {
    /// Takes the client's first message, and gives the exchange with our first. `mechanism` is what the client has chosen,
    /// `certificate` the hash of our certificate where the connection has one.
    pub fn begin(
        mechanism: &str,
        message: &str,
        certificate: Option<&[u8]>,
        verifier: Scram,
        own_nonce: &str,
    ) -> Result<(Exchange, String)> {
        let mut cuts = message.match_indices(',').map(|(at, _)| at + 1);
        let end = cuts.nth(1).ok_or_else(|| malformed("a header is expected"))?;
        let (header, client_first) = message.split_at(end);
        let mut parts = header.split(',');
        let binding = bound(mechanism, parts.next().unwrap_or_default(), certificate)?;
        if parts.next() != Some("") {
            return Err(Error::new(Kind::Unsupported, "client uses authorization identity, but it is not supported"));
        }
        let mut parts = client_first.split(',');
        // Who it is has been said when the connection began.
        attribute(&mut parts, 'n')?;
        let theirs = attribute(&mut parts, 'r')?;
        if theirs.is_empty() || !theirs.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("the nonce has other characters than it may"));
        }
        let nonce = format!("{theirs}{own_nonce}");
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        let binding = [header.as_bytes(), binding].concat();
        let client_first = client_first.to_string();
        let exchange = Exchange { verifier, binding, nonce, client_first, server_first: server_first.clone() };
        Ok((exchange, server_first))
    }

    /// Takes the client's proof, and gives ours.
    pub fn finish(&self, message: &str) -> Result<String, Failed> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or_else(|| refused("a proof is expected"))?;
        let mut parts = without_proof.split(',');
        let binding = attribute(&mut parts, 'c').map_err(Failed::Refused)?;
        if BASE64.decode(binding).ok().is_none_or(|binding| !same(&binding, &self.binding)) {
            return Err(Failed::Refused(unbound("SCRAM channel binding check failed")));
        }
        if attribute(&mut parts, 'r').map_err(Failed::Refused)? != self.nonce {
            return Err(refused("the nonce is another one"));
        }
        let proof = BASE64.decode(proof).ok().filter(|proof| proof.len() == 32);
        let proof = proof.ok_or_else(|| refused("the proof is none"))?;
        let signed = format!("{},{},{without_proof}", self.client_first, self.server_first);
        let signature = hmac_sha256(&self.verifier.stored_key, signed.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(proof, signature)| proof ^ signature).collect();
        if !same(&sha256(&client_key), &self.verifier.stored_key) {
            return Err(Failed::WrongPassword);
        }
        Ok(format!("v={}", BASE64.encode(hmac_sha256(&self.verifier.server_key, signed.as_bytes()))))
    }
}

fn refused(what: &str) -> Failed {
    Failed::Refused(malformed(what))
}

/// What the client binds the exchange to, by the flag that its message begins with.
fn bound<'c>(mechanism: &str, flag: &str, certificate: Option<&'c [u8]>) -> Result<&'c [u8]> {
    match (mechanism, flag, certificate) {
        (PLAIN, "n", _) | (PLAIN, "y", None) => Ok(&[]),
        // It can bind, and was told that we cannot, though we can: somebody has changed what we offered.
        (PLAIN, "y", Some(_)) => Err(unbound(
            "SCRAM channel binding negotiation error: the client supports channel binding but thinks the server does not",
        )),
        (BOUND, flag, Some(certificate)) => match flag.strip_prefix("p=") {
            Some(BINDING) => Ok(certificate),
            Some(other) => {
                let message = format!("unsupported SCRAM channel-binding type \"{other}\"");
                Err(Error::new(Kind::Unsupported, message))
            }
            None => Err(malformed("the client selected SCRAM-SHA-256-PLUS without channel binding data")),
        },
        (PLAIN, ..) => Err(malformed("the client selected SCRAM-SHA-256 with channel binding data")),
        (other, ..) => Err(Error::new(
            Kind::Protocol,
            format!("client selected an invalid SASL authentication mechanism: {other}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier() -> Scram {
        Scram::of("pencil", BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap())
    }

    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    /// The example of RFC 7677.
    #[test]
    fn the_exchange_of_the_rfc() {
        let (exchange, first) = Exchange::begin(PLAIN, FIRST, None, verifier(), OWN).unwrap();
        assert_eq!(first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(exchange.finish(LAST).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_proves_nothing() {
        let finish = |own: &str, last: &str| {
            let (exchange, _) = Exchange::begin(PLAIN, FIRST, None, verifier(), own).unwrap();
            match exchange.finish(last) {
                Ok(_) => "ok".to_string(),
                Err(Failed::WrongPassword) => "wrong".to_string(),
                Err(Failed::Refused(error)) => error.kind().sqlstate().to_string(),
            }
        };
        assert_eq!(finish(OWN, LAST), "ok");
        // A message that was heard in another exchange.
        assert_eq!(finish("another", LAST), "08P01");
        assert_eq!(finish(OWN, &LAST.replace("p=dHz", "p=dHy")), "wrong");
        assert_eq!(finish(OWN, &LAST.replace("c=biws", "c=eSws")), "28000");
        assert_eq!(finish(OWN, &LAST.replace("AndVQ=", "")), "08P01");
        assert_eq!(finish(OWN, ""), "08P01");
    }

    #[test]
    fn who_stands_between_is_found_out() {
        let certificate = Some(&b"hash"[..]);
        let begin = |mechanism: &str, first: &str, certificate: Option<&[u8]>| {
            let begun = Exchange::begin(mechanism, first, certificate, verifier(), OWN);
            begun.map(drop).map_err(|error| error.kind().sqlstate())
        };
        let cases = [
            (PLAIN, "n,,n=,r=abc", certificate, Ok(())),
            (PLAIN, "y,,n=,r=abc", None, Ok(())),
            (PLAIN, "y,,n=,r=abc", certificate, Err("28000")),
            (BOUND, "p=tls-server-end-point,,n=,r=abc", certificate, Ok(())),
            (BOUND, "p=tls-unique,,n=,r=abc", certificate, Err("0A000")),
            (BOUND, "p=tls-server-end-point,,n=,r=abc", None, Err("08P01")),
            (BOUND, "n,,n=,r=abc", certificate, Err("08P01")),
            (PLAIN, "p=tls-server-end-point,,n=,r=abc", certificate, Err("08P01")),
            (PLAIN, "n,a=other,n=,r=abc", None, Err("0A000")),
            (PLAIN, "n,,m=ext,n=,r=abc", None, Err("08P01")),
            (PLAIN, "n,,n=,r=", None, Err("08P01")),
            (PLAIN, "n", None, Err("08P01")),
            ("PLAIN", "n,,n=,r=abc", None, Err("08P01")),
        ];
        for (mechanism, first, certificate, expected) in cases {
            assert_eq!(begin(mechanism, first, certificate), expected, "{mechanism} {first}");
        }
        let first = "p=tls-server-end-point,,n=,r=abc";
        let (exchange, _) = Exchange::begin(BOUND, first, certificate, verifier(), OWN).unwrap();
        let last = |binding: &[u8]| {
            let binding = BASE64.encode([b"p=tls-server-end-point,,", binding].concat());
            let proof = BASE64.encode([0; 32]);
            exchange.finish(&format!("c={binding},r=abc{OWN},p={proof}"))
        };
        assert!(matches!(last(b"hash"), Err(Failed::WrongPassword)));
        assert!(matches!(last(b"else"), Err(Failed::Refused(error)) if error.kind() == Kind::InvalidAuthorization));
    }
}
