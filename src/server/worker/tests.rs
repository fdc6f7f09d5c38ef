//! Who gets a connection.

use tokio::sync::Semaphore;

use super::*;

type Waiting = mpsc::Receiver<(Accepted, Counted)>;

fn worker() -> (Worker, Waiting) {
    let (queue, waiting) = mpsc::channel(WAITING);
    (Worker { queue, counters: Arc::default(), room: Room::new(Instant::now()) }, waiting)
}

/// Some connection, and its other end.
fn connection() -> (Accepted, TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let speaks = Speaks { tls: false, http2: false };
    (Accepted { stream, peer, speaks, permit }, client)
}

#[test]
fn a_worker_that_has_ended_gets_no_connection_although_it_has_the_fewest() {
    let ((busy, mut waiting), (dead, ended)) = (worker(), worker());
    busy.counters.connection_opened();
    drop(ended);
    let workers = Workers(vec![dead, busy]);
    for _ in 0..3 {
        workers.assign(connection().0);
        assert!(waiting.try_recv().is_ok());
    }
    drop(waiting);
    let (accepted, mut client) = connection();
    workers.assign(accepted);
    assert_eq!(io::Read::read(&mut client, &mut [0]).unwrap(), 0, "nobody is left: it is closed");
}
