//! The address that the service listens on: taken early, used late.
//!
//! What it is: a bound socket. It is bound with the rights of whoever started
//! the program, and listens only when there is somebody to answer.
//! What it is not: a check of who may reach it; `cli::serve` makes that, by
//! [`Place::reaches_others`], before anything is bound.
//!
//! Invariants: a file that is no socket, or a socket that somebody listens on,
//! is never replaced; a socket's file has its permissions from the beginning
//! and is removed with its [`Bound`], unless another one took its place.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::config::service::Listen;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why the service can't listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The name has no address.
    #[error("server.host: {host:?} has no address on this machine")]
    Name {
        /// What was configured.
        host: String,
        /// Why, if the look-up failed.
        #[source]
        source: Option<io::Error>,
    },
    /// The address can't be had.
    #[error(
        "can't listen on {place} (server.host, server.port, server.socket); choose another, or stop what listens there"
    )]
    Address {
        /// The address or path.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something that is no socket has that path.
    #[error("server.socket: {} is there and is no socket; remove it, or choose another path", .0.display())]
    NoSocket(PathBuf),
    /// Somebody listens there.
    #[error("server.socket: another process listens on {}; stop it first", .0.display())]
    InUse(PathBuf),
}

/// Where to listen, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket and its mode.
    Unix(PathBuf, u32),
}

impl Place {
    /// Looks up what is configured.
    ///
    /// # Errors
    ///
    /// Where a name has no address.
    pub fn find(listen: &Listen) -> Result<Self, BindError> {
        match listen {
            Listen::Unix { path, mode } => Ok(Self::Unix(path.clone(), *mode)),
            Listen::Tcp { host, port } => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let (mut found, source) = match (bare, *port).to_socket_addrs() {
                    Ok(found) => (Some(found), None),
                    Err(error) => (None, Some(error)),
                };
                let first = found.as_mut().and_then(Iterator::next);
                first.map(Self::Tcp).ok_or_else(|| BindError::Name {
                    host: host.clone(),
                    source,
                })
            }
        }
    }

    /// Whether other machines can reach it.
    pub fn reaches_others(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(..) => false,
        }
    }
}

/// A socket that is bound and doesn't listen yet.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(TcpSocket),
    /// A Unix socket, with its file.
    Unix(UnixSocket, SocketFile),
}

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, with its file.
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// Binds. A Unix socket's file is handed to `owner`, if there is one.
    ///
    /// # Errors
    ///
    /// Where the address or path can't be had.
    pub fn bind(place: &Place, owner: Option<(Uid, Gid)>) -> Result<Self, BindError> {
        match place {
            Place::Tcp(address) => {
                tcp(*address)
                    .map(Self::Tcp)
                    .map_err(|source| BindError::Address {
                        place: address.to_string(),
                        source,
                    })
            }
            Place::Unix(path, mode) => {
                make_room(path)?;
                let bound = unix(path, *mode, owner).map_err(fail(path))?;
                Ok(Self::Unix(bound.0, bound.1))
            }
        }
    }

    /// Listens. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Whatever listen(2) says.
    pub fn listen(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(socket) => Listener::Tcp(socket.listen(BACKLOG)?),
            Self::Unix(socket, file) => Listener::Unix(socket.listen(BACKLOG)?, file),
        })
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // So that a restart needn't wait for the last connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn fail(path: &Path) -> impl Fn(io::Error) -> BindError {
    move |source| BindError::Address {
        place: path.display().to_string(),
        source,
    }
}

/// Removes a socket that nobody listens on any more.
fn make_room(path: &Path) -> Result<(), BindError> {
    let facts = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        facts => facts.map_err(fail(path))?,
    };
    if !facts.file_type().is_socket() {
        return Err(BindError::NoSocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fail(path))
        }
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) => Err(fail(path)(error)),
    }
}

fn unix(path: &Path, mode: u32, owner: Option<(Uid, Gid)>) -> io::Result<(UnixSocket, SocketFile)> {
    let socket = UnixSocket::new_stream()?;
    // The only way to give it its mode before anybody can connect. Nothing else
    // runs in this process yet.
    let before = umask(Mode::from_bits_truncate(0o777 & !mode));
    let bound = socket.bind(path);
    umask(before);
    bound?;
    let facts = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        inode: (facts.dev(), facts.ino()),
    };
    if let Some((uid, gid)) = owner {
        // Not through a link: whoever may write the directory could have put one there.
        lchown(path, Some(uid.as_raw()), Some(gid.as_raw()))?;
    }
    Ok((socket, file))
}

/// The file of a Unix socket.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|facts| (facts.dev(), facts.ino()) == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            // The next start finds that nobody listens on it.
            tracing::warn!(%error, path = %self.path.display(), "socket not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as StdListener;

    use super::*;

    #[test]
    fn tells_what_other_machines_can_reach() {
        let cases = [
            ("127.0.0.1", false),
            ("127.8.9.1", false),
            ("localhost", false),
            ("::1", false),
            ("[::1]", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", true),
            ("::", true),
            ("192.0.2.1", true),
        ];
        for (host, expected) in cases {
            let (host, port) = (host.to_owned(), 8080);
            let place = Place::find(&Listen::Tcp { host, port }).unwrap();
            assert_eq!(place.reaches_others(), expected, "{place:?}");
        }
    }

    #[tokio::test]
    async fn replaces_only_sockets_that_nobody_listens_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.sock");
        let place = Place::Unix(path.clone(), 0o660);
        fs::write(&path, "precious").unwrap();
        let refused = Bound::bind(&place, None);
        assert!(matches!(refused, Err(BindError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();

        let live = StdListener::bind(&path).unwrap();
        let refused = Bound::bind(&place, None);
        assert!(matches!(refused, Err(BindError::InUse(_))));
        drop(live);
        let listener = Bound::bind(&place, None).unwrap().listen().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert!(UnixStream::connect(&path).is_ok());
        drop(listener);
        assert!(!path.exists(), "removed with its listener");
    }
}
