//! `tidegate health`: the check of a container that has no other program in it.

use std::time::Duration;
use tidegate_core::{Error, Kind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for the answer.
const ANSWER_SECONDS_MAX: u64 = 5;
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Fails unless the server at this address answers 200 to `GET /healthz`.
pub async fn check(address: &str) -> Result<()> {
    let wait = Duration::from_secs(ANSWER_SECONDS_MAX);
    let answer = tokio::time::timeout(wait, ask(address)).await.map_err(|_| unhealthy(address, "no answer in time"))?;
    let answer = answer.map_err(|e| unhealthy(address, &e.to_string()))?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(unhealthy(address, answer.lines().next().unwrap_or("")))
    }
}

async fn ask(address: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}

fn unhealthy(address: &str, why: &str) -> Error {
    Error::new(Kind::External, format!("the server at {address} is not healthy: {why}"))
}
