//! DynamoDB as far as leases need it: one item, changed on a condition.

use super::item::{Change, Expect, Field, Fields};

/// Makes a change when its condition holds, and tells whether it did.
pub(super) fn write(item: &mut Fields, change: &Change) -> bool {
    if !holds(&change.expect, item) {
        return false;
    }
    let grown = |name: &str| match item.get(name) {
        Some(Field::Number(count)) => Field::Number(count + 1),
        _ => Field::Number(1),
    };
    let grown: Fields = change.grow.iter().map(|name| ((*name).to_owned(), grown(name))).collect();
    item.extend(change.set.clone());
    item.extend(grown);
    item.retain(|name, _| !change.remove.contains(&name.as_str()));
    true
}

fn holds(expect: &Expect, item: &Fields) -> bool {
    let is = |name: &str, value: Field| item.get(name) == Some(&value);
    match expect {
        Expect::Free => !item.contains_key("owner"),
        Expect::Seen(mark) => {
            is("owner", mark.owner.as_str().into())
                && is("token", Field::Number(mark.token))
                && is("beat", Field::Number(mark.beat))
        }
        Expect::Held { owner, token } => {
            is("owner", owner.as_str().into()) && token.is_none_or(|token| is("token", Field::Number(token)))
        }
    }
}
