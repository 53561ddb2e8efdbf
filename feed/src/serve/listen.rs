//! Where a server listens, and what the kernel does for each connection.

use std::collections::BTreeSet;
use std::io::{
    self, ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable, ErrorKind::PermissionDenied,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
#[cfg(target_os = "linux")]
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use socket2::SockRef;

/// How many connections may wait to be accepted. A room full of browsers comes at once.
const BACKLOG: i32 = 4096;
/// How many unsent bytes the kernel takes at once. `TCP_USER_TIMEOUT` counts a client as alive when
/// its buffer takes more of them. A slow client has room for so few of them soon.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 2 * 1024;

/// Listens at every address of the host that this machine has, at one port. `localhost` has two,
/// and a browser may try either first.
pub fn listen(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut addresses: BTreeSet<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    if host.eq_ignore_ascii_case("localhost") {
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        addresses.extend(both.map(|address| SocketAddr::new(address, port)));
    }
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut nowhere = AddrNotAvailable.into();
    for mut address in addresses {
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr()?.port());
        }
        match TcpListener::bind(address) {
            Ok(listener) => {
                SockRef::from(&listener).listen(BACKLOG)?;
                listeners.push(listener);
            }
            Err(error) if error.kind() == AddrInUse && port == 0 => return listen(host, port),
            Err(error) if [AddrInUse, PermissionDenied].contains(&error.kind()) => {
                return Err(io::Error::new(error.kind(), format!("{address}: {error}")));
            }
            Err(error) => nowhere = error, // as where there is no IPv6
        }
    }
    if listeners.is_empty() { Err(nowhere) } else { Ok(listeners) }
}

/// Lets Linux end a connection whose client no longer reads, or whose machine is gone: when nothing of
/// what was sent is acknowledged for so long. The server sees only that a buffer is full. (RFC 5482 has
/// an option that tells the other side too; Linux does not send it.)
pub fn tune(connection: &TcpStream) {
    let _ = connection.set_nodelay(true); // an update does not wait until the one before is acknowledged
    #[cfg(target_os = "linux")]
    {
        let socket = SockRef::from(connection);
        let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(30)));
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
    }
}
