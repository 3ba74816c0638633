//! TLS whose records are taken from the socket many at a time. rustls asks for four
//! kilobytes at once, which would be six thousand calls for the rows of a run of 10,000.

use tokio::io::BufReader;
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};

/// Several records of the server, which are of 8 KB.
const READ_BYTES: usize = 64 * 1024;

/// Makes TLS over a buffered socket.
pub(super) struct Buffered<T>(pub(super) T);

impl<T: MakeTlsConnect<BufReader<Socket>>> MakeTlsConnect<Socket> for Buffered<T> {
    type Stream = T::Stream;
    type TlsConnect = Buffered<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        self.0.make_tls_connect(host).map(Buffered)
    }
}

impl<T: TlsConnect<BufReader<Socket>>> TlsConnect<Socket> for Buffered<T> {
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = T::Future;

    fn connect(self, socket: Socket) -> Self::Future {
        self.0.connect(BufReader::with_capacity(READ_BYTES, socket))
    }
}
