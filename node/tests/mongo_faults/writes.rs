//! Writes that fail: connections that end in the middle of one, before and after the server has done it, and a primary that
//! refuses.

use crate::load::{Load, World};
use crate::rig::until;
use crate::wire::proxy::{Fault, PRIMARY_STEPPED_DOWN};

/// Each kind of write of the pipelines.
const WRITES: [(&str, &str); 5] = [
    ("insert", "backlog"),
    ("insert", "bigchain"),
    ("delete", "backlog"),
    ("insert", "votes"),
    ("insert", "decisions"),
];

/// `times` of the driver's tries in a row fail; it tries twice by itself, further tries are the node's matter.
async fn check(fault: Fault, times: &[usize]) {
    let Some(mut world) = World::new().await else { return };
    let load = Load::start(&world.node, 8).await;
    load.goes_on(50).await;
    for times in times {
        for (name, collection) in WRITES {
            // Of many documents, where it is a bulk write.
            let documents = if (name, collection) == ("insert", "backlog") { 2 } else { 1 };
            world.proxy.fault(name, collection, documents, *times, fault);
        }
        until("the faults", async || world.proxy.all_happened()).await;
        load.goes_on(20).await;
    }
    let refused = load.refused();
    let sent = load.stop().await;
    println!("{} accepted, {refused} answers 503", sent.len());
    world.all_valid_once(&sent).await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_the_server_has_half_of_are_lost_to_nobody() {
    check(Fault::CutMidway, &[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_whose_answer_is_lost_are_done_once() {
    check(Fault::CutAnswer, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_a_primary_refuses_are_tried_again() {
    check(Fault::Refuse(PRIMARY_STEPPED_DOWN), &[1, 2]).await;
}
