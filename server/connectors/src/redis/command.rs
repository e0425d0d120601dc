//! What has to be known of a command before it is sent.

use std::time::Duration;

/// How a command is to be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// Over the connection that all share.
    Shared,
    /// Over a connection of its own: it waits in Redis, for so long or without limit.
    Blocking(Option<Duration>),
    /// Only within a session or a subscription: it changes what later commands on its connection mean.
    Session,
}

/// How to send a command.
pub(super) fn way(command: &[Vec<u8>]) -> Way {
    let Some(name) = command.first() else {
        return Way::Shared;
    };
    let seconds = |argument: Option<&Vec<u8>>| {
        let seconds = argument
            .and_then(|text| std::str::from_utf8(text).ok()?.parse::<f64>().ok())
            .unwrap_or(0.0);
        // Redis refuses what is no time itself
        Way::Blocking(Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero()))
    };
    let millis = |argument: Option<&Vec<u8>>| {
        let millis = argument
            .and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok())
            .unwrap_or(0);
        Way::Blocking(Some(Duration::from_millis(millis)).filter(|wait| !wait.is_zero()))
    };
    match upper(name).as_slice() {
        b"BLPOP" | b"BRPOP" | b"BRPOPLPUSH" | b"BLMOVE" | b"BZPOPMIN" | b"BZPOPMAX" => seconds(command.last()),
        b"BLMPOP" | b"BZMPOP" => seconds(command.get(1)),
        b"WAIT" => millis(command.get(2)),
        b"WAITAOF" => millis(command.get(3)),
        b"XREAD" | b"XREADGROUP" => {
            // options come before STREAMS, so a key named `block` is not taken for one
            let options = command
                .iter()
                .position(|word| upper(word) == b"STREAMS")
                .unwrap_or(command.len());
            match command[..options].iter().position(|word| upper(word) == b"BLOCK") {
                Some(at) => millis(command.get(at + 1)),
                None => Way::Shared,
            }
        }
        b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE"
        | b"MONITOR" | b"SELECT" | b"WATCH" | b"UNWATCH" | b"MULTI" | b"EXEC" | b"DISCARD" | b"AUTH" | b"HELLO"
        | b"RESET" | b"QUIT" | b"ASKING" | b"READONLY" | b"READWRITE" | b"SYNC" | b"PSYNC" => Way::Session,
        b"CLIENT" => match command.get(1).map(|word| upper(word)).as_deref() {
            Some(b"REPLY" | b"TRACKING" | b"CACHING" | b"SETNAME" | b"NO-EVICT" | b"NO-TOUCH") => Way::Session,
            _ => Way::Shared,
        },
        _ => Way::Shared,
    }
}

/// Whether a command changes nothing, so that sending it twice is the same as sending it once.
pub(super) fn only_reads(command: &[Vec<u8>]) -> bool {
    command.first().is_some_and(|name| {
        matches!(
            upper(name).as_slice(),
            b"GET"
                | b"MGET"
                | b"STRLEN"
                | b"GETRANGE"
                | b"GETBIT"
                | b"BITCOUNT"
                | b"BITPOS"
                | b"EXISTS"
                | b"TYPE"
                | b"TTL"
                | b"PTTL"
                | b"EXPIRETIME"
                | b"PEXPIRETIME"
                | b"KEYS"
                | b"SCAN"
                | b"DBSIZE"
                | b"RANDOMKEY"
                | b"DUMP"
                | b"HGET"
                | b"HMGET"
                | b"HGETALL"
                | b"HKEYS"
                | b"HVALS"
                | b"HLEN"
                | b"HEXISTS"
                | b"HSTRLEN"
                | b"HSCAN"
                | b"HRANDFIELD"
                | b"LRANGE"
                | b"LLEN"
                | b"LINDEX"
                | b"LPOS"
                | b"SMEMBERS"
                | b"SISMEMBER"
                | b"SMISMEMBER"
                | b"SCARD"
                | b"SRANDMEMBER"
                | b"SDIFF"
                | b"SINTER"
                | b"SUNION"
                | b"SSCAN"
                | b"ZRANGE"
                | b"ZREVRANGE"
                | b"ZRANGEBYSCORE"
                | b"ZREVRANGEBYSCORE"
                | b"ZRANGEBYLEX"
                | b"ZREVRANGEBYLEX"
                | b"ZSCORE"
                | b"ZMSCORE"
                | b"ZRANK"
                | b"ZREVRANK"
                | b"ZCARD"
                | b"ZCOUNT"
                | b"ZLEXCOUNT"
                | b"ZSCAN"
                | b"XLEN"
                | b"XRANGE"
                | b"XREVRANGE"
                | b"XINFO"
                | b"XPENDING"
                | b"PFCOUNT"
                | b"GEOPOS"
                | b"GEODIST"
                | b"GEOHASH"
                | b"GEOSEARCH"
                | b"PING"
                | b"ECHO"
                | b"TIME"
                | b"INFO"
                | b"OBJECT"
        )
    })
}

/// A name in upper case; Redis does not tell cases apart.
pub(super) fn upper(word: &[u8]) -> Vec<u8> {
    word.to_ascii_uppercase()
}

/// What commands look like on the wire.
pub(super) fn pack(command: &[Vec<u8>], wire: &mut Vec<u8>) {
    wire.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
    for word in command {
        wire.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        wire.extend_from_slice(word);
        wire.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Way {
        way(&text.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn commands_that_wait_are_known_with_their_time() {
        let seconds = |n| Way::Blocking(Some(Duration::from_secs_f64(n)));
        assert_eq!(of("blpop a b 2.5"), seconds(2.5));
        assert_eq!(of("BLPOP a 0"), Way::Blocking(None));
        assert_eq!(of("BLMPOP 1 1 a LEFT"), seconds(1.0));
        assert_eq!(of("XREAD COUNT 1 block 1500 STREAMS s 0"), seconds(1.5));
        assert_eq!(of("XREAD COUNT 1 STREAMS block 0"), Way::Shared);
        assert_eq!(of("LPOP a"), Way::Shared);
        assert_eq!(of("BLPOP a nan"), Way::Blocking(None));
    }

    #[test]
    fn commands_that_change_their_connection_are_kept_off_the_shared_one() {
        for text in ["select 1", "MULTI", "WATCH a", "SUBSCRIBE a", "CLIENT REPLY OFF"] {
            assert_eq!(of(text), Way::Session, "{text}");
        }
        assert_eq!(of("CLIENT LIST"), Way::Shared);
        assert_eq!(way(&[]), Way::Shared);
    }
}
