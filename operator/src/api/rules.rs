//! Rules of the schema that several fields share, and how a rule names the value that it refuses.

use kube::core::{Message, Rule};

/// What a DNS name matches.
const DNS_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A rule with a message in CEL, so that it can name the value. The API server tells only its type.
pub(super) fn naming(rule: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule::new(rule).message(Message::Expression(message.into()))
}

/// The name of a resource, which names of Services and Secrets begin with.
pub(super) fn resource_name() -> Rule {
    Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message(
            "names of Services and Secrets begin with this one: begin it with a letter, use only a-z, 0-9 and -, and at most \
             40 characters",
        )
        .field_path(".metadata.name")
}

/// A DNS name.
pub(super) fn dns_name() -> Rule {
    naming(
        format!("self.matches('{DNS_NAME}')"),
        "'`' + self + '` is no DNS name: use only a-z, 0-9, - and dots, as in ledger.example.org'",
    )
}

/// A DNS name or an IP address.
pub(super) fn host() -> Rule {
    naming(
        format!("isIP(self) || self.matches('{DNS_NAME}')"),
        "'`' + self + '` is no DNS name and no IP address: write the host alone, as in ledger.example.org'",
    )
}

/// An amount of bytes that may have lost its unit.
pub(super) fn bytes_with_unit() -> Rule {
    naming(
        "!isQuantity(self) || quantity(self).compareTo(quantity('1Mi')) >= 0",
        "'`' + self + '` bytes are less than 1Mi: write the unit, as in 20Gi'",
    )
}

/// The same in a map of amounts.
pub(super) fn memory_with_unit() -> Rule {
    naming(
        "!('memory' in self) || !isQuantity(self['memory']) || quantity(self['memory']).compareTo(quantity('1Mi')) >= 0",
        "'`' + self['memory'] + '` bytes of memory are less than 1Mi: write the unit, as in 512Mi'",
    )
}
