//! Which of a configuration's members this server is.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Where this server listens.
#[derive(Clone, Debug)]
pub struct Listening {
    pub port: u16,
    pub addresses: Vec<IpAddr>,
}

impl Listening {
    /// Whether `host:port` leads here: its name means an address of this machine that is listened on, and the port is the
    /// one listened on (manual, "Self-Managed Replica Set Configuration", `members[n].host`: a name that can be resolved).
    ///
    /// `mongod` goes on to connect to other places and to ask who is there; this one does not, and so does not find itself
    /// behind a port that something else forwards.
    pub async fn is(&self, host: &str) -> bool {
        match tokio::net::lookup_host(host).await {
            Ok(mut found) => found.any(|address| address.port() == self.port && self.is_ours(address.ip())),
            Err(_) => false,
        }
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        let is_bound = self.addresses.iter().any(|bound| bound.is_unspecified() || *bound == address);
        // Only an address of this machine can be bound.
        is_bound && UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn only_names_of_this_machine_with_its_port_are_itself() {
        let listening = |address| Listening { port: 27017, addresses: vec![IpAddr::V4(address)] };
        let all = listening(Ipv4Addr::UNSPECIFIED);
        assert!(all.is("localhost:27017").await && all.is("127.0.0.2:27017").await);
        assert!(!all.is("localhost:27018").await, "another port");
        // An address for documentation (RFC 5737): no machine has it.
        assert!(!all.is("192.0.2.1:27017").await && !all.is("no such name:27017").await);
        assert!(!listening(Ipv4Addr::new(127, 0, 0, 2)).is("127.0.0.1:27017").await, "not listened on");
    }
}
