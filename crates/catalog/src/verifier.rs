//! What is kept of a password: enough to check a proof of it, and not the password.
//!
//! Texts are those of Postgres' `pg_authid.rolpassword`, so that CREATE ROLE … PASSWORD takes what `pg_dumpall` wrote:
//! `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey` (RFC 5803), and `md5` with 32 digits of the hash of password and name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use ring::{digest, hmac, pbkdf2};
use std::fmt;
use std::num::NonZeroU32;

/// Rounds of hashing (Postgres: `SCRAM_SHA_256_DEFAULT_ITERATIONS`).
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4096) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};
/// Bytes of a salt (Postgres: `SCRAM_DEFAULT_SALT_LEN`).
const SALT_BYTES: usize = 16;
const SCRAM: &str = "SCRAM-SHA-256$";

/// A key of SHA-256.
pub type Key = [u8; 32];

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Verifier {
    /// For SCRAM-SHA-256 (RFC 5802).
    Scram(Scram),
    /// For clients that know nothing better: 32 hexadecimal digits. Who reads it can log in with it.
    Md5(String),
}

/// What SCRAM checks proofs with.
#[derive(Clone, PartialEq, Eq)]
pub struct Scram {
    /// Rounds of hashing.
    pub iterations: NonZeroU32,
    /// What was hashed in.
    pub salt: Vec<u8>,
    /// The hash of the client's key.
    pub stored_key: Key,
    /// Proves to the client that the server knows it.
    pub server_key: Key,
}

impl Scram {
    /// Of a password, normalized as RFC 4013 has it where that can be done.
    pub fn of(password: &str, salt: Vec<u8>) -> Scram {
        Self::hashed(password, salt, ITERATIONS)
    }

    /// Of nobody: the same for the same seed, and no password is the one of it. It costs no rounds of hashing, so that time
    /// does not tell it from one that is kept (Postgres: `mock_scram_secret`).
    pub fn of_nobody(seed: &Key) -> Scram {
        let salt = seed.get(..SALT_BYTES).unwrap_or_default().to_vec();
        let key = |noun: &[u8]| hmac_sha256(seed, noun);
        Scram { iterations: ITERATIONS, salt, stored_key: key(b"stored"), server_key: key(b"server") }
    }

    fn hashed(password: &str, salt: Vec<u8>, iterations: NonZeroU32) -> Scram {
        let normal = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, normal.as_bytes(), &mut salted);
        let stored_key = sha256(&hmac_sha256(&salted, b"Client Key"));
        Scram { iterations, salt, stored_key, server_key: hmac_sha256(&salted, b"Server Key") }
    }

    fn parse(text: &str) -> Option<Scram> {
        let (rounds, keys) = text.strip_prefix(SCRAM)?.split_once('$')?;
        let (iterations, salt) = rounds.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text).ok()?.try_into().ok();
        Some(Scram {
            iterations: iterations.parse().ok()?,
            salt: BASE64.decode(salt).ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }
}

impl Verifier {
    /// Reads what is kept; None: the text is a password.
    pub fn parse(text: &str) -> Option<Verifier> {
        let md5 = text.strip_prefix("md5").filter(|hex| hex.len() == 32 && hex.bytes().all(|c| c.is_ascii_hexdigit()));
        md5.map(|hex| Verifier::Md5(hex.to_string())).or_else(|| Scram::parse(text).map(Verifier::Scram))
    }

    /// What md5 keeps of a user's password.
    pub fn md5(password: &str, user: &str) -> Verifier {
        Verifier::Md5(md5_hex(format!("{password}{user}").as_bytes()))
    }

    /// Whether a user's password is the one of which this is kept.
    pub fn is_of(&self, password: &str, user: &str) -> bool {
        match self {
            Verifier::Scram(kept) => {
                let given = Scram::hashed(password, kept.salt.clone(), kept.iterations);
                same(&given.stored_key, &kept.stored_key)
            }
            Verifier::Md5(kept) => same(md5_hex(format!("{password}{user}").as_bytes()).as_bytes(), kept.as_bytes()),
        }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verifier::Md5(hex) => write!(f, "md5{hex}"),
            Verifier::Scram(Scram { iterations, salt, stored_key, server_key }) => {
                let [salt, stored, server] = [&salt[..], stored_key, server_key].map(|bytes| BASE64.encode(bytes));
                write!(f, "{SCRAM}{iterations}:{salt}${stored}:{server}")
            }
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verifier::Scram(_) => "SCRAM-SHA-256",
            Verifier::Md5(_) => "md5",
        })
    }
}

/// HMAC with SHA-256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Key {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    fixed(tag.as_ref())
}

/// SHA-256.
pub fn sha256(message: &[u8]) -> Key {
    fixed(digest::digest(&digest::SHA256, message).as_ref())
}

fn fixed(bytes: &[u8]) -> Key {
    let mut key = [0; 32];
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    key
}

/// MD5 in hexadecimal digits.
pub fn md5_hex(message: &[u8]) -> String {
    Md5::digest(message).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 keeps of the password `pencil`, with the salt of RFC 7677's example.
    #[test]
    fn what_is_kept_reads_as_it_was_written() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let kept = Verifier::Scram(Scram::of("pencil", salt));
        let text = kept.to_string();
        let expected = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                        wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(text, expected);
        assert_eq!(Verifier::parse(&text), Some(kept.clone()));
        assert!(kept.is_of("pencil", "anybody") && !kept.is_of("Pencil", "anybody"));
        assert!(!format!("{kept:?}").contains("W22Z"));
    }

    #[test]
    fn nobody_is_always_the_same() {
        let of = |user: &[u8]| Scram::of_nobody(&hmac_sha256(b"secret", user));
        assert!(of(b"ann") == of(b"ann") && of(b"ann") != of(b"bob"));
        assert_eq!((of(b"ann").salt.len(), of(b"ann").iterations), (SALT_BYTES, ITERATIONS));
    }

    #[test]
    fn md5_is_of_password_and_name() {
        let kept = Verifier::md5("secret", "ann");
        assert_eq!(kept.to_string(), "md59d792a3a8853c2411afb9163d088c036".to_string());
        assert!(kept.is_of("secret", "ann") && !kept.is_of("secret", "bob"));
        assert_eq!(Verifier::parse(&kept.to_string()), Some(kept));
    }

    #[test]
    fn other_texts_are_passwords() {
        for text in ["", "secret", "md5", "md5x", "SCRAM-SHA-256$4096:x", "SCRAM-SHA-256$0:AA==$AA==:AA=="] {
            assert_eq!(Verifier::parse(text), None, "{text}");
        }
    }
}
