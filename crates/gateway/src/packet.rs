//! The first packet of a connection: a request for encryption, a cancel request, or the start-up parameters.

use crate::decode::reader::Reader;
use crate::transport::Wire;
use tidegate_core::{Error, Kind, Result};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The code of a cancel request.
const CANCEL_CODE: u32 = 80_877_102;
/// The code of a request for TLS.
pub const SSL_CODE: u32 = 80_877_103;
/// The code of a request for GSS encryption, which is not offered.
pub const GSS_CODE: u32 = 80_877_104;
/// The newest minor version of protocol 3 that is spoken.
pub const PROTOCOL_MINOR_MAX: u16 = 2;

/// What the names of protocol extensions begin with.
const EXTENSION_PREFIX: &str = "_pq_.";

/// Start-up parameters of Redshift's drivers that name the driver and set nothing.
const DRIVER_PARAMETERS: &[&str] = &[
    "client_protocol_version",
    "driver_version",
    "os_version",
    "driver_discovery_version",
    "plugin_name",
    "provider_name",
    "idp_type",
    "token_type",
];

/// The start-up packet.
pub struct Startup {
    /// The minor version of protocol 3 that the client asks for.
    pub minor: u16,
    /// In the order sent.
    pub parameters: Vec<(String, String)>,
}

impl Startup {
    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Protocol extensions that the client asks for; none are offered.
    pub fn extensions(&self) -> Vec<&str> {
        self.parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with(EXTENSION_PREFIX))
            .collect()
    }

    /// What the client wants set in its session.
    pub fn settings(&self) -> Result<Vec<(String, String)>> {
        let mut settings = Vec::new();
        for (name, value) in &self.parameters {
            match name.as_str() {
                "user" | "database" => {}
                "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
                "replication" => {
                    return Err(Error::new(Kind::Unsupported, "replication connections are not supported"));
                }
                "options" => settings.extend(parse_options(value)?),
                name if name.starts_with(EXTENSION_PREFIX) || DRIVER_PARAMETERS.contains(&name) => {}
                _ => settings.push((name.clone(), value.clone())),
            }
        }
        Ok(settings)
    }
}

/// The first packet, once encryption is settled.
pub enum First {
    /// A client wants to log in.
    Startup(Startup),
    /// A client wants a statement of another connection stopped: its process id and secret.
    Cancel(i32, Vec<u8>),
}

/// What the first packet begins with.
#[derive(Clone, Copy)]
pub struct Head {
    /// Bytes of the packet, these included.
    pub length: u32,
    /// A version, or the code of a request.
    pub code: u32,
}

/// Reads exactly so much, and nothing of what follows.
pub async fn read_head(socket: &mut (impl AsyncRead + Unpin)) -> Wire<Head> {
    Ok(Head { length: socket.read_u32().await?, code: socket.read_u32().await? })
}

/// Reads the rest of the packet.
pub fn parse_first(code: u32, body: &[u8]) -> Result<First> {
    let mut reader = Reader::new(body);
    if code == CANCEL_CODE {
        return Ok(First::Cancel(reader.i32()?, reader.rest().to_vec()));
    }
    if code >> 16 != 3 {
        let (major, minor) = (code >> 16, code & 0xffff);
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{PROTOCOL_MINOR_MAX}");
        return Err(Error::new(Kind::Protocol, message));
    }
    let mut parameters = Vec::new();
    loop {
        let name = reader.cstring()?;
        if name.is_empty() {
            break;
        }
        parameters.push((name, reader.cstring()?));
    }
    reader.end()?;
    Ok(First::Startup(Startup { minor: code as u16, parameters }))
}

/// `-c name=value` and `--name=value`, a backslash before a blank that belongs to the value.
fn parse_options(text: &str) -> Result<Vec<(String, String)>> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty())),
            c => word.push(c),
        }
    }
    words.extend(Some(word).filter(|w| !w.is_empty()));
    let mut found = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c").filter(|rest| !rest.is_empty())) {
            Some(pair) => Some(pair.to_string()),
            None if word == "-c" => words.next(),
            None => None,
        };
        let pair = pair.as_deref().and_then(|pair| pair.split_once('='));
        let (name, value) = pair.ok_or_else(|| {
            Error::new(Kind::Syntax, format!("invalid command-line argument for server process: {word}"))
        })?;
        found.push((name.replace('-', "_"), value.to_string()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_command_line() {
        let cases = [
            ("-c search_path=a,b --statement-timeout=5s", Some("search_path=a,b statement_timeout=5s")),
            ("-cgeqo=off", Some("geqo=off")),
            ("-c a=x\\ y", Some("a=x y")),
            ("", Some("")),
            ("-c", None),
            ("-z", None),
        ];
        for (text, want) in cases {
            let got = parse_options(text)
                .ok()
                .map(|pairs| pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" "));
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn first_packets() {
        let cases: [(u32, &[u8], bool); 6] = [
            (0x0003_0000, b"user\0a\0\0", true),
            (0x0003_0000, b"user\0a\0", false),
            (0x0002_0000, b"user\0a\0\0", false),
            (0x0003_0002, b"user", false),
            (CANCEL_CODE, b"\0\0\0\x01abcd", true),
            (CANCEL_CODE, b"\0\0", false),
        ];
        for (code, body, good) in cases {
            assert_eq!(parse_first(code, body).is_ok(), good, "{code} {body:?}");
        }
    }
}
