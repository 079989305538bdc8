//! Tags of a machine that are not the user's: the `Name` by which people know it, and what is being done to it.
//!
//! An instance without a `Name` of the user's gets the resource's name, and a second tag that says so: such a name is
//! not shown as a tag, since nobody asked for it.

use aws_sdk_ec2::types::Instance;

use crate::kind::Tags;

const NAME: &str = "Name";
/// Says that `Name` is ours.
const OURS: &str = "stackctl:name";
/// Says that the instance was stopped to get another type, and is to run again.
pub(super) const RESIZED: &str = "stackctl:resized";

/// Tells whether a change of the type was begun and not ended.
pub(super) fn is_resized(instance: &Instance) -> bool {
    instance.tags.iter().flatten().any(|tag| tag.key.as_deref() == Some(RESIZED))
}

/// Adds the name to the tags of a new instance.
pub(super) fn show(tags: &Tags, name: &str) -> Tags {
    let mut tags = tags.clone();
    if !tags.contains_key(NAME) {
        tags.insert(NAME.to_owned(), name.to_owned());
        tags.insert(OURS.to_owned(), "true".to_owned());
    }
    tags
}

/// Hides a name that is ours, unless the resource has another name by now, and what is being done.
pub(super) fn hide(mut tags: Tags, name: &str) -> Tags {
    tags.remove(RESIZED);
    let ours = tags.remove(OURS).is_some();
    if ours && tags.get(NAME).is_some_and(|present| present == name) {
        tags.remove(NAME);
    }
    tags
}

/// Returns what to set and remove when the user's tags change: a name of the user's replaces ours and the reverse.
pub(super) fn changes(set: &Tags, remove: &[String], name: &str) -> (Tags, Vec<String>) {
    let (mut set, mut remove) = (set.clone(), remove.to_vec());
    if remove.iter().any(|key| key == NAME) {
        remove.retain(|key| key != NAME);
        set = show(&set, name);
    } else if set.contains_key(NAME) {
        remove.push(OURS.to_owned());
    }
    (set, remove)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(all: &[(&str, &str)]) -> Tags {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn our_name_is_shown_in_aws_and_hidden_from_the_plan() {
        let shown = show(&tags(&[("env", "dev")]), "producer");
        assert_eq!(shown[NAME], "producer");
        assert_eq!(hide(shown.clone(), "producer"), tags(&[("env", "dev")]));
        assert_eq!(hide(shown, "renamed"), tags(&[("env", "dev"), ("Name", "producer")]));
    }

    #[test]
    fn a_name_of_the_users_stays() {
        let own = tags(&[("Name", "mine")]);
        assert_eq!(show(&own, "producer"), own);
        assert_eq!(hide(own.clone(), "mine"), own);
    }

    #[test]
    fn names_are_exchanged() {
        let (set, remove) = changes(&tags(&[("Name", "mine")]), &[], "producer");
        assert_eq!((set, remove), (tags(&[("Name", "mine")]), vec![OURS.to_owned()]));
        let (set, remove) = changes(&Tags::new(), &["Name".to_owned()], "producer");
        assert_eq!((set, remove), (tags(&[("Name", "producer"), (OURS, "true")]), vec![]));
    }
}
