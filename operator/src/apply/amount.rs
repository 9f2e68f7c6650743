//! Amounts as Kubernetes writes them: `500m`, `1.5Gi`, `2`. Pure.

/// Suffixes, and by what they multiply; the longer ones first.
const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// Amounts that differ by less than this part of them are the same: what is lost in counting with powers of ten.
const PRECISION: f64 = 1e-9;

/// What a text stands for; `None`: it is no amount.
pub fn value(text: &str) -> Option<f64> {
    let suffix = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = suffix.unwrap_or((text, 1.0));
    number.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * factor)
}

/// Whether two texts stand for the same amount.
pub fn same(a: &str, b: &str) -> bool {
    match (value(a), value(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= a.abs().max(b.abs()) * PRECISION,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_has_many_forms() {
        for (a, b) in
            [("0.5", "500m"), ("1000m", "1"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1.1G", "1100M"), ("2", "2")]
        {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [("1Gi", "1G"), ("1", "1m"), ("20Gi", "21Gi"), ("1", "one"), ("1", "")] {
            assert!(!same(a, b), "{a} {b}");
        }
        assert_eq!(value("two"), None);
        assert_eq!(value("infM"), None);
    }
}
