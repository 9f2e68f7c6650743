//! What of a volume claim may be asked for when it is there already. Pure.
//!
//! Kubernetes refuses a smaller size, another class, and any size for a claim that is not bound; an object that it refuses
//! would keep everything after it from being applied.

use serde_json::Value;

use super::amount;

const CLASS: &str = "storageClassName";
const SIZE: &str = "/spec/resources/requests/storage";

/// The wanted claim with the class of the one that is there, and never smaller.
pub fn fitted(mut wanted: Value, live: &Value) -> Value {
    if let Some(spec) = wanted["spec"].as_object_mut() {
        match live["spec"].get(CLASS) {
            Some(class) => drop(spec.insert(CLASS.to_owned(), class.clone())),
            None => drop(spec.remove(CLASS)),
        }
    }
    let bound = live["status"]["phase"] == "Bound";
    let of = |claim: &Value| claim.pointer(SIZE).and_then(Value::as_str).and_then(amount::value);
    let grows = bound && of(&wanted) > of(live);
    if let (false, Some(there), Some(size)) = (grows, live.pointer(SIZE), wanted.pointer_mut(SIZE)) {
        *size = there.clone();
    }
    wanted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(size: &str, class: Option<&str>, phase: &str) -> Value {
        let mut claim = json!({"spec": {"resources": {"requests": {"storage": size}}}, "status": {"phase": phase}});
        if let Some(class) = class {
            claim["spec"]["storageClassName"] = class.into();
        }
        claim
    }

    #[test]
    fn a_claim_only_grows_and_only_when_bound() {
        let size = |wanted: &str, live: &str, phase: &str| {
            let fitted = fitted(claim(wanted, None, ""), &claim(live, None, phase));
            fitted.pointer(SIZE).and_then(Value::as_str).map(str::to_owned)
        };
        assert_eq!(size("30Gi", "20Gi", "Bound").as_deref(), Some("30Gi"));
        assert_eq!(size("30Gi", "20Gi", "Pending").as_deref(), Some("20Gi"));
        assert_eq!(size("20Gi", "200Gi", "Bound").as_deref(), Some("200Gi"));
    }

    #[test]
    fn a_claim_keeps_its_class() {
        let class = |wanted, live| {
            let fitted = fitted(claim("1Gi", wanted, ""), &claim("1Gi", live, "Bound"));
            fitted["spec"].get(CLASS).and_then(Value::as_str).map(str::to_owned)
        };
        assert_eq!(class(Some("fast"), Some("slow")).as_deref(), Some("slow"));
        assert_eq!(class(None, Some("slow")).as_deref(), Some("slow"));
        assert_eq!(class(Some("fast"), None), None);
    }
}
