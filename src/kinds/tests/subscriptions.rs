//! Marks of subscriptions in every state that a run can leave behind.
//!
//! What a run that was killed leaves is put there by hand: the mark with a digest, the subscription, or both.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::*;

const PHONE: &str = "+79990000000";
const MAIL: &str = "a@example.com";

fn topic() -> String {
    format!("arn:aws:sns:us-east-1:{ACCOUNT}:Airlines")
}

/// The topic of the stack `shop`, its tags and its subscriptions.
struct Bench {
    account: Account,
}

impl Bench {
    async fn new() -> Self {
        let account = Account::new();
        account.subject("sns_topic", "Airlines").create(&json!({})).await;
        Self { account }
    }

    fn subject(&self) -> Subject {
        self.account.subject("sns_subscription", "phone")
    }

    /// Returns the subject as later verbs see it.
    fn at(&self, physical: &str) -> Subject {
        let mut subject = self.subject();
        subject.cx.key.physical = Some(physical.to_owned());
        subject
    }

    async fn subscribe(&self, protocol: &str, endpoint: &str) -> String {
        let request = self.account.0.sns().subscribe().topic_arn(topic()).protocol(protocol).endpoint(endpoint);
        request.return_subscription_arn(true).send().await.unwrap().subscription_arn.unwrap()
    }

    async fn confirm(&self, arn: &str) {
        // The local cloud sends this to the endpoint.
        let token = URL_SAFE_NO_PAD.encode(Sha256::digest(arn));
        self.account.0.sns().confirm_subscription().topic_arn(topic()).token(token).send().await.unwrap();
    }

    async fn unsubscribe(&self, arn: &str) {
        self.account.0.sns().unsubscribe().subscription_arn(arn).send().await.unwrap();
    }

    async fn mark(&self, key: &str, value: &str) {
        let tag = aws_sdk_sns::types::Tag::builder().key(format!("stackctl:sub:{key}")).value(value).build().unwrap();
        self.account.0.sns().tag_resource().resource_arn(topic()).tags(tag).send().await.unwrap();
    }

    async fn marks(&self) -> Vec<(String, String)> {
        let tags = self.account.0.sns().list_tags_for_resource().resource_arn(topic()).send().await.unwrap();
        let marks = tags
            .tags
            .unwrap_or_default()
            .into_iter()
            .filter_map(|tag| Some((tag.key.strip_prefix("stackctl:sub:")?.to_owned(), tag.value)));
        marks.collect()
    }

    /// Returns the endpoints that the topic delivers to, or would.
    async fn endpoints(&self) -> Vec<String> {
        let all = self.account.0.sns().list_subscriptions_by_topic().topic_arn(topic()).send().await.unwrap();
        let mut all: Vec<_> =
            all.subscriptions.unwrap_or_default().into_iter().filter_map(|each| each.endpoint).collect();
        all.sort();
        all
    }
}

fn spec(protocol: &str, endpoint: &str) -> Value {
    json!({"topic_arn": topic(), "protocol": protocol, "endpoint": endpoint})
}

/// The first letters of a digest of topic, protocol and endpoint.
fn digest(protocol: &str, endpoint: &str) -> String {
    let text = format!("{}|{protocol}|{}", topic(), endpoint.trim_start_matches('+'));
    Sha256::digest(text).iter().take(2).map(|byte| format!("{byte:02x}")).collect()
}

fn id(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap()
}

fn pair(key: &str, value: String) -> (String, String) {
    (key.to_owned(), value)
}

impl Subject {
    async fn make(&self, spec: &Value) -> String {
        let want = self.want(spec);
        self.kind.create(&self.cx, &want, &marks(&self.cx.key, "abc", false, false)).await.unwrap().0
    }

    /// Does what an update of tags does, if one is needed.
    async fn complete(&self, found: &Found) -> bool {
        let (set, remove) = tag_changes(&marks(&self.cx.key, "abc", false, false), &found.tags);
        let needed = !set.is_empty() || !remove.is_empty();
        if needed {
            self.kind.retag(&self.cx, &set, &remove).await.unwrap();
        }
        needed
    }
}

#[tokio::test]
async fn a_complete_mark_holds_what_sns_made_up() {
    let bench = Bench::new().await;
    let arn = bench.subject().make(&spec("sms", PHONE)).await;
    assert_eq!(bench.marks().await, [pair("subject:1", format!("{}:abc", id(&arn)))]);
    assert_eq!(bench.subscribe("sms", PHONE).await, arn);
    assert_eq!(bench.subject().make(&spec("sms", PHONE)).await, arn, "making it again is no mistake");
    assert_eq!(bench.marks().await.len(), 1);
    assert_eq!(bench.subject().kind.owned(&bench.subject().cx).await.unwrap()[0].physical, arn);
}

#[tokio::test]
async fn killed_before_subscribe() {
    let bench = Bench::new().await;
    let left = digest("sms", PHONE);
    bench.mark("subject:1", &format!("sms.{left}:abc")).await;
    let want = bench.subject().want(&spec("sms", PHONE));
    let owned = bench.subject().kind.owned(&bench.subject().cx).await.unwrap();
    assert_eq!(owned[0].physical, format!("{}|sms|{left}", topic()));
    for (subject, want) in [(bench.subject(), Some(&want)), (bench.at(&owned[0].physical), None)] {
        assert_eq!(subject.look(want).await, None);
    }
    let arn = bench.subject().make(&spec("sms", "+79990000001")).await;
    assert_eq!(bench.marks().await, [pair("subject:1", format!("{}:abc", id(&arn)))], "the mark is used again");
}

#[tokio::test]
async fn killed_after_subscribe() {
    for again in ["update", "create", "delete"] {
        let bench = Bench::new().await;
        let left = format!("{}|sms|{}", topic(), digest("sms", PHONE));
        bench.mark("subject:1", &format!("sms.{}:abc", digest("sms", PHONE))).await;
        let arn = bench.subscribe("sms", PHONE).await;
        let want = bench.subject().want(&spec("sms", PHONE));
        for (subject, want) in [(bench.subject(), Some(&want)), (bench.at(&left), None), (bench.at(&arn), None)] {
            let found = subject.look(want).await.unwrap();
            assert_eq!((found.physical.as_str(), marks::stack_of(&found.tags)), (arn.as_str(), Some("shop")));
            assert_eq!(marks::resource_of(&found.tags), None, "the mark has to be completed");
            assert!(subject.kind.is_also(&found.spec, &left));
        }
        match again {
            "update" => {
                let found = bench.subject().look(Some(&want)).await.unwrap();
                assert!(bench.at(&arn).complete(&found).await);
            }
            "create" => assert_eq!(bench.subject().make(&spec("sms", PHONE)).await, arn),
            _ => bench.at(&arn).kind.delete(&bench.at(&arn).cx).await.unwrap(),
        }
        let is_there = again != "delete";
        assert_eq!(bench.endpoints().await, [PHONE][..usize::from(is_there)]);
        let complete = [pair("subject:1", format!("{}:abc", id(&arn)))];
        assert_eq!(bench.marks().await, complete[..usize::from(is_there)], "{again}");
        if is_there {
            let found = bench.subject().look(Some(&want)).await.unwrap();
            assert!(!bench.at(&arn).complete(&found).await);
        }
    }
}

#[tokio::test]
async fn mail_has_a_complete_mark_before_anybody_confirms() {
    let bench = Bench::new().await;
    let arn = bench.subject().make(&spec("email", MAIL)).await;
    assert_eq!(bench.marks().await, [pair("subject:1", format!("{}:abc", id(&arn)))]);
    let want = bench.subject().want(&spec("email", MAIL));
    let pending = bench.subject().look(Some(&want)).await.unwrap();
    assert_eq!((&pending.physical, &pending.outputs["arn"]), (&arn, &Value::Null));
    bench.confirm(&arn).await;
    let confirmed = bench.subject().look(Some(&want)).await.unwrap();
    assert_eq!((&confirmed.physical, &confirmed.outputs["arn"]), (&arn, &json!(arn)));
    assert_eq!((&confirmed.tags, &confirmed.spec), (&pending.tags, &pending.spec), "nothing is left to do");
}

#[tokio::test]
async fn mail_that_a_killed_run_left_gets_its_mark_when_somebody_has_confirmed() {
    let bench = Bench::new().await;
    let left = format!("{}|email|{}", topic(), digest("email", MAIL));
    bench.mark("subject:1", &format!("email.{}:abc", digest("email", MAIL))).await;
    let arn = bench.subscribe("email", MAIL).await;
    let want = bench.subject().want(&spec("email", MAIL));
    let pending = bench.subject().look(Some(&want)).await.unwrap();
    assert_eq!((&pending.physical, pending.status.as_deref()), (&left, Some("pending confirmation")));
    assert!(!bench.at(&left).complete(&pending).await, "until then nothing can be done");
    bench.confirm(&arn).await;
    let confirmed = bench.at(&left).look(Some(&want)).await.unwrap();
    assert_eq!(confirmed.physical, arn);
    assert!(bench.at(&arn).complete(&confirmed).await);
    assert_eq!(bench.marks().await, [pair("subject:1", format!("{}:abc", id(&arn)))]);
    bench.at(&arn).kind.delete(&bench.at(&arn).cx).await.unwrap();
    assert_eq!((bench.marks().await.len(), bench.endpoints().await.len()), (0, 0));
}

#[tokio::test]
async fn nobody_is_unsubscribed_by_a_digest_that_fits_two() {
    let bench = Bench::new().await;
    let left = digest("sms", PHONE);
    let twin =
        (1..9_999_999).map(|number| format!("+7000{number:07}")).find(|other| digest("sms", other) == left).unwrap();
    bench.mark("subject:1", &format!("sms.{left}:abc")).await;
    let arn = bench.subscribe("sms", PHONE).await;
    bench.subscribe("sms", &twin).await;
    // The file no longer says which it is.
    let asked = bench.at(&format!("{}|sms|{left}", topic()));
    for error in
        [asked.kind.observe(&asked.cx, None).await.unwrap_err(), asked.kind.delete(&asked.cx).await.unwrap_err()]
    {
        assert!(error.message.contains("`stackctl:sub:subject:1`"), "{error}");
        assert!(!error.to_string().contains("7999") && error.hint.unwrap().contains("--adopt"));
    }
    assert_eq!(bench.endpoints().await.len(), 2);
    // The file says which it is.
    let want = bench.subject().want(&spec("sms", PHONE));
    for subject in [bench.subject(), bench.at(&asked.cx.key.physical.clone().unwrap())] {
        assert_eq!(subject.look(Some(&want)).await.unwrap().physical, arn);
    }
    let found = bench.subject().look(Some(&want)).await.unwrap();
    assert!(bench.at(&arn).complete(&found).await);
    assert_eq!(bench.marks().await, [pair("subject:1", format!("{}:abc", id(&arn)))]);
}

#[tokio::test]
async fn a_replacement_has_a_mark_of_its_own() {
    let bench = Bench::new().await;
    let old = bench.subject().make(&spec("sms", PHONE)).await;
    let new = bench.subject().make(&spec("sms", "+79990000001")).await;
    let mark = |number: u8, arn: &str| pair(&format!("subject:{number}"), format!("{}:abc", id(arn)));
    assert_eq!(bench.marks().await, [mark(1, &old), mark(2, &new)]);
    for (endpoint, arn) in [(PHONE, &old), ("+79990000001", &new)] {
        let want = bench.subject().want(&spec("sms", endpoint));
        assert_eq!(bench.subject().look(Some(&want)).await.unwrap().physical, *arn);
    }
    bench.at(&old).kind.delete(&bench.at(&old).cx).await.unwrap();
    assert_eq!(bench.marks().await, [mark(2, &new)]);
    assert_eq!(bench.endpoints().await, ["+79990000001"]);
}

#[tokio::test]
async fn what_somebody_subscribed_anew_is_not_ours() {
    let bench = Bench::new().await;
    let arn = bench.subject().make(&spec("sms", PHONE)).await;
    bench.unsubscribe(&arn).await;
    let theirs = bench.subscribe("sms", PHONE).await;
    let want = bench.subject().want(&spec("sms", PHONE));
    let found = bench.subject().look(Some(&want)).await.unwrap();
    assert_eq!((&found.physical, found.tags.len()), (&theirs, 0));
    assert_eq!(bench.at(&arn).look(None).await, None);
    bench.at(&arn).kind.delete(&bench.at(&arn).cx).await.unwrap();
    assert_eq!((bench.marks().await.len(), bench.endpoints().await.len()), (0, 1));
    // Taken over by what `--adopt ID=ARN` gives, whatever the file says.
    let found = bench.at(&theirs).look(None).await.unwrap();
    assert!(bench.at(&theirs).complete(&found).await);
    assert_eq!(bench.marks().await, [pair("subject:1", format!("{}:abc", id(&theirs)))]);
}

#[tokio::test]
async fn pending_mail_is_taken_over_too() {
    let bench = Bench::new().await;
    bench.subscribe("email", MAIL).await;
    let want = bench.subject().want(&spec("email", MAIL));
    let found = bench.subject().look(Some(&want)).await.unwrap();
    assert_eq!(found.tags, Tags::new());
    let asked = bench.at(&found.physical);
    assert!(asked.complete(&found).await);
    assert_eq!(bench.marks().await, [pair("subject:1", format!("email.{}:abc", digest("email", MAIL)))]);
    assert!(!asked.complete(&bench.subject().look(Some(&want)).await.unwrap()).await);
    asked.kind.delete(&asked.cx).await.unwrap();
    assert_eq!(bench.marks().await, []);
}

#[tokio::test]
async fn a_mark_moves_with_its_resource_and_goes_when_the_stack_lets_go() {
    let bench = Bench::new().await;
    let arn = bench.subject().make(&spec("sms", PHONE)).await;
    let mut moved = bench.at(&arn);
    moved.cx.key.id = "mobile".into();
    let found = moved.look(None).await.unwrap();
    assert_eq!(marks::resource_of(&found.tags), Some("subject"));
    assert!(moved.complete(&found).await);
    assert_eq!(bench.marks().await, [pair("mobile:1", format!("{}:abc", id(&arn)))]);
    let all: Vec<String> = marks::MARKS.iter().map(|mark| (*mark).to_owned()).collect();
    moved.kind.retag(&moved.cx, &Tags::new(), &all).await.unwrap();
    assert_eq!(bench.marks().await, []);
    assert_eq!(bench.endpoints().await, [PHONE]);
    assert_eq!(moved.look(None).await.unwrap().tags, Tags::new());
}

#[tokio::test]
async fn a_topic_of_another_stack_keeps_no_marks() {
    let bench = Bench::new().await;
    let mut subject = bench.subject();
    subject.cx.key.stack = "other".into();
    let arn = subject.make(&spec("sms", PHONE)).await;
    assert_eq!(bench.marks().await, []);
    let want = subject.want(&spec("sms", PHONE));
    let found = subject.look(Some(&want)).await.unwrap();
    assert_eq!((&found.physical, marks::resource_of(&found.tags)), (&arn, Some("subject")));
    subject.cx.key.physical = Some(arn);
    assert_eq!(subject.look(Some(&want)).await.unwrap(), found);
    subject.kind.retag(&subject.cx, &marks(&subject.cx.key, "def", false, false), &[]).await.unwrap();
    assert_eq!(bench.marks().await, []);
    subject.kind.delete(&subject.cx).await.unwrap();
    assert_eq!(bench.endpoints().await, [""; 0]);
}

#[tokio::test]
async fn what_hangs_on_a_topic_is_listed_by_arn() {
    let bench = Bench::new().await;
    let arn = bench.subscribe("sms", PHONE).await;
    bench.subscribe("email", MAIL).await;
    let mut topic_subject = bench.account.subject("sns_topic", "Airlines");
    topic_subject.cx.key.physical = Some(topic());
    let children = topic_subject.kind.children(&topic_subject.cx).await.unwrap();
    assert_eq!(children.iter().map(|child| child.physical.as_str()).collect::<Vec<_>>(), [arn.as_str()]);
    assert_eq!(bench.at(&arn).look(None).await.unwrap().tags, Tags::new());
}
