//! What keeps pods from running, told in a sentence. Pure.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;

use crate::status::Standing;

/// Characters of a program's last words that are repeated in a condition.
const LAST_WORDS: usize = 300;

/// How a workload's pods stand. `ready`: it has as many ready pods as it wants, all of them as it wants them now.
/// `complaint`: what the workload itself says is wrong, where its pods and claims say nothing.
pub fn standing(
    what: &str,
    ready: bool,
    pods: &[&Pod],
    claims: &[PersistentVolumeClaim],
    complaint: Option<Standing>,
) -> Standing {
    if let Some(problem) = pods.iter().find_map(|pod| problem(pod)) {
        return problem;
    }
    if ready {
        return Standing::Good;
    }
    // The scheduler says no more than that a claim is not bound; the claim itself says which.
    let unbound = claims.iter().find(|claim| claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Pending"));
    if let (Some(claim), Some(message)) = (unbound, pods.iter().find_map(|pod| unschedulable(pod))) {
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let class = class.map_or("no StorageClass".to_owned(), |class| format!("StorageClass {class}"));
        let name = claim.name_any();
        let message = format!("the volume claim {name} ({class}) is not bound, so {what} cannot start: {message}");
        return Standing::bad("VolumeNotBound", message);
    }
    if let Some(message) = pods.iter().find_map(|pod| unschedulable(pod)) {
        return Standing::bad("Unschedulable", format!("no machine takes the pod of {what}: {message}"));
    }
    if let Some(complaint) = complaint {
        return complaint;
    }
    match pods.first() {
        None => Standing::waiting("Starting", format!("the pod of {what} is not there yet")),
        Some(pod) => Standing::waiting("Starting", format!("{what} is starting in the pod {}", pod.name_any())),
    }
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let unscheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    (unscheduled.reason.as_deref() == Some("Unschedulable")).then(|| unscheduled.message.clone().unwrap_or_default())
}

fn problem(pod: &Pod) -> Option<Standing> {
    let status = pod.status.as_ref()?;
    let all = [&status.init_container_statuses, &status.container_statuses];
    all.into_iter().flatten().flatten().find_map(|container| container_problem(&pod.name_any(), container))
}

fn container_problem(pod: &str, container: &ContainerStatus) -> Option<Standing> {
    let (name, image) = (&container.name, &container.image);
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let told = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or("no more is said");
    Some(match waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default() {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" | "RegistryUnavailable" => {
            Standing::bad("ImageNotAvailable", format!("the image {image} of the pod {pod} cannot be had: {told}"))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Standing::bad(
            "ContainerNotStarted",
            format!("the container {name} of the pod {pod} cannot be started: {told}"),
        ),
        reason if reason == "CrashLoopBackOff" || failed(container) => {
            let last = last_end(container);
            let code = last.map_or("unknown".to_owned(), |last| last.exit_code.to_string());
            let words = last.and_then(|last| last.message.as_deref()).map(last_words).unwrap_or_default();
            let words = if words.is_empty() { String::new() } else { format!("; its last words: {words}") };
            // The same in each turn of the loop: no count, and no word of whether it waits or runs just now.
            let message = format!(
                "the container {name} of the pod {pod} failed with exit code {code}, is started again, and is not ready\
                 {words}"
            );
            Standing::bad("CrashLoop", message)
        }
        _ => return None,
    })
}

/// In a loop of crashes a container runs now and then, until it is ready or fails again.
fn failed(container: &ContainerStatus) -> bool {
    !container.ready && container.restart_count > 0 && last_end(container).is_some_and(|last| last.exit_code != 0)
}

fn last_end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.last_state.as_ref()?.terminated.as_ref()
}

/// The end of a text, on one line.
fn last_words(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let from = text.char_indices().rev().nth(LAST_WORDS).map_or(0, |(at, _)| at);
    text[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::status::Cause;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "node-a-bdb-1"}, "status": status})).expect("a pod")
    }

    fn told(status: Value) -> (bool, &'static str, String) {
        let pod = pod(status);
        match standing("the server", false, &[&pod], &[], None) {
            Standing::Good | Standing::NotLookedAt | Standing::Ending(_) => panic!("it is not ready"),
            Standing::Waiting(Cause { reason, message }) => (false, reason, message),
            Standing::Bad(Cause { reason, message }) => (true, reason, message),
        }
    }

    fn waiting(reason: &str) -> Value {
        json!({"containerStatuses": [{
            "name": "bigchaindb", "image": "example.org/bigchaindb:9", "imageID": "", "ready": false, "restartCount": 4,
            "state": {"waiting": {"reason": reason, "message": "as it says"}},
            "lastState": {"terminated": {"exitCode": 2, "message": "Error: no such\n  directory"}},
        }]})
    }

    #[test]
    fn each_problem_is_told_with_its_cause() {
        let (bad, reason, message) = told(waiting("ImagePullBackOff"));
        assert_eq!((bad, reason), (true, "ImageNotAvailable"));
        assert_eq!(message, "the image example.org/bigchaindb:9 of the pod node-a-bdb-1 cannot be had: as it says");
        let (bad, reason, message) = told(waiting("CrashLoopBackOff"));
        assert_eq!((bad, reason), (true, "CrashLoop"));
        assert_eq!(
            message,
            "the container bigchaindb of the pod node-a-bdb-1 failed with exit code 2, is started again, and is not ready; \
             its last words: Error: no such directory"
        );
        let creating = json!({"containerStatuses": [{
            "name": "bigchaindb", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}},
        }]});
        assert_eq!(told(creating).1, "Starting");
        let unschedulable = json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"},
        ]});
        assert_eq!(told(unschedulable.clone()).1, "Unschedulable");
        let claim = json!({"metadata": {"name": "node-a-mdb"}, "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}});
        let claims = [serde_json::from_value(claim).expect("a claim")];
        let Standing::Bad(cause) = standing("mongod", false, &[&pod(unschedulable)], &claims, None) else {
            panic!("bad")
        };
        assert_eq!(cause.reason, "VolumeNotBound");
        assert!(cause.message.contains("node-a-mdb (StorageClass fast)"), "{}", cause.message);
    }

    #[test]
    fn a_loop_of_crashes_is_told_the_same_in_each_of_its_turns() {
        let told_in = |restarts: u32, state: Value| {
            let mut status = waiting("CrashLoopBackOff");
            status["containerStatuses"][0]["restartCount"] = restarts.into();
            status["containerStatuses"][0]["state"] = state;
            told(status)
        };
        let waits = told_in(4, json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        assert!(waits.0, "{waits:?}");
        assert_eq!(told_in(5, json!({"running": {}})), waits);
        assert_eq!(told_in(5, json!({"terminated": {"exitCode": 2}})), waits);
        let mut orderly = waiting("");
        orderly["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] = 0.into();
        orderly["containerStatuses"][0]["state"] = json!({"running": {}});
        assert_eq!(told(orderly).1, "Starting");
    }

    #[test]
    fn what_a_workload_says_of_its_pods_counts_where_they_say_nothing() {
        let refused = || Some(Standing::bad("PodsRefused", "exceeded quota"));
        assert_eq!(standing("the server", false, &[], &[], refused()), Standing::bad("PodsRefused", "exceeded quota"));
        let Standing::Bad(cause) = standing("the server", false, &[&pod(waiting("ImagePullBackOff"))], &[], refused())
        else {
            panic!("bad")
        };
        assert_eq!(cause.reason, "ImageNotAvailable");
        assert_eq!(standing("the server", true, &[], &[], refused()), Standing::Good);
    }

    #[test]
    fn only_the_end_of_long_last_words_is_repeated() {
        let text = format!("{}end", "ä ".repeat(1000));
        let words = last_words(&text);
        assert!(words.ends_with("ä end") && words.chars().count() <= LAST_WORDS + 1, "{words}");
    }
}
