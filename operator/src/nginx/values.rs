//! Values of a user that may stand in NGINX's configuration: parsed, so that none of them can end a directive.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

/// The longest DNS name, and the longest part of one.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A value that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}`: `{value}` is {problem}")]
pub struct Invalid {
    /// The setting.
    pub field: String,
    pub value: String,
    /// Completes "the value is …".
    pub problem: String,
}

impl Invalid {
    pub(super) fn new(field: &str, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        // Control characters would spoil whatever shows it.
        let value = value.to_string().escape_debug().to_string();
        Self { field: field.to_owned(), value, problem: problem.into() }
    }
}

/// The name of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// `field` is named in the error.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        match is_dns_name(text) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(Invalid::new(field, text, "no DNS name (letters, digits, `-` and `.`)")),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name under which clients ask for the gateway; `*.` at its start stands for any one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(String);

impl ServerName {
    /// `field` is named in the error.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        // NGINX has words of its own at this place, and none with a dot.
        match is_dns_name(name) && (name.contains('.') || name == "localhost") {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => {
                Err(Invalid::new(field, text, "no DNS name with a dot, such as `node.example.org` or `*.example.org`"))
            }
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        let characters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=MAX_LABEL).contains(&label.len()) && characters && !edges
    };
    text.len() <= MAX_NAME && text.split('.').all(is_label)
}

/// Addresses: one, a network, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    All,
    /// With so many leading bits in common.
    Prefix(IpAddr, u8),
}

impl Network {
    /// `all`, an address, or an address with a prefix length; `field` is named in the error.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let problem = "neither `all` nor an address or network such as `192.0.2.0/24`";
        let invalid = || Invalid::new(field, text, problem);
        if text == "all" {
            return Ok(Self::All);
        }
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) if length.bytes().all(|digit| digit.is_ascii_digit()) => {
                length.parse().map_err(|_| invalid())?
            }
            Some(_) => return Err(invalid()),
            None => longest,
        };
        if length > longest {
            return Err(invalid());
        }
        if host_bits(address, length) {
            return Err(Invalid::new(field, text, format!("no network: it has bits behind the first {length}")));
        }
        Ok(Self::Prefix(address, length))
    }
}

fn host_bits(address: IpAddr, length: u8) -> bool {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => address.to_bits().checked_shl(length).is_some_and(|bits| bits != 0),
        IpAddr::V6(address) => address.to_bits().checked_shl(length).is_some_and(|bits| bits != 0),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Prefix(address, length) => write!(f, "{address}/{length}"),
        }
    }
}

/// A size in bytes; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A number of bytes, or of KiB (`k`), MiB (`m`) or GiB (`g`), as NGINX writes them; `field` is named in the error.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new(field, text, "no size such as `15k`, `2m` or a number of bytes, up to 1g");
        let unit: u64 = match text.bytes().last().map(|byte| byte.to_ascii_lowercase()) {
            Some(b'k') => 1 << 10,
            Some(b'm') => 1 << 20,
            Some(b'g') => 1 << 30,
            _ => 1,
        };
        let digits = if unit == 1 { text } else { &text[..text.len() - 1] };
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(invalid());
        }
        let bytes = digits.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        // To NGINX, nothing is no limit.
        bytes.filter(|bytes| (1..=1 << 30).contains(bytes)).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(String);

impl FilePath {
    /// `field` is named in the error.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let characters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        match text.starts_with('/') && characters {
            true => Ok(Self(text.to_owned())),
            false => Err(Invalid::new(field, text, "no absolute path of letters, digits, `/`, `.`, `_` and `-`")),
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each ends or extends a directive, or means something else to NGINX.
    const HOSTILE: [&str; 12] = ["", "a;b", "a b", "a{", "a}", "$host", "a\nb", "'a'", "\"a\"", "a#b", "\\a", "~^.*$"];

    #[test]
    fn nothing_can_end_a_directive() {
        type Parser = fn(&str) -> Result<(), Invalid>;
        let parsers: [Parser; 5] = [
            |text| HostName::parse("field", text).map(|_| ()),
            |text| ServerName::parse("field", text).map(|_| ()),
            |text| Network::parse("field", text).map(|_| ()),
            |text| ByteSize::parse("field", text).map(|_| ()),
            |text| FilePath::parse("field", text).map(|_| ()),
        ];
        for text in HOSTILE {
            let value = text.escape_debug().to_string();
            for parse in parsers {
                let error = parse(text).err().map(|error| error.to_string()).unwrap_or_default();
                assert!(error.starts_with(&format!("`field`: `{value}` is n")), "{text:?}: {error}");
            }
        }
        for name in ["default", "hostnames", "volatile", "include", "*", "*.", "a..b", "-a.b", "*.*.a"] {
            assert!(ServerName::parse("serverName", name).is_err(), "{name}");
        }
    }

    fn printed(value: Result<impl fmt::Display, Invalid>) -> String {
        value.map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    #[test]
    fn values_are_printed_as_nginx_reads_them() {
        assert_eq!(printed(HostName::parse("host", "Node-a.Default.svc")), "node-a.default.svc");
        assert_eq!(printed(ServerName::parse("name", "*.Example.org")), "*.example.org");
        for (text, expected) in [("15k", "15360"), ("1", "1"), ("2M", "2097152"), ("1g", "1073741824")] {
            assert_eq!(printed(ByteSize::parse("size", text)), expected);
        }
        for text in ["0", "0k", "k", "-1", "+1", "1.5k", "2g", "18446744073709551615k"] {
            assert!(ByteSize::parse("size", text).is_err(), "{text}");
        }
        for (text, expected) in [
            ("all", "all"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("192.0.2.1/24", "`allow`: `192.0.2.1/24` is no network: it has bits behind the first 24"),
        ] {
            assert_eq!(printed(Network::parse("allow", text)), expected);
        }
        for text in ["192.0.2.0/33", "::/129", "192.0.2.0/+8", "192.0.2.0/", "host", "256.0.0.1"] {
            assert!(Network::parse("allow", text).is_err(), "{text}");
        }
    }
}
