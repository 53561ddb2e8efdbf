//! A Redis Cluster: a server finds the node that has its key, wherever that goes.

use std::net::TcpListener;

use futures_util::future;
use lab::client::{Client, newest_id};
use lab::{Redis, SERVERS};

use crate::failover::{all_have, until};
use crate::line::{ids_after, newest_id_at_last};
use crate::{start, with};

/// Three nodes, and a replica of the first one.
async fn cluster() -> Vec<(Redis, String)> {
    let ports: [_; 4] = std::array::from_fn(|_| {
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        free.local_addr().expect("it is bound").port().to_string()
    });
    let mut nodes = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let node = Redis::start_with(&[&options[..], &["--cluster-port", port]].concat()).await;
        node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await;
        let id = node.cli(&["CLUSTER", "MYID"]).await;
        nodes.push((node, id));
    }
    for (index, (first, last)) in ["0 5460", "5461 10922", "10923 16383"]
        .into_iter()
        .filter_map(|slots| slots.split_once(' '))
        .enumerate()
    {
        nodes[index].0.cli(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
    }
    for (index, bus) in ports.iter().enumerate().skip(1) {
        let port = nodes[index].0.port().to_string();
        nodes[0].0.cli(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await;
    }
    let id = nodes[0].1.clone();
    until("the replica knows its master", async || {
        nodes[3].0.cli(&["CLUSTER", "REPLICATE", &id]).await == "OK"
    })
    .await;
    for (node, _) in &nodes {
        until("the cluster is there", async || {
            let known = node.cli(&["CLUSTER", "NODES"]).await;
            node.cli(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok")
                && known.lines().count() == 4
                && known.contains("slave")
        })
        .await;
    }
    nodes
}

/// Clients are connected and messages come, while the key's slot moves to another node, and then that
/// node is killed, and its replica takes over.
#[test]
fn a_slot_that_moves_and_a_node_that_is_killed() {
    with(&[], async {
        let mut nodes = cluster().await;
        let slot = nodes[0].0.cli(&["CLUSTER", "KEYSLOT", "updates"]).await;
        assert!(slot.parse::<u32>().expect("a number") > 10922, "the third one has it");
        let url = format!("{} {}", nodes[0].0.url(), nodes[1].0.url());
        let servers = SERVERS.map(async |name| start(name, &url).await);
        let servers = future::join_all(servers).await;
        let seen = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        let publish_all = async || future::join_all(servers.iter().map(newest_id_at_last)).await;
        let mut confirmed = publish_all().await;

        let (old, new) = (&nodes[2], &nodes[0]);
        let port = new.0.port().to_string();
        new.0.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old.1]).await;
        old.0.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new.1]).await;
        let moving = async {
            let moved = old.0.cli(&["MIGRATE", "127.0.0.1", &port, "updates", "0", "5000"]).await;
            assert_eq!(moved, "OK");
            for (node, _) in [new, old] {
                node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &new.1]).await;
            }
        };
        let ((), more) = future::join(moving, publish_all()).await;
        confirmed.extend(more);
        confirmed.extend(publish_all().await);

        until("the replica has all", async || {
            let mut offsets = Vec::new();
            for (node, _) in [&nodes[0], &nodes[3]] {
                let info = node.cli(&["INFO", "replication"]).await;
                let offset = info.lines().find(|line| line.starts_with("master_repl_offset:"));
                offsets.extend(offset.map(|line| line.trim_end().to_owned()));
            }
            offsets[0] == offsets[1]
        })
        .await;
        nodes[0].0.end().await;
        confirmed.extend(publish_all().await);
        let expected = ids_after(&nodes[3].0, seen).await;
        confirmed.sort_unstable();
        assert_eq!(confirmed, expected);
        all_have(&mut clients, &expected, 0).await;
    });
}
