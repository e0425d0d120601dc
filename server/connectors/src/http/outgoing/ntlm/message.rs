//! The three messages of a log-in, and the hashes in the last of them.

use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use md4::{Digest, Md4};
use md5::Md5;
use time::OffsetDateTime;

use super::Account;

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

const UNICODE: u32 = 0x0000_0001;
const REQUEST_TARGET: u32 = 0x0000_0004;
const NTLM: u32 = 0x0000_0200;
const ALWAYS_SIGN: u32 = 0x0000_8000;
const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
const TARGET_INFO: u32 = 0x0080_0000;
const OURS: u32 = UNICODE | REQUEST_TARGET | NTLM | ALWAYS_SIGN | EXTENDED_SESSION_SECURITY | TARGET_INFO;

/// Attributes of a target (MS-NLMP 2.2.2.1).
const END: u16 = 0;
const FLAGS: u16 = 6;
const TIMESTAMP: u16 = 7;
/// In the attribute of flags: there is a code over all three messages.
const HAS_CODE: u32 = 2;

/// Where the payload of the last message begins: after the fields, the version and the code.
const PAYLOAD: usize = 88;
const CODE: Range<usize> = 72..PAYLOAD;

/// Between 1601, from where Windows counts, and 1970, in its units of 100 ns.
const SINCE_1601: i128 = 116_444_736_000_000_000;

/// The first message.
pub(super) fn negotiate() -> Vec<u8> {
    let mut message = SIGNATURE.to_vec();
    message.extend(1_u32.to_le_bytes());
    message.extend(OURS.to_le_bytes());
    // neither a domain nor a workstation
    message.extend([0; 16]);
    message
}

/// The second message: what the back-end asks.
pub(super) struct Challenge<'m> {
    flags: u32,
    nonce: [u8; 8],
    /// What it says of itself: attributes, each a number, a length and a value.
    target: &'m [u8],
    /// Its clock, if it shows it.
    timestamp: Option<[u8; 8]>,
}

impl<'m> Challenge<'m> {
    /// Reads one. The error says what is wrong with it.
    pub(super) fn read(message: &'m [u8]) -> Result<Self, &'static str> {
        let (Some(head), Some(nonce)) = (message.get(..24), message.get(24..32)) else {
            return Err("is too short");
        };
        if !head.starts_with(SIGNATURE) || number(head, 8) != Some(2) {
            return Err("is none");
        }
        let flags = number(head, 20).unwrap_or_default();
        if flags & UNICODE == 0 {
            return Err("is not for Unicode");
        }
        let target = match flags & TARGET_INFO {
            0 => &[],
            _ => field(message, 40).ok_or("leads beyond its end")?,
        };
        let mut timestamp = None;
        for (kind, value) in attributes(target) {
            if kind == TIMESTAMP {
                timestamp = value.try_into().ok();
            }
        }
        Ok(Self {
            flags,
            nonce: nonce.try_into().map_err(|_| "is too short")?,
            target,
            timestamp,
        })
    }

    /// The third message. `own` are random bytes, `challenge` is this message as it came.
    pub(super) fn answer(&self, account: &Account, own: [u8; 8], now: OffsetDateTime, challenge: &[u8]) -> Vec<u8> {
        let key = account.key();
        let time = self.timestamp.unwrap_or_else(|| file_time(now));
        let (proof, nt) = self.response(&key, own, time);
        let lm = match self.timestamp {
            // whoever shows a clock does not look at this
            Some(_) => vec![0; 24],
            None => {
                let mut lm = hmac(&key, &[&self.nonce, &own]).to_vec();
                lm.extend(own);
                lm
            }
        };
        let mut message = SIGNATURE.to_vec();
        message.extend(3_u32.to_le_bytes());
        let mut payload = Vec::new();
        for part in [
            &lm,
            &nt,
            &utf16(&account.domain),
            &utf16(&account.username),
            &Vec::new(),
            &Vec::new(),
        ] {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes();
            message.extend(length);
            message.extend(length);
            message.extend(u32::try_from(PAYLOAD + payload.len()).unwrap_or(u32::MAX).to_le_bytes());
            payload.extend_from_slice(&part[..part.len().min(u16::MAX.into())]);
        }
        message.extend((self.flags & OURS).to_le_bytes());
        message.resize(PAYLOAD, 0);
        message.extend(payload);
        if self.timestamp.is_some() {
            let session = hmac(&key, &[&proof]);
            let code = hmac(&session, &[&negotiate(), challenge, &message]);
            message[CODE].copy_from_slice(&code);
        }
        message
    }

    /// The proof that the password is known, and the whole response that holds it.
    fn response(&self, key: &[u8; 16], own: [u8; 8], time: [u8; 8]) -> ([u8; 16], Vec<u8>) {
        let mut rest = vec![1, 1, 0, 0, 0, 0, 0, 0];
        rest.extend(time);
        rest.extend(own);
        rest.extend([0; 4]);
        rest.extend(self.target_with_flags());
        rest.extend([0; 4]);
        let proof = hmac(key, &[&self.nonce, &rest]);
        let mut response = proof.to_vec();
        response.extend(rest);
        (proof, response)
    }

    /// The target's attributes, and that there is a code over the messages if it expects one.
    fn target_with_flags(&self) -> Vec<u8> {
        if self.timestamp.is_none() {
            return self.target.to_vec();
        }
        let mut target = Vec::new();
        let mut flags = HAS_CODE;
        let mut add = |kind: u16, value: &[u8]| {
            target.extend(kind.to_le_bytes());
            target.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
            target.extend(value);
        };
        for (kind, value) in attributes(self.target) {
            match kind {
                FLAGS => flags |= number(value, 0).unwrap_or_default(),
                _ => add(kind, value),
            }
        }
        add(FLAGS, &flags.to_le_bytes());
        add(END, &[]);
        target
    }
}

impl Account {
    /// What the password becomes (`NTOWFv2`).
    fn key(&self) -> [u8; 16] {
        let hash = Md4::digest(utf16(&self.password));
        let name = utf16(&format!("{}{}", self.username.to_uppercase(), self.domain));
        hmac(&hash, &[&name])
    }
}

/// The attributes of a target, up to the last or the first that is cut off.
fn attributes(mut target: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, rest) = target.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        target = rest;
        Some((u16::from_le_bytes(*kind), value)).filter(|(kind, _)| *kind != END)
    })
}

/// What the field at `at`, a length and a place, stands for.
fn field(message: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_le_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let start = usize::try_from(number(message, at + 4)?).ok()?;
    message.get(start..start.checked_add(length)?)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("a key of any length will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn file_time(now: OffsetDateTime) -> [u8; 8] {
    let ticks = now.unix_timestamp_nanos() / 100 + SINCE_1601;
    u64::try_from(ticks).unwrap_or_default().to_le_bytes()
}

/// Whether the last message shows that the password is known, for a challenge without attributes.
#[cfg(test)]
pub(in crate::http::outgoing) fn is_right(message: &[u8], account: &Account, nonce: [u8; 8]) -> bool {
    let response = field(message, 20).unwrap();
    let names = [field(message, 28).unwrap(), field(message, 36).unwrap()];
    names == [utf16(&account.domain), utf16(&account.username)]
        && response[..16] == hmac(&account.key(), &[&nonce, &response[16..]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The account and the challenge of the examples in MS-NLMP 4.2.
    fn account() -> Account {
        Account::new("Domain\\User", "Password")
    }

    fn challenge(more: &[u8]) -> Vec<u8> {
        let mut target = Vec::new();
        for (kind, name) in [(2_u16, "Domain"), (1, "Server")] {
            target.extend(kind.to_le_bytes());
            target.extend(12_u16.to_le_bytes());
            target.extend(utf16(name));
        }
        target.extend_from_slice(more);
        target.extend([0; 4]);
        let mut message = SIGNATURE.to_vec();
        message.extend(2_u32.to_le_bytes());
        message.extend([0; 8]);
        message.extend((OURS | 0x2000_0000).to_le_bytes());
        message.extend([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        message.extend([0; 8]);
        let length = u16::try_from(target.len()).unwrap().to_le_bytes();
        message.extend(length);
        message.extend(length);
        message.extend(48_u32.to_le_bytes());
        message.extend(target);
        message
    }

    #[test]
    fn hashes_are_those_of_the_specification() {
        let key = account().key();
        assert_eq!(hex(&key), "0c868a403bfd7a93a3001ef22ef02e3f");
        let message = challenge(&[]);
        let challenge = Challenge::read(&message).unwrap();
        let (proof, _) = challenge.response(&key, [0xaa; 8], [0; 8]);
        assert_eq!(hex(&proof), "68cd0ab851e51c96aabc927bebef6a1c");
        assert_eq!(hex(&hmac(&key, &[&proof])), "8de40ccadbc14a82f15cb0ad0de95ca3");
        assert_eq!(
            hex(&hmac(&key, &[&challenge.nonce, &[0xaa; 8]])),
            "86c35097ac9cec102554764a57cccc19"
        );
    }

    #[test]
    fn the_last_message_holds_everything_once() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let received = challenge(&[]);
        let message = Challenge::read(&received)
            .unwrap()
            .answer(&account(), [0xaa; 8], now, &received);
        let fields: Vec<&[u8]> = (12..60).step_by(8).map(|at| field(&message, at).unwrap()).collect();
        assert_eq!(fields[2..], [utf16("Domain").as_slice(), &utf16("User"), &[], &[]]);
        assert_eq!((fields[0].len(), fields[0].ends_with(&[0xaa; 8])), (24, true));
        assert_eq!(fields.iter().map(|it| it.len()).sum::<usize>(), message.len() - PAYLOAD);
        assert_eq!(fields[1][24..32], file_time(now));
        assert_eq!(message[CODE], [0; 16]);
    }

    #[test]
    fn whoever_shows_a_clock_gets_a_code() {
        let received = challenge(&[7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 0, 4, 0, 1, 0, 0, 0]);
        let answer = |received: &[u8]| {
            Challenge::read(received)
                .unwrap()
                .answer(&account(), [0xaa; 8], OffsetDateTime::UNIX_EPOCH, received)
        };
        let message = answer(&received);
        let response = field(&message, 20).unwrap();
        assert_eq!(response[24..32], [1, 2, 3, 4, 5, 6, 7, 8]);
        let flags: Vec<_> = attributes(&response[44..]).filter(|(kind, _)| *kind == FLAGS).collect();
        assert_eq!(flags, [(FLAGS, [3, 0, 0, 0].as_slice())]);
        assert_eq!(field(&message, 12), Some([0; 24].as_slice()));
        assert_ne!(message[CODE], [0; 16]);
        // over all three
        let mut other = received.clone();
        other[12] = 1;
        assert_ne!(message[CODE], answer(&other)[CODE]);
    }

    proptest::proptest! {
        #[test]
        fn any_challenge_is_answered_or_refused(at in 0..80_usize, bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..8)) {
            let mut message = challenge(&[7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
            let at = at.min(message.len());
            let end = (at + bytes.len()).min(message.len());
            message.splice(at..end, bytes);
            if let Ok(challenge) = Challenge::read(&message) {
                challenge.answer(&account(), [0; 8], OffsetDateTime::UNIX_EPOCH, &message);
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_lies_is_refused() {
        let whole = challenge(&[]);
        for length in 0..whole.len() {
            assert!(Challenge::read(&whole[..length]).is_err(), "{length}");
        }
        let with = |at: usize, byte: u8| {
            let mut message = whole.clone();
            message[at] = byte;
            Challenge::read(&message).is_err()
        };
        assert!(with(0, b'X') && with(8, 3) && with(20, 0) && with(40, 255) && with(47, 255));
        // an attribute that says it is longer than it is
        let mut message = whole.clone();
        message[50] = 255;
        let challenge = Challenge::read(&message).unwrap();
        assert_eq!(attributes(challenge.target).count(), 0);
    }
}
