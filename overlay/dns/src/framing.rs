//! Messages on a stream, each after its length (RFC 1035, 4.2.2).
//!
//! What is allocated for a message grows with the bytes that have come in, not with the length that
//! was announced.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads one message.
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut message).await?;
    if message.len() < usize::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}

/// A message after its length, in one piece, so that it leaves in one segment.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("messages are at most 65,535 bytes long");
    [&length.to_be_bytes(), message].concat()
}
