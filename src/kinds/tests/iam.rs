//! Roles and policies of a stack that has many of them.

use super::*;
use crate::aws::guard::Guard;
use crate::aws::memo::Memo;

/// What reads all of the account at once.
const LISTINGS: [&str; 3] = ["iam:GetAccountAuthorizationDetails", "iam:ListPolicies", "iam:ListRoles"];
/// What reads one role.
const SINGLE: [&str; 4] = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"];

/// Many objects of one kind in one account.
struct Many {
    cloud: Cloud,
    subjects: Vec<(Subject, Value)>,
}

impl Many {
    async fn new(kind: &str, count: usize, spec: impl Fn(usize) -> Value) -> Self {
        let cloud = Cloud::memory(Settings::default()).unwrap();
        let account = Account::of(cloud.clone());
        let mut subjects = Vec::new();
        for number in 0..count {
            let subject = account.subject(kind, &format!("many-{number}"));
            subject.create(&spec(number)).await;
            let want = subject.want(&spec(number));
            subjects.push((subject, want));
        }
        Self { cloud, subjects }
    }

    /// Opens a look that may make no other calls than these.
    fn look(&self, allowed: &[&[&'static str]]) -> Look<'_> {
        let aws = Arc::into_inner(Account::of(self.cloud.clone()).0).unwrap();
        let allowed = allowed.iter().copied().flatten().copied().collect();
        Look { of: self, aws: Arc::new(aws.guarded(Guard::only(allowed))), memo: Arc::default() }
    }
}

/// One look at many objects.
struct Look<'a> {
    of: &'a Many,
    aws: Arc<Aws>,
    memo: Arc<Memo>,
}

impl Look<'_> {
    async fn at(&self, number: usize) -> Result<Option<Found>, KindError> {
        let (subject, want) = &self.of.subjects[number];
        let cx = Cx::new(self.aws.clone(), subject.cx.key.clone()).with_memo(&self.memo);
        subject.kind.observe(&cx.expecting(Some(subject.tags(want))), Some(want)).await
    }

    /// Tells how many could be read, each of which must be exactly what its own calls tell of it.
    async fn exact(&self) -> usize {
        let mut read = 0;
        for (number, (subject, want)) in self.of.subjects.iter().enumerate() {
            if let Ok(found) = self.at(number).await {
                assert_eq!(found, subject.look(Some(want)).await);
                read += 1;
            }
        }
        read
    }

    async fn owned(&self) -> usize {
        let (subject, _) = &self.of.subjects[0];
        let cx = Cx::new(self.aws.clone(), Key { stack: "shop".into(), ..Key::default() }).with_memo(&self.memo);
        subject.kind.owned(&cx).await.map_or(0, |owned| owned.len())
    }
}

/// A role with something in every field.
fn role(number: usize) -> Value {
    json!({
        "service": "lambda.amazonaws.com", "description": format!("Reads {number}"), "max_session_duration": 7200,
        "permissions_boundary": "arn:aws:iam::aws:policy/AdministratorAccess",
        "managed_policy_arns": ["arn:aws:iam::aws:policy/AmazonSNSFullAccess"],
        "inline_policies": {"a+b": allow("s3:Get*"), "c": allow(&format!("s3:Put{number}*"))},
    })
}

fn policy(number: usize) -> Value {
    json!({"policy_document": allow(&format!("s3:Get{number}*")), "description": "Reads"})
}

#[tokio::test]
async fn many_roles_are_read_by_two_listings() {
    let many = Many::new("iam_role", 12, role).await;
    let look = many.look(&[&LISTINGS]);
    assert_eq!(look.exact().await, 12);
    assert_eq!(look.owned().await, 12);
}

#[tokio::test]
async fn roles_of_the_least_fields_are_read_so_too() {
    let many = Many::new("iam_role", 12, |_| json!({"service": "lambda.amazonaws.com"})).await;
    assert_eq!(many.look(&[&LISTINGS]).exact().await, 12);
}

#[tokio::test]
async fn few_roles_are_read_one_by_one() {
    let many = Many::new("iam_role", 9, role).await;
    assert_eq!(many.look(&[&LISTINGS]).exact().await, 0);
    assert_eq!(many.look(&[&LISTINGS, &SINGLE]).exact().await, 9);
}

#[tokio::test]
async fn where_most_roles_are_others_each_is_read_by_itself() {
    let many = Many::new("iam_role", 10, role).await;
    let iam = &many.subjects[0].0.cx.aws;
    for number in 0..91 {
        let trust =
            allow("x").to_string().replace("\"Resource\":\"*\"", "\"Principal\":{\"Service\":\"ec2.amazonaws.com\"}");
        let trust = trust.replace("\"x\"", "\"sts:AssumeRole\"");
        let request = iam.iam().create_role().role_name(format!("theirs-{number}"));
        if number == 90 {
            assert_eq!(many.look(&[&LISTINGS]).exact().await, 10);
        }
        request.assume_role_policy_document(trust).send().await.unwrap();
    }
    assert_eq!(many.look(&[&LISTINGS]).exact().await, 0);
}

#[tokio::test]
async fn what_is_not_as_wanted_is_read_by_its_own_calls() {
    let many = Many::new("iam_role", 10, role).await;
    let iam = many.subjects[0].0.cx.aws.iam();
    iam.update_role().role_name("many-0").description("else").send().await.unwrap();
    iam.delete_role_policy().role_name("many-1").policy_name("c").send().await.unwrap();
    iam.untag_role().role_name("many-2").tag_keys("env").send().await.unwrap();
    iam.delete_role_permissions_boundary().role_name("many-3").send().await.unwrap();
    let arn = "arn:aws:iam::aws:policy/AmazonKinesisFullAccess";
    iam.attach_role_policy().role_name("many-4").policy_arn(arn).send().await.unwrap();
    iam.update_role().role_name("many-5").max_session_duration(3600).send().await.unwrap();
    assert_eq!(many.look(&[&LISTINGS]).exact().await, 4);
    assert_eq!(many.look(&[&LISTINGS, &SINGLE]).exact().await, 10);
}

#[tokio::test]
async fn where_the_account_may_not_be_listed_each_role_is_read_by_itself() {
    let many = Many::new("iam_role", 10, role).await;
    for listings in [&LISTINGS[2..], &[]] {
        let look = many.look(&[&SINGLE, listings]);
        assert_eq!(look.exact().await, 10);
        assert_eq!(look.owned().await, if listings.is_empty() { 0 } else { 10 });
    }
}

#[tokio::test]
async fn documents_of_many_policies_are_read_by_one_listing() {
    let many = Many::new("iam_policy", 10, policy).await;
    assert_eq!(many.look(&[&LISTINGS, &["iam:GetPolicy"]]).exact().await, 10);
    assert_eq!(many.look(&[&["iam:ListPolicies", "iam:GetPolicy"]]).exact().await, 0);
    assert_eq!(many.look(&[&["iam:ListPolicies", "iam:GetPolicy", "iam:GetPolicyVersion"]]).exact().await, 10);
    many.subjects[3].0.update(&policy(100)).await;
    assert_eq!(many.look(&[&LISTINGS, &["iam:GetPolicy"]]).exact().await, 10);
    let few = Many::new("iam_policy", 9, policy).await;
    assert_eq!(few.look(&[&LISTINGS, &["iam:GetPolicy"]]).exact().await, 0);
}
