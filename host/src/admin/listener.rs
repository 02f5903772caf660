//! Connections to the admin server: bounded in number and in time. One that is
//! silent, or drips, is closed; a new one takes the place of the one that has
//! waited longest, so that whoever asks for health at once is answered.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

/// Wait after a connection that could not be accepted: descriptors come free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once, besides those whose request is being worked on.
    pub connections: usize,
    /// From a connection's beginning, or its last answer, to the end of a
    /// request's headers.
    pub headers: Duration,
    /// Longest wait for bytes of a request, or for the other end to take those
    /// of an answer.
    pub silence: Duration,
    /// Of a connection, besides the time in which its request is worked on.
    pub life: Duration,
}

impl Bounds {
    pub const ADMIN: Bounds = Bounds {
        connections: 128,
        headers: Duration::from_secs(10),
        silence: Duration::from_secs(30),
        life: Duration::from_secs(600),
    };
    /// From the first byte of a request's body to its last.
    pub const BODY: Duration = Duration::from_secs(300);
    /// Longest wait of an upload for those of the same plugin before it.
    pub const TURN: Duration = Duration::from_secs(300);
}

/// Serves `router` on every connection to `listener`, until it is dropped.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let places = Arc::new(Places::default());
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let peer = Peer { address, busy: Arc::default() };
        let place = places.take(&peer, bounds.connections);
        tokio::spawn(attend(stream, peer, place, router.clone(), bounds));
    }
}

/// Serves one connection until its end, or the end of its time.
async fn attend(stream: TcpStream, peer: Peer, place: Place, router: Router, bounds: Bounds) {
    let timer = Box::pin(sleep(bounds.silence));
    let connection = Connection { stream, timer, silence: bounds.silence, busy: peer.busy.clone() };
    let asked = peer.clone();
    let answer = service_fn(move |request| call(router.clone(), asked.clone(), request));
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.headers)
            .serve_connection(TokioIo::new(connection), answer)
    );
    tokio::select! {
        // However it ended, it is closed.
        _ = served.as_mut() => return,
        () = place.lost.notified() => return,
        () = lived(&peer, bounds.life) => {}
    }
    served.as_mut().graceful_shutdown();
    tokio::select! {
        _ = served.as_mut() => {}
        () = place.lost.notified() => {}
        () = sleep(bounds.silence) => {}
    }
}

async fn call(
    mut router: Router,
    peer: Peer,
    mut request: hyper::Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    router.call(request).await
}

/// Returns once a connection is older than `life` and no request of it is worked on.
async fn lived(peer: &Peer, life: Duration) {
    sleep(life).await;
    while peer.busy.load(Ordering::Relaxed) {
        sleep(Duration::from_secs(1)).await;
    }
}

/// The connections that are open, oldest first.
#[derive(Default)]
struct Places(Mutex<VecDeque<(Peer, Arc<Notify>)>>);

/// Whether no request of a connection is being worked on.
fn waits((peer, _): &(Peer, Arc<Notify>)) -> bool {
    !peer.busy.load(Ordering::Relaxed)
}

impl Places {
    /// A place for a new connection: where there is none left, that of the oldest
    /// whose request is not being worked on.
    fn take(self: &Arc<Self>, peer: &Peer, most: usize) -> Place {
        let mut open = self.open();
        if open.iter().filter(|place| waits(place)).count() >= most
            && let Some((_, lost)) = open.iter().position(waits).and_then(|oldest| open.remove(oldest))
        {
            lost.notify_one();
        }
        let lost = Arc::new(Notify::new());
        open.push_back((peer.clone(), lost.clone()));
        Place { places: self.clone(), lost }
    }

    fn open(&self) -> MutexGuard<'_, VecDeque<(Peer, Arc<Notify>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back when it is dropped.
struct Place {
    places: Arc<Places>,
    /// Told when another connection takes the place.
    lost: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open().retain(|(_, lost)| !Arc::ptr_eq(lost, &self.lost));
    }
}

/// A connection that fails with `TimedOut` once nothing has moved for a while.
struct Connection {
    stream: TcpStream,
    timer: Pin<Box<Sleep>>,
    silence: Duration,
    /// An answer is being made that takes long.
    busy: Arc<AtomicBool>,
}

/// The other end of a connection.
#[derive(Clone)]
pub struct Peer {
    pub address: SocketAddr,
    busy: Arc<AtomicBool>,
}

impl Peer {
    /// Keeps the connection open through what takes the server long, until the
    /// guard is dropped. Only for those who may ask for it: nothing else bounds it.
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

    const BOUNDS: Bounds = Bounds {
        connections: 4,
        headers: Duration::from_millis(300),
        silence: Duration::from_millis(300),
        life: Duration::from_secs(60),
    };
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";

    fn serve_with(router: Router, bounds: Bounds) -> (tokio::runtime::Runtime, SocketAddr) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, router, bounds));
        (runtime, address)
    }

    /// A server that answers `GET /` with `here`.
    fn served(bounds: Bounds) -> (tokio::runtime::Runtime, SocketAddr) {
        serve_with(Router::new().route("/", get("here")), bounds)
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The answer to one request, up to its body's end.
    fn ask(stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(ASK)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"here") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        Ok(())
    }

    #[test]
    fn headers_that_drip_are_not_waited_for() {
        let (_runtime, address) = served(BOUNDS);
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
        // A byte within each silence, for longer than headers may take.
        let dripped = (0..100).take_while(|_| {
            std::thread::sleep(BOUNDS.silence / 6);
            stream.write_all(b"x").is_ok()
        });
        assert!(dripped.count() < 100, "it was never closed");
        let mut answer = Vec::new();
        // A reset, or the end.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.windows(4).any(|word| word == b"here"));
    }

    #[test]
    fn a_connection_on_which_requests_come_stays_open() {
        let bounds = Bounds { headers: Duration::from_secs(20), silence: Duration::from_secs(20), ..BOUNDS };
        let (_runtime, address) = served(bounds);
        let mut stream = connect(address);
        (0..5).for_each(|_| ask(&mut stream).unwrap());
    }

    #[test]
    fn a_connection_past_its_life_is_closed() {
        let bounds = Bounds { life: Duration::from_millis(400), headers: Duration::from_secs(20), ..BOUNDS };
        let (_runtime, address) = served(bounds);
        let mut stream = connect(address);
        let mut asked = 0;
        while ask(&mut stream).is_ok() {
            asked += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!((1..1_000).contains(&asked));
    }

    #[test]
    fn a_connection_whose_answer_takes_long_stays_open() {
        let (begin, begun) = std::sync::mpsc::channel();
        let slow = move |ConnectInfo(peer): ConnectInfo<Peer>| async move {
            let _waiting = peer.keep_waiting();
            begin.send(()).unwrap();
            sleep(BOUNDS.silence * 3).await;
            peer.address.to_string()
        };
        let (_runtime, address) =
            serve_with(Router::new().route("/", get(slow)), Bounds { life: BOUNDS.silence, ..BOUNDS });
        let mut stream = connect(address);
        stream.write_all(ASK).unwrap();
        begun.recv_timeout(Duration::from_secs(20)).unwrap();
        // Others take the places of those that wait, not this one's.
        let _idle: Vec<TcpStream> = (0..2 * BOUNDS.connections).map(|_| connect(address)).collect();
        let mut answer = String::new();
        // Silent again afterwards, it is closed.
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with(&stream.local_addr().unwrap().to_string()), "{answer}");
    }

    #[test]
    fn a_new_connection_takes_the_oldest_ones_place() {
        let bounds = Bounds { headers: Duration::from_secs(60), silence: Duration::from_secs(60), ..BOUNDS };
        let (_runtime, address) = served(bounds);
        let mut first = connect(address);
        let mut idle: Vec<TcpStream> = (1..bounds.connections).map(|_| connect(address)).collect();
        ask(&mut connect(address)).unwrap();
        let mut end = Vec::new();
        // A reset or the end: no answer comes there any more.
        let _ = first.read_to_end(&mut end);
        assert!(end.is_empty());
        ask(idle.last_mut().unwrap()).unwrap();
    }
}
