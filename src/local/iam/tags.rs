//! Tags of roles, managed policies and instance profiles: keys are unique without regard to case.

use std::collections::BTreeMap;

use crate::local::constraint::Constraints;
use crate::local::{Call, Fault, Tx, Xml};

use super::wire::{conflict, page};
use super::{Operation, policy, profile, role};

/// Tags of one entity.
pub(super) type Tags = BTreeMap<String, String>;

const MOST: usize = 50;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("TagRole", |tx, call| change::<role::Role>(tx, call, put)),
    ("UntagRole", |tx, call| change::<role::Role>(tx, call, remove)),
    ("ListRoleTags", |tx, call| list::<role::Role>(tx, call)),
    ("TagPolicy", |tx, call| change::<policy::Policy>(tx, call, put)),
    ("UntagPolicy", |tx, call| change::<policy::Policy>(tx, call, remove)),
    ("ListPolicyTags", |tx, call| list::<policy::Policy>(tx, call)),
    ("TagInstanceProfile", |tx, call| change::<profile::Profile>(tx, call, put)),
    ("UntagInstanceProfile", |tx, call| change::<profile::Profile>(tx, call, remove)),
    ("ListInstanceProfileTags", |tx, call| list::<profile::Profile>(tx, call)),
];

/// An entity with tags that a call names.
pub(super) trait Tagged: Sized {
    /// Reads the entity that the call names.
    fn load(tx: &Tx<'_>, call: &Call) -> Result<Self, Fault>;
    /// Writes it back.
    fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault>;
    /// Its tags.
    fn tags(&mut self) -> &mut Tags;
}

fn change<T: Tagged>(
    tx: &mut Tx<'_>,
    call: &Call,
    edit: fn(&mut Tags, &Call) -> Result<(), Fault>,
) -> Result<Xml, Fault> {
    let mut entity = T::load(tx, call)?;
    edit(entity.tags(), call)?;
    entity.save(tx)?;
    Ok(Xml::new())
}

fn list<T: Tagged>(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut entity = T::load(tx, call)?;
    let items = std::mem::take(entity.tags()).into_iter().map(|(key, value)| (key.clone(), (key, value))).collect();
    let (tags, tail) = page(call, items)?;
    let answer = Xml::new().list("Tags", "member", tags.iter().map(|(key, value)| tag(key, value)));
    Ok(answer.and(tail))
}

fn tag(key: &str, value: &str) -> Xml {
    Xml::new().text("Key", key).text("Value", value)
}

/// Builds the element `Tags`, or nothing when there are none.
pub(super) fn element(answer: Xml, tags: &Tags) -> Xml {
    if tags.is_empty() {
        return answer;
    }
    answer.list("Tags", "member", tags.iter().map(|(key, value)| tag(key, value)))
}

/// Reads the tags of a create call.
pub(super) fn given(call: &Call) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    put(&mut tags, call)?;
    Ok(tags)
}

fn put(tags: &mut Tags, call: &Call) -> Result<(), Fault> {
    let mut seen: Vec<String> = Vec::new();
    for member in call.params().list("Tags") {
        let (key, value) = (member.get("Key"), member.get("Value"));
        check(key, value)?;
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        if seen.iter().any(|other| other.eq_ignore_ascii_case(key)) {
            let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Fault::new("InvalidInput", text));
        }
        seen.push(key.to_owned());
        tags.retain(|other, _| !other.eq_ignore_ascii_case(key));
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > MOST {
        return Err(conflict("LimitExceeded", format!("The number of tags has reached the maximum limit of {MOST}.")));
    }
    Ok(())
}

fn check(key: Option<&str>, value: Option<&str>) -> Result<(), Fault> {
    let rule = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+";
    let mut check = Constraints::new();
    check.required("tags.1.member.key", key);
    check.length("tags.1.member.key", key, 1, 128);
    check.shape("tags.1.member.key", key, rule, |text| text.chars().all(is_tag_letter));
    check.required("tags.1.member.value", value);
    check.length("tags.1.member.value", value, 0, 256);
    check.shape("tags.1.member.value", value, rule, |text| text.chars().all(is_tag_letter));
    check.done("ValidationError")?;
    if key.is_some_and(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(Fault::new("InvalidInput", "Tag keys that start with 'aws:' are reserved for system use."));
    }
    Ok(())
}

fn is_tag_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == ' ' || letter == '\u{a0}' || "_.:/=+-@".contains(letter)
}

fn remove(tags: &mut Tags, call: &Call) -> Result<(), Fault> {
    let keys = call.params().texts("TagKeys");
    if keys.is_empty() {
        let mut check = Constraints::new();
        check.required("tagKeys", None);
        return check.done("ValidationError");
    }
    tags.retain(|key, _| !keys.iter().any(|gone| gone.eq_ignore_ascii_case(key)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, TRUST, texts};

    fn role(fields: &[(&str, &str)]) -> Bench {
        let bench = Bench::new();
        let start = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)];
        bench.ok("CreateRole", &[&start, fields].concat());
        bench
    }

    fn keys(bench: &Bench) -> Vec<String> {
        texts(&bench.ok("ListRoleTags", &[("RoleName", "r")]), "Key")
    }

    #[test]
    fn tags_are_put_replaced_and_removed_without_regard_to_case() {
        let bench = role(&[("Tags.member.1.Key", "Env"), ("Tags.member.1.Value", "dev")]);
        assert_eq!(keys(&bench), ["Env"]);
        let change = [("RoleName", "r"), ("Tags.member.1.Key", "env"), ("Tags.member.1.Value", "prod")];
        bench.ok("TagRole", &change);
        assert_eq!(keys(&bench), ["env"]);
        bench.ok("UntagRole", &[("RoleName", "r"), ("TagKeys.member.1", "ENV")]);
        assert!(keys(&bench).is_empty());
    }

    #[test]
    fn wrong_tags_are_refused() {
        let bench = role(&[]);
        let code = |fields: &[(&str, &str)]| bench.code("TagRole", &[&[("RoleName", "r")], fields].concat());
        let twice = [
            ("Tags.member.1.Key", "a"),
            ("Tags.member.1.Value", ""),
            ("Tags.member.2.Key", "A"),
            ("Tags.member.2.Value", ""),
        ];
        assert_eq!(code(&twice), "InvalidInput");
        assert_eq!(code(&[("Tags.member.1.Key", "aws:x"), ("Tags.member.1.Value", "")]), "InvalidInput");
        assert_eq!(code(&[("Tags.member.1.Key", "a*"), ("Tags.member.1.Value", "")]), "ValidationError");
        assert_eq!(code(&[("Tags.member.1.Key", "a")]), "ValidationError");
        assert_eq!(bench.code("UntagRole", &[("RoleName", "r")]), "ValidationError");
    }

    #[test]
    fn the_51st_tag_is_refused() {
        let bench = role(&[]);
        for number in 0..50 {
            let key = format!("k{number}");
            bench.ok("TagRole", &[("RoleName", "r"), ("Tags.member.1.Key", &key), ("Tags.member.1.Value", "v")]);
        }
        let more = [("RoleName", "r"), ("Tags.member.1.Key", "more"), ("Tags.member.1.Value", "v")];
        assert_eq!(bench.code("TagRole", &more), "LimitExceeded");
        assert_eq!(keys(&bench).len(), 50);
    }

    #[test]
    fn policies_and_profiles_have_tags_too() {
        let bench = Bench::new();
        bench.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", super::super::testing::GRANT)]);
        let arn = ("PolicyArn", "arn:aws:iam::000000000000:policy/p");
        let tag = [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")];
        bench.ok("TagPolicy", &[&[arn], &tag[..]].concat());
        assert_eq!(texts(&bench.ok("ListPolicyTags", &[arn]), "Value"), ["b"]);
        bench.ok("CreateInstanceProfile", &[("InstanceProfileName", "ip")]);
        let name = ("InstanceProfileName", "ip");
        bench.ok("TagInstanceProfile", &[&[name], &tag[..]].concat());
        assert_eq!(texts(&bench.ok("ListInstanceProfileTags", &[name]), "Value"), ["b"]);
        assert_eq!(bench.code("ListInstanceProfileTags", &[("InstanceProfileName", "no")]), "NoSuchEntity");
    }
}
