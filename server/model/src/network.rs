//! Addresses and networks of addresses.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An address, or all addresses that share a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is in it. IPv4 addresses that came over an IPv6 socket count as IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        let shifted = |bits: u128, width: u8| bits.checked_shr(u32::from(width - self.prefix)).unwrap_or(0);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                shifted(network.to_bits().into(), 32) == shifted(address.to_bits().into(), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                shifted(network.to_bits(), 128) == shifted(address.to_bits(), 128)
            }
            _ => false,
        }
    }
}

/// The text was neither an address nor a network.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as `10.0.0.0/8`")]
pub struct ParseNetworkError(String);

impl TryFrom<String> for Network {
    type Error = ParseNetworkError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parse = |text: &str| {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address.parse::<IpAddr>().ok()?, Some(prefix.parse::<u8>().ok()?)),
                None => (text.parse::<IpAddr>().ok()?, None),
            };
            let width = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.unwrap_or(width);
            (prefix <= width).then_some(Self { address, prefix })
        };
        parse(&text).ok_or(ParseNetworkError(text))
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_addresses() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("::/0", "::1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "10.0.0.1", false),
        ] {
            let parsed = Network::try_from(network.to_owned()).unwrap();
            assert_eq!(
                parsed.contains(address.parse().unwrap()),
                expected,
                "{network} {address}"
            );
        }
        for text in ["", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8"] {
            assert!(Network::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
