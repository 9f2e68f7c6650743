//! A replica set without a primary for a while.

use crate::load::{Load, World};
use crate::rig::until;
use crate::wire::proxy::{NOT_WRITABLE_PRIMARY, PRIMARY_STEPPED_DOWN, Refusal, SHUTDOWN_IN_PROGRESS};

async fn check(refusals: &[Refusal]) {
    let Some(mut world) = World::new().await else { return };
    let load = Load::start(&world.node, 8).await;
    let mut client = world.node.client().await;
    for refusal in refusals {
        load.goes_on(50).await;
        let before = load.refused();
        world.proxy.step_down(*refusal);
        let mut said = serde_json::Value::Null;
        until("a node that is not ready", async || {
            let answer = client.get("/readyz").await;
            said = serde_json::from_slice(&answer.body).unwrap();
            answer.status == 503
        })
        .await;
        assert_eq!((&said["ready"], &said["checks"]["database"]["state"]), (&false.into(), &"failed".into()), "{said}");
        until("POSTs that are told so", async || load.refused() > before).await;
        world.proxy.step_up();
        until("a ready node", async || client.get("/readyz").await.status == 200).await;
    }
    load.goes_on(50).await;
    let sent = load.stop().await;
    println!("{} accepted", sent.len());
    world.all_valid_once(&sent).await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_steps_down_is_waited_for() {
    check(&[NOT_WRITABLE_PRIMARY, PRIMARY_STEPPED_DOWN]).await;
}

/// Its drivers drop all their connections then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_shuts_down_is_waited_for() {
    check(&[SHUTDOWN_IN_PROGRESS]).await;
}
