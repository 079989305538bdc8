//! What a role is like: its fields, their short forms and their rules.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::Fault;
use crate::kinds::fields::{self, is_wrong};
use crate::kinds::policy::{PolicyDocument, Use};

/// What a role is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Short form of the trust policy: the AWS services that may take on the role, such as `lambda.amazonaws.com`.
    #[serde(deserialize_with = "fields::texts")]
    #[schemars(with = "fields::OneOrMany", extend("x-source" = true))]
    pub service: BTreeSet<String>,
    /// Trust policy: who may take on the role. Either this or `service`.
    #[schemars(extend("x-loses" = "iam_role"))]
    pub assume_role_policy: Option<PolicyDocument>,
    /// Description, up to 1000 characters.
    #[serde(deserialize_with = "fields::text")]
    #[schemars(with = "Option<String>", length(max = 1000))]
    pub description: Option<String>,
    /// Longest session of somebody who takes on the role, in seconds; one hour unless set.
    #[schemars(range(min = 3600, max = 43_200))]
    pub max_session_duration: i32,
    /// ARN of the policy that limits what the role can be allowed at all; unset for none.
    #[serde(deserialize_with = "fields::text")]
    #[schemars(with = "Option<String>", extend("x-pins" = "iam_policy"))]
    pub permissions_boundary: Option<String>,
    /// ARNs of the managed policies attached to the role: all of them; what is not listed is detached.
    #[serde(deserialize_with = "fields::texts")]
    #[schemars(with = "fields::OneOrMany", extend("x-loses" = "iam_policy", "x-children" = true))]
    pub managed_policy_arns: BTreeSet<String>,
    /// Policies kept in the role itself, by name: all of them; what is not listed is deleted.
    #[schemars(extend("x-children" = true))]
    pub inline_policies: BTreeMap<String, PolicyDocument>,
    /// What the role may do with other resources of the stack, such as `{read: orders}`; becomes an inline policy with
    /// the actions and ARNs that follow from the kind of each resource.
    #[schemars(extend("x-source" = true))]
    pub grants: Vec<BTreeMap<String, String>>,
}

pub(super) const DEFAULT_SESSION: i32 = 3600;

/// Quota on all inline policies of a role together, without white space (`facts/aws.md` 4.6).
const MOST_INLINE: usize = 10_240;

impl Default for Spec {
    fn default() -> Self {
        Self {
            service: BTreeSet::new(),
            assume_role_policy: None,
            description: None,
            max_session_duration: DEFAULT_SESSION,
            permissions_boundary: None,
            managed_policy_arns: BTreeSet::new(),
            inline_policies: BTreeMap::new(),
            grants: Vec::new(),
        }
    }
}

impl Spec {
    /// Turns the short form into the trust policy.
    pub(super) fn fill_trust(&mut self) -> Result<(), Fault> {
        let short = (!self.service.is_empty()).then(|| PolicyDocument::trusting(&self.service));
        match (&self.assume_role_policy, short) {
            (None, None) => Err(Fault::new("", "nobody may take on the role")
                .help("add service: lambda.amazonaws.com (or another service), or assume_role_policy:")),
            (Some(policy), Some(short)) if *policy != short => {
                Err(Fault::new("service", "the role has both service and assume_role_policy")
                    .help("service is the short form of assume_role_policy: keep one of them"))
            }
            (None, Some(short)) => {
                self.assume_role_policy = Some(short);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns what is wrong with the fields.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = self.policy_faults();
        for service in self.service.iter().filter(|service| is_wrong(service, |name| name.contains(".amazonaws.com"))) {
            let help = "write the service's principal, such as lambda.amazonaws.com";
            faults.push(Fault::new("service", format!("{service} is not an AWS service")).help(help));
        }
        if !(3600..=43_200).contains(&self.max_session_duration) {
            let message = format!("{} is not between 3600 and 43200 seconds", self.max_session_duration);
            faults.push(Fault::new("max_session_duration", message));
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > 1000) {
            faults.push(Fault::new("description", "a description has at most 1000 characters"));
        }
        // IAM API, `CreateRole`; those of policies may have any letters.
        let takes = |letter: char| matches!(letter, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
        if let Some(letter) = self.description.iter().flat_map(|text| text.chars()).find(|letter| !takes(*letter)) {
            let fault = Fault::new("description", format!("IAM does not accept the character {letter:?} here"));
            faults.push(fault.help("use characters up to U+00FF only"));
        }
        let bounds = self.permissions_boundary.iter().map(|arn| ("permissions_boundary", arn));
        let attached = self.managed_policy_arns.iter().map(|arn| ("managed_policy_arns", arn));
        for (path, arn) in bounds.chain(attached).filter(|(_, arn)| is_wrong(arn, is_policy_arn)) {
            let help = "write an ARN such as arn:aws:iam::aws:policy/ReadOnlyAccess, or ${id.arn} of an iam_policy";
            faults.push(Fault::new(path, format!("{arn} is not the ARN of a policy")).help(help));
        }
        faults
    }

    fn policy_faults(&self) -> Vec<Fault> {
        let trust = self.assume_role_policy.iter();
        let mut faults: Vec<_> = trust.flat_map(|policy| policy.faults("assume_role_policy", Use::Trust)).collect();
        for (name, policy) in &self.inline_policies {
            let path = format!("inline_policies.{name}");
            if !is_policy_name(name) {
                let fault = Fault::new(path.as_str(), format!("{name:?} cannot be the name of a policy"));
                faults.push(fault.help("use up to 128 letters, digits and _+=,.@-"));
            }
            faults.extend(policy.faults(&path, Use::Identity));
        }
        let texts: Vec<String> = self.inline_policies.values().map(PolicyDocument::to_text).collect();
        let size: usize = texts.iter().flat_map(|text| text.chars()).filter(|letter| !letter.is_whitespace()).count();
        if size > MOST_INLINE && texts.iter().all(|text| !text.contains("${")) {
            let message = format!("the inline policies have {size} characters, and IAM takes {MOST_INLINE} per role");
            faults.push(Fault::new("inline_policies", message).help("move some into an iam_policy"));
        }
        faults
    }
}

fn is_policy_arn(arn: &str) -> bool {
    arn.starts_with("arn:") && arn.contains(":iam::") && arn.contains(":policy/")
}

fn is_policy_name(name: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
    (1..=128).contains(&name.len()) && name.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(value: Value) -> Spec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn service_is_short_for_a_trust_policy() {
        let mut short = spec(json!({"service": "lambda.amazonaws.com"}));
        short.fill_trust().unwrap();
        let long = spec(json!({"assume_role_policy": {"Version": "2012-10-17", "Statement": {
            "Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": ["lambda.amazonaws.com"]}}}}));
        assert_eq!(short.assume_role_policy, long.assume_role_policy);
        assert!(short.fill_trust().is_ok(), "filling twice changes nothing");
        assert_eq!(short.faults(), []);
    }

    #[test]
    fn a_role_needs_one_trust_policy() {
        assert!(Spec::default().fill_trust().unwrap_err().message.contains("nobody"));
        let mut both = spec(json!({"service": "a.amazonaws.com", "assume_role_policy": {"Statement": []}}));
        assert_eq!(both.fill_trust().unwrap_err().path, "service");
    }

    #[test]
    fn a_service_is_named_in_full() {
        let faults = |name: &str| spec(json!({"service": name})).faults();
        assert_eq!(faults("lambda")[0].path, "service");
        assert_eq!(faults("ec2.amazonaws.com.cn"), []);
        assert_eq!(faults("${var.service}"), []);
    }

    #[test]
    fn descriptions_have_letters_of_western_europe() {
        let faults = |text: &str| spec(json!({"description": text})).faults();
        assert_eq!(faults("Crème brûlée"), []);
        assert_eq!(faults("Роль")[0].path, "description");
    }

    #[test]
    fn faults_are_told_with_their_paths() {
        let broken = spec(json!({
            "max_session_duration": 60, "permissions_boundary": "x", "managed_policy_arns": ["${p.arn}", "ReadOnlyAccess"],
            "inline_policies": {"a b": "${file(\"x\")}", "c": {"Version": "2012-10-17"}},
        }));
        let paths: Vec<String> = broken.faults().into_iter().map(|fault| fault.path).collect();
        let wanted = [
            "inline_policies.a b",
            "inline_policies.c",
            "max_session_duration",
            "permissions_boundary",
            "managed_policy_arns",
        ];
        assert_eq!(paths, wanted);
    }

    #[test]
    fn too_long_inline_policies_are_refused_once_known() {
        let with = |resource: String| {
            spec(json!({"inline_policies": {"a": {"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "s3:*", "Resource": resource}}}}))
            .faults()
        };
        assert_eq!(with("a".repeat(10_240))[0].path, "inline_policies");
        assert_eq!(with("${x.arn}".repeat(2_000)), []);
        assert_eq!(with("a ".repeat(10_000)), [], "white space does not count");
    }

    #[test]
    fn unset_is_the_default() {
        let empty = spec(json!({"description": "", "managed_policy_arns": null, "permissions_boundary": null}));
        assert_eq!(empty, Spec::default());
    }
}
