//! The counters that 1.0.1 sends to statsd, by the same names.
//!
//! 1.0.1 sends a packet for each transaction; here one packet a second carries the sums, which statsd adds up all the
//! same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Metrics;
use crate::listen::stopped;

/// The port of statsd.
pub const PORT: u16 = 8125;

/// Sends what was counted, every `period` and once more at the end, until `stop` turns true. Nobody listening there is
/// fine.
pub async fn run(
    to: SocketAddr,
    period: Duration,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let any_port: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any_port).await?;
    // What was counted before this began is counted too.
    let mut sent = metrics.statsd_totals().map(|_| 0);
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stopping = tokio::select! {
            _ = ticks.tick() => false,
            () = stopped(&mut stop) => true,
        };
        if let Some(packet) = packet(metrics.statsd_totals(), &mut sent) {
            // Lost packets are statsd's way of life.
            let _ = socket.send_to(packet.as_bytes(), to).await;
        }
        if stopping {
            return Ok(());
        }
    }
}

/// What was counted since the last packet, if anything was.
fn packet<const N: usize>(totals: [(&'static str, u64); N], sent: &mut [u64; N]) -> Option<String> {
    let mut lines = Vec::new();
    for ((name, total), sent) in totals.into_iter().zip(sent) {
        let more = total - *sent;
        if more > 0 {
            lines.push(format!("{name}:{more}|c"));
        }
        *sent = total;
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counters_arrive_by_the_reference_s_names() {
        let statsd = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let metrics = Arc::new(Metrics::new());
        let (stop, stopped) = watch::channel(false);
        let to = statsd.local_addr().unwrap();
        metrics.clients.posted();
        metrics.clients.posted();
        let sender = tokio::spawn(run(to, Duration::from_secs(3600), metrics.clone(), stopped));
        metrics.block_written(3);
        metrics.voted(true, 5);
        stop.send(true).unwrap();
        sender.await.unwrap().unwrap();
        let mut packet = [0; 512];
        let n = statsd.recv(&mut packet).await.unwrap();
        assert_eq!(
            std::str::from_utf8(&packet[..n]),
            Ok("web.tx.post:2|c\npipelines.block.throughput:3|c\npipelines.vote.throughput:5|c")
        );
    }

    #[test]
    fn only_what_is_new_is_sent() {
        let mut sent = [0, 0];
        assert_eq!(packet([("a", 0), ("b", 0)], &mut sent), None);
        assert_eq!(packet([("a", 2), ("b", 0)], &mut sent).as_deref(), Some("a:2|c"));
        assert_eq!(packet([("a", 2), ("b", 1)], &mut sent).as_deref(), Some("b:1|c"));
        assert_eq!(packet([("a", 2), ("b", 1)], &mut sent), None);
    }
}
