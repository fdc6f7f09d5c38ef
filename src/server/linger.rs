//! Closing after an answer that came before the end of its request.
//!
//! Bytes that arrive at a closed socket make the system reset the connection, and the reset
//! may overtake the answer: a client that uploads would see a broken connection and not its
//! 401. So what it still sends is read and thrown away until it closes too (RFC 9112 9.6).

use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::lifecycle::deadline::Sweep;
use crate::tls::stream::Stream;

/// The longest silence (nginx: `lingering_timeout`, 5 s): the connection holds a place meanwhile.
const SILENCE: Duration = Duration::from_secs(2);
/// The longest in all (nginx: `lingering_time`, 30 s).
const IN_ALL: Duration = Duration::from_secs(5);
/// Bytes thrown away at a time.
const CHUNK: usize = 16 * 1024;

/// Waits until the client closes `stream`, whose sending side is shut down already.
pub(super) async fn linger(mut stream: Stream, sweep: &Rc<Sweep>) {
    let (in_all, silence) = (sweep.deadline(), sweep.deadline());
    let discard = async {
        let mut chunk = vec![0; CHUNK];
        // Nobody reads it, so nobody decrypts it.
        while let Ok(Ok(1..)) = silence.limit("silence", SILENCE, stream.tcp().read(&mut chunk)).await {}
    };
    // However it ends, there is nothing more to do.
    let _ = in_all.limit("lingering", IN_ALL, discard).await;
}
