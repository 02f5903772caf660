//! Connections to the admin server: bounded in number, and closed when their
//! other end falls silent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections served at once; further ones wait.
const MAX_CONNECTIONS: usize = 128;

/// Longest wait for bytes of a request, or for the other end to take those of
/// an answer. Also how long an idle connection is kept.
pub const SILENCE: Duration = Duration::from_secs(30);

pub struct Listener {
    listener: TcpListener,
    free: Arc<Semaphore>,
    silence: Duration,
}

impl Listener {
    /// Closes connections on which nothing moves for `silence`.
    pub fn new(listener: TcpListener, silence: Duration) -> Listener {
        Listener { listener, free: Arc::new(Semaphore::new(MAX_CONNECTIONS)), silence }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed, so there is always a permit to come.
        let permit = self.free.clone().acquire_owned().await.ok();
        let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
        let timer = Box::pin(sleep(self.silence));
        (Connection { stream, timer, silence: self.silence, busy: Arc::default(), _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails with `TimedOut` once nothing has moved for a while.
pub struct Connection {
    stream: TcpStream,
    timer: Pin<Box<Sleep>>,
    silence: Duration,
    /// An answer is being made that takes long.
    busy: Arc<AtomicBool>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The other end of a connection.
#[derive(Clone)]
pub struct Peer {
    pub address: SocketAddr,
    busy: Arc<AtomicBool>,
}

impl Peer {
    /// Keeps the connection open through a silence that is the server's own,
    /// until the guard is dropped.
    pub fn keep_waiting(&self) -> KeptWaiting {
        self.busy.store(true, Ordering::Relaxed);
        KeptWaiting(self.busy.clone())
    }
}

pub struct KeptWaiting(Arc<AtomicBool>);

impl Drop for KeptWaiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(incoming: IncomingStream<'_, Listener>) -> Peer {
        Peer { address: *incoming.remote_addr(), busy: incoming.io().busy.clone() }
    }
}

impl Connection {
    /// Turns a wait that is too long into an error; starts the wait anew
    /// whenever something moved.
    fn watch<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.silence);
            return moved;
        }
        while self.timer.as_mut().poll(context).is_ready() {
            if !self.busy.load(Ordering::Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(Instant::now() + self.silence);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        self.watch(context, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use axum::extract::ConnectInfo;
    use axum::{Router, routing::get};

    use super::*;

    const SILENCE: Duration = Duration::from_millis(300);

    /// A server that answers `GET /` with `here`.
    fn serve() -> (tokio::runtime::Runtime, SocketAddr) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get("here"));
        runtime.spawn(async move { axum::serve(Listener::new(listener, SILENCE), router).await });
        (runtime, address)
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    #[test]
    fn a_connection_that_never_ends_its_request_is_closed() {
        let (_runtime, address) = serve();
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(!answer.windows(4).any(|word| word == b"here"));
    }

    #[test]
    fn a_connection_on_which_requests_come_stays_open() {
        let (_runtime, address) = serve();
        let mut stream = connect(address);
        for _ in 0..5 {
            std::thread::sleep(SILENCE / 3);
            stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"here") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
        }
    }

    #[test]
    fn a_connection_whose_answer_takes_long_stays_open() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let slow = |ConnectInfo(peer): ConnectInfo<Peer>| async move {
            let _waiting = peer.keep_waiting();
            sleep(SILENCE * 3).await;
            peer.address.to_string()
        };
        let router = Router::new().route("/", get(slow)).into_make_service_with_connect_info::<Peer>();
        runtime.spawn(async move { axum::serve(Listener::new(listener, SILENCE), router).await });
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        let mut answer = String::new();
        // Silent again afterwards, it is closed.
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with(&stream.local_addr().unwrap().to_string()), "{answer}");
    }

    #[test]
    fn connections_above_the_limit_wait_until_one_closes() {
        let (_runtime, address) = serve();
        let mut idle: Vec<TcpStream> = (0..MAX_CONNECTIONS).map(|_| connect(address)).collect();
        std::thread::sleep(SILENCE / 3);
        let mut late = connect(address);
        late.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
        late.set_read_timeout(Some(SILENCE / 6)).unwrap();
        assert!(late.read(&mut [0]).is_err(), "answered beside {MAX_CONNECTIONS} connections");
        idle.clear();
        late.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = String::new();
        late.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    }
}
