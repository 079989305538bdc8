//! Access keys of sessions: the account is written into them, as in AWS's own, so that one is found by its key alone.

/// What the access keys of temporary credentials begin with.
const PREFIX: &str = "ASIA";
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Sixteen letters of five bits follow the prefix.
const LENGTH: usize = 16;
/// The account number stands above this many bits of chance; the bit above it is always set.
const CHANCE: u32 = 39;

/// Makes an access key of an account out of chance.
pub(super) fn make(account: &str, chance: u128) -> String {
    let number: u128 = account.parse().unwrap_or_default();
    let bits = (1 << 79) | (number << CHANCE) | (chance & ((1 << CHANCE) - 1));
    let letter = |place: usize| char::from(LETTERS[usize::try_from(bits >> (5 * place) & 31).unwrap_or_default()]);
    PREFIX.chars().chain((0..LENGTH).rev().map(letter)).collect()
}

/// Tells whether an access key claims to be one of temporary credentials.
pub(crate) fn is_temporary(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// Reads the account out of the access key of a session.
pub(crate) fn account(key: &str) -> Option<String> {
    let letters = key.strip_prefix(PREFIX).filter(|letters| letters.len() == LENGTH)?;
    let mut bits: u128 = 0;
    for letter in letters.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = bits << 5 | u128::try_from(value).ok()?;
    }
    let number = bits >> CHANCE & ((1 << 40) - 1);
    (number < 1_000_000_000_000).then(|| format!("{number:012}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_keys_have_no_account() {
        for key in
            ["", "ASIA", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPL1", "ASIAaaaaaaaaaaaaaaaa", "ASIA7777777777777777"]
        {
            assert_eq!(account(key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn a_key_tells_its_account(number in 0_u64..1_000_000_000_000, chance: u128) {
            let wanted = format!("{number:012}");
            let key = make(&wanted, chance);
            prop_assert_eq!(key.len(), 20);
            prop_assert!(is_temporary(&key));
            prop_assert_eq!(account(&key), Some(wanted));
        }
    }
}
