//! One client's connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::backend::Link;
use crate::commands::{self, Outcome};
use crate::login::Login;
use crate::server::Server;
use crate::wire::Message;

/// A connection, and the one that it has to the backend.
pub struct Connection {
    pub server: Arc<Server>,
    pub id: i32,
    pub peer: SocketAddr,
    pub login: Login,
    pub link: Link,
}

impl Connection {
    /// Answers until the client is done. Commands are answered one after the other, as they came.
    pub async fn serve(mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        while let Some(message) = Message::read(&mut stream).await? {
            let request = message.request()?;
            match commands::handle(&mut self, &request).await? {
                Outcome::Pass => {
                    self.link.send(&message).await?;
                    let mut is_awaited = !request.is_unanswered;
                    while is_awaited {
                        let answer = self.link.receive().await?;
                        stream.write_all(answer.bytes()).await?;
                        stream.flush().await?;
                        is_awaited = answer.is_followed();
                    }
                }
                Outcome::Answer(answer) if !request.is_unanswered => {
                    stream.write_all(&request.reply(&answer).map_err(io::Error::other)?).await?;
                    stream.flush().await?;
                }
                Outcome::Answer(_) => {}
                Outcome::Close => break,
            }
        }
        Ok(())
    }
}
