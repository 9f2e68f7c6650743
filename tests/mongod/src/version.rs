//! Which version of MongoDB is played.

use std::fmt;

/// A release, `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

/// Names the release; [`Version::DEFAULT`] without it.
pub const VARIABLE: &str = "MONGOD_VERSION";

impl Version {
    pub const DEFAULT: Self = Self { major: 7, minor: 0, patch: 14 };

    /// Reads `7.0.14` or `7.0`; one of the releases 5.0 to 8.0.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{VARIABLE} is `{text}`: name one of 5.0, 6.0, 7.0 and 8.0, with or without a patch number");
        let numbers: Vec<u32> = text.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let version = match numbers[..] {
            [major, minor] => Self { major, minor, patch: 0 },
            [major, minor, patch] => Self { major, minor, patch },
            _ => return Err(wrong()),
        };
        if (5..=8).contains(&version.major) && version.minor == 0 { Ok(version) } else { Err(wrong()) }
    }

    /// Newest wire version it speaks (specification "Wire Version").
    pub fn wire(self) -> i32 {
        match self.major {
            5 => 13,
            6 => 17,
            7 => 21,
            _ => 25,
        }
    }

    /// `7.0`
    pub fn series(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// The feature compatibility versions it runs with (manual, `setFeatureCompatibilityVersion`): its own and the one
    /// before.
    pub fn compatible(self) -> [String; 2] {
        let before = if self.major == 5 { "4.4".to_owned() } else { format!("{}.0", self.major - 1) };
        [self.series(), before]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    #[test]
    fn supported_releases_are_read_and_others_refused() {
        assert_eq!(Version::parse("6.0.9").unwrap().to_string(), "6.0.9");
        assert_eq!(Version::parse("5.0").unwrap().compatible(), ["5.0", "4.4"]);
        for wrong in ["", "4.4", "9.0", "7", "7.1.0", "7.0.x", "7.0.1.2"] {
            assert!(Version::parse(wrong).unwrap_err().contains(VARIABLE), "{wrong}");
        }
    }
}
