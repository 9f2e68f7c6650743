//! Who leads, on a real API server.

use std::sync::Arc;
use std::time::Duration;

use bigchaindb_operator::lease::{self, Leadership, Lost, Settings};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::timeout;

use crate::api_server::{ApiServer, DEADLINE};

struct Fixture {
    server: Arc<ApiServer>,
    namespace: String,
}

impl Fixture {
    async fn start() -> Option<Self> {
        let server = ApiServer::start().await?;
        let namespace = server.namespace().await;
        Some(Self { server, namespace })
    }

    fn settings(&self, identity: &str, seconds: u64) -> Settings {
        Settings {
            identity: identity.to_owned(),
            duration: Duration::from_secs(seconds),
            renew: Duration::from_millis(500),
            ..Settings::new(&self.namespace, lease::NAME, "pod")
        }
    }

    async fn acquire(&self, identity: &str, seconds: u64) -> Leadership {
        in_time(lease::acquire(self.server.client().await, self.settings(identity, seconds))).await
    }

    async fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.server.client().await, &self.namespace)
    }

    async fn lease(&self) -> Lease {
        self.leases().await.get(lease::NAME).await.unwrap()
    }

    /// Waits until the Lease is as wanted.
    async fn until(&self, wanted: impl Fn(&Lease) -> bool) -> Lease {
        in_time(async {
            loop {
                let lease = self.lease().await;
                if wanted(&lease) {
                    return lease;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    }

    /// A user who may do everything, as long as there is this binding.
    async fn allow(&self, user: &str) -> Api<RoleBinding> {
        let bindings = Api::<RoleBinding>::namespaced(self.server.client().await, &self.namespace);
        let binding = json!({
            "metadata": {"name": user},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
        bindings
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("not in time"))
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref().unwrap().holder_identity.as_deref()
}

#[tokio::test]
async fn a_holder_renews_and_who_stands_by_writes_nothing_until_it_is_given_back() {
    let Some(fixture) = Fixture::start().await else { return };
    let first = fixture.acquire("first", 60).await;
    let taken = fixture.lease().await;
    assert_eq!(holder(&taken), Some("first"));

    let _binding = fixture.allow("standby").await;
    let client = fixture.server.client_as("standby").await;
    let second = tokio::spawn(lease::acquire(client, fixture.settings("second", 60)));
    // It has looked, and goes on looking, while the first one renews.
    let looked = || {
        let events = fixture.server.answered().into_iter();
        let events = events.filter(|event| event["impersonatedUser"]["username"] == "standby");
        events.filter(|event| event["responseStatus"]["code"] == 200).collect::<Vec<_>>()
    };
    fixture
        .until(|lease| looked().len() >= 3 && lease.metadata.resource_version != taken.metadata.resource_version)
        .await;
    assert_eq!(holder(&fixture.lease().await), Some("first"));
    assert!(looked().iter().all(|event| event["verb"] == "get"), "{:?}", looked());
    assert!(!second.is_finished());

    in_time(first.release()).await;
    let _second = in_time(second).await.unwrap();
    let lease = fixture.lease().await;
    assert_eq!(holder(&lease), Some("second"));
    assert_eq!(lease.spec.unwrap().lease_transitions, Some(2));
}

#[tokio::test]
async fn one_that_cannot_renew_stops_before_another_begins() {
    let Some(fixture) = Fixture::start().await else { return };
    let bindings = fixture.allow("first").await;
    let client = fixture.server.client_as("first").await;
    let mut first = in_time(lease::acquire(client, fixture.settings("first", 6))).await;
    let mut second = Box::pin(fixture.acquire("second", 6));
    bindings.delete("first", &DeleteParams::default()).await.unwrap();
    let lost = tokio::select! {
        biased;
        lost = first.lost() => lost,
        _ = &mut second => panic!("two lead at once"),
    };
    assert!(matches!(&lost, Lost::NotRenewed(why) if why.contains("forbidden")), "{lost}");
    let _second = second.await;
    assert_eq!(holder(&fixture.lease().await), Some("second"));
}

#[tokio::test]
async fn other_machines_clocks_do_not_matter() {
    let Some(fixture) = Fixture::start().await else { return };
    for (turn, renewed) in ["1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"].into_iter().enumerate() {
        let ended = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": lease::NAME},
            "spec": {"holderIdentity": "ended", "leaseDurationSeconds": 1, "renewTime": renewed},
        });
        let patch = PatchParams::apply("test").force();
        fixture.leases().await.patch(lease::NAME, &patch, &Patch::Apply(ended)).await.unwrap();
        let identity = format!("heir{turn}");
        let _heir = fixture.acquire(&identity, 60).await;
        assert_eq!(holder(&fixture.lease().await), Some(identity.as_str()));
    }
}

#[tokio::test]
async fn a_lease_that_somebody_takes_or_deletes_is_lost_at_once() {
    let Some(fixture) = Fixture::start().await else { return };
    let mut first = fixture.acquire("first", 600).await;
    let robbed = json!({"spec": {"holderIdentity": "robber", "leaseDurationSeconds": 1}});
    let leases = fixture.leases().await;
    leases.patch(lease::NAME, &PatchParams::default(), &Patch::Merge(robbed)).await.unwrap();
    assert_eq!(in_time(first.lost()).await, Lost::Taken(Some("robber".to_owned())));

    let mut second = fixture.acquire("second", 600).await;
    leases.delete(lease::NAME, &DeleteParams::default()).await.unwrap();
    assert_eq!(in_time(second.lost()).await, Lost::Deleted);
    // Nothing is written by one that lost it.
    in_time(second.release()).await;
    assert!(leases.get_opt(lease::NAME).await.unwrap().is_none());
}

#[tokio::test]
async fn of_many_that_want_it_one_gets_it() {
    let Some(fixture) = Fixture::start().await else { return };
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..8 {
        waiting.spawn(lease::acquire(fixture.server.client().await, fixture.settings(&number.to_string(), 600)));
    }
    for turn in 1..=8 {
        let leader = in_time(waiting.join_next()).await.unwrap().unwrap();
        assert_eq!(fixture.lease().await.spec.unwrap().lease_transitions, Some(turn));
        assert!(waiting.try_join_next().is_none(), "two lead at once");
        in_time(leader.release()).await;
    }
}
