//! A client that costs little: the load shares the machine with the server that it measures.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    head: String,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is a TCP connection");
        Self { stream, head: String::new(), answer: Vec::new() }
    }

    /// Posts a GraphQL request; the body of the answer, which must have no errors.
    pub(crate) async fn post(&mut self, token: &str, body: &str) -> &str {
        use std::fmt::Write as _;
        self.head.clear();
        write!(
            self.head,
            "POST /graphql HTTP/1.1\r\nhost: runledger\r\ncontent-type: application/json\r\n\
             accept: application/json\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it is memory");
        self.stream.write_all(self.head.as_bytes()).await.expect("the server reads");
        self.answer.clear();
        let (head_bytes, body_bytes) = loop {
            let read = self.stream.read_buf(&mut self.answer).await.expect("the server answers");
            assert!(read > 0, "the server has closed the connection");
            if let Some(lengths) = lengths(&self.answer) {
                break lengths;
            }
        };
        while self.answer.len() < head_bytes + body_bytes {
            let read = self.stream.read_buf(&mut self.answer).await.expect("the server answers");
            assert!(read > 0, "the server has closed the connection");
        }
        let text = std::str::from_utf8(&self.answer).expect("it is JSON");
        let (head, body) = text.split_at(head_bytes);
        assert!(head.starts_with("HTTP/1.1 200") && body.starts_with("{\"data\""), "{text}");
        body
    }
}

/// Of the head with its empty line, and of the body.
fn lengths(answer: &[u8]) -> Option<(usize, usize)> {
    let head_bytes = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..head_bytes]).expect("it is a head");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some((head_bytes, length.and_then(|length| length.parse().ok()).expect("it says how long it is")))
}
