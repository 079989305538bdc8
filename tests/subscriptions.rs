//! Subscriptions from outside: their endpoints cannot be guessed from anything that is shown or marked, and whatever a
//! killed run has left, one more puts it right.

use std::collections::BTreeMap;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::proxy::{KILL, Proxy, Strike};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::trial::without_ids;

const HEAD: &str = "\
stack: calls
region: us-east-1
variables: {phone: {default: null, sensitive: true}}
resources:
  news: {type: sns_topic}
";

const PHONE: &str =
    "  mobile: {type: sns_subscription, topic_arn: '${news.arn}', protocol: sms, endpoint: '${var.phone}'}\n";
const MAIL: &str =
    "  mail: {type: sns_subscription, topic_arn: '${news.arn}', protocol: email, endpoint: a@example.com}\n";

/// Each beginning of a hash that it would be found by has a letter in it, so that no number looks like one.
const ONE: &str = "+79990001123";
const OTHER: &str = "+79990001133";

/// What a mark begins with.
const MARK: &str = "stackctl:sub:";

/// A sandbox with a topic of the stack, its listener and the account behind it.
struct World {
    sandbox: Sandbox,
    listener: Listener,
    account: Account,
}

impl World {
    fn of(sandbox: Sandbox) -> Self {
        let sandbox = sandbox.local();
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
        Self { sandbox, listener, account }
    }

    fn with(resources: &str) -> Self {
        let world = Self::of(Sandbox::new());
        world.write(resources);
        world
    }

    fn write(&self, resources: &str) {
        self.sandbox.write("stack.yaml", &format!("{HEAD}{resources}"));
    }

    fn run(&self, command: &[&str], phone: &str) -> Output {
        self.sandbox.run(&[command, &["--var", &format!("phone={phone}")]].concat())
    }

    fn apply(&self, phone: &str) -> Output {
        self.run(&["apply", "-y"], phone).code(0)
    }

    #[track_caller]
    fn in_sync(&self, phone: &str) {
        self.listener.reading(|| self.run(&["plan", "--detailed-exitcode"], phone)).code(0).has("No changes.");
    }

    /// Applies the file and is killed at a call; returns the calls.
    fn killed(&self, phone: &str, at: usize, strike: Strike) -> Vec<String> {
        let proxy = Proxy::start(self.listener.url(), at, strike);
        self.sandbox.write(".stackctl/local/listener", proxy.url());
        let mut run = self.sandbox.command();
        let run = run.args(["--local", "apply", "-y", "--var", &format!("phone={phone}")]);
        let mut run = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        proxy.aim(run.id());
        run.wait().unwrap();
        self.sandbox.write(".stackctl/local/listener", self.listener.url());
        proxy.calls()
    }

    fn topic(name: &str) -> String {
        format!("arn:aws:sns:{REGION}:{LOCAL_ACCOUNT}:{name}")
    }

    fn subscribe(&self, endpoint: &str) {
        let request = self.account.aws.sns().subscribe().topic_arn(Self::topic("news")).protocol("sms");
        self.account.call(request.endpoint(endpoint).send());
    }

    /// Returns the topic's subscriptions: endpoints by ARN.
    fn subscriptions(&self) -> BTreeMap<String, String> {
        let answer = self.account.call(self.account.aws.sns().list_subscriptions().send());
        let all = answer.subscriptions.unwrap_or_default().into_iter();
        all.filter_map(|each| Some((each.subscription_arn?, each.endpoint?))).collect()
    }

    fn tags(&self, topic: &str) -> BTreeMap<String, String> {
        let request = self.account.aws.sns().list_tags_for_resource().resource_arn(Self::topic(topic));
        let tags = self.account.call(request.send()).tags.unwrap_or_default();
        tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
    }

    fn mark(&self, key: &str, value: &str) {
        let tag = aws_sdk_sns::types::Tag::builder().key(format!("{MARK}{key}")).value(value).build().unwrap();
        self.account.call(self.account.aws.sns().tag_resource().resource_arn(Self::topic("news")).tags(tag).send());
    }

    /// Returns the subscriptions that the topic's marks name, one for each mark that is of a subscription.
    fn marked(&self) -> Vec<String> {
        let all = self.subscriptions();
        let marks = self.tags("news").into_iter().filter(|(key, _)| key.starts_with(MARK));
        let arn =
            |(_, value): (String, String)| format!("{}:{}", Self::topic("news"), value.split(':').next().unwrap());
        marks.map(arn).filter_map(|arn| all.get(&arn).cloned()).collect()
    }

    fn digests(&self) -> usize {
        let tags = self.tags("news");
        tags.iter().filter(|(key, value)| key.starts_with(MARK) && value.starts_with("sms.")).count()
    }
}

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lists the beginnings of hashes from which a telephone number could be found.
fn giveaways(topic: &str, phone: &str) -> Vec<String> {
    let digits = phone.trim_start_matches('+');
    let texts = [digits.to_owned(), phone.to_owned(), format!("{topic}|sms|{digits}"), format!("{topic}|sms|{phone}")];
    texts.iter().map(|text| hex(text)[..5].to_owned()).collect()
}

#[test]
fn a_telephone_number_cannot_be_found_from_anything_that_is_shown() {
    let world = World::of(Sandbox::with_stacks());
    let (stack, topic) = ("stacks/airline_tickets.yaml", World::topic("Airlines"));
    let said = |output: Output| format!("{}{}", output.stdout, output.stderr);
    let plan = |args: &[&str]| said(world.run(&[&["plan", stack], args].concat(), ONE).code(0));
    let ok = |args: &[&str]| said(world.run(args, ONE).code(0));
    let mut all = vec![plan(&[]), plan(&["--out", "kept.json"])];
    all.push(ok(&["apply", stack, "-y", "--format", "json"]));
    all.extend([ok(&["show", stack]), ok(&["show", stack, "--format", "json"])]);
    all.push(ok(&["drift", stack, "--format", "json"]));
    all.extend([plan(&["--destroy", "--format", "json"]), plan(&["--destroy", "--out", "gone.json"])]);
    all.extend(["kept.json", "gone.json"].map(|file| fs_err::read_to_string(world.sandbox.dir().join(file)).unwrap()));
    all.push(format!("{:?}", world.tags("Airlines")));
    let arn = world.subscriptions().into_keys().next().unwrap();
    assert!(all.iter().any(|text| text.contains(&arn)) && all.last().unwrap().contains(MARK), "{all:?}");
    for text in &all {
        // What AWS makes up is at random, and so long that any five letters come up now and then.
        let text = without_ids(text).to_lowercase();
        for found in giveaways(&topic, ONE).iter().chain([&ONE[1..].to_owned()]) {
            assert!(!text.contains(found), "{found} is in {text}");
        }
    }
}

/// Kills an apply at each call that writes, before it and after it, and looks what one more apply makes of it.
fn struck(before: impl Fn(&World), after: impl Fn(&World), phone: &str, check: impl Fn(&World, &str)) {
    let writes = ["Subscribe", "Unsubscribe", "TagResource", "UntagResource", "GetSubscriptionAttributes"];
    let quiet = World::with(PHONE);
    before(&quiet);
    let calls = quiet.killed(phone, 0, Strike::LoseAnswer);
    let points: Vec<usize> = (1..=calls.len()).filter(|at| writes.contains(&calls[at - 1].as_str())).collect();
    assert!(points.len() > 2, "{calls:?}");
    for (at, strike) in points.iter().flat_map(|at| [(*at, Strike::Before(KILL)), (*at, Strike::After(KILL))]) {
        let world = World::with(PHONE);
        before(&world);
        let calls = world.killed(phone, at, strike);
        let place = format!("{strike:?} call {at} of {calls:?}: {:?}", world.tags("news"));
        after(&world);
        check(&world, &place);
        world.run(&["destroy", "-y"], OTHER).code(0).has("nothing is left");
        assert_eq!(world.subscriptions(), BTreeMap::new(), "{place}");
    }
}

/// Checks that there is this one subscription, and that it is the one that is marked.
fn only(world: &World, phone: &str, place: &str) {
    assert_eq!(world.subscriptions().into_values().collect::<Vec<_>>(), [phone], "{place}");
    assert_eq!((world.marked(), world.digests()), (vec![phone.to_owned()], 0), "{place}: {:?}", world.tags("news"));
    world.in_sync(phone);
}

#[test]
fn a_new_subscription_survives_the_death_of_its_run() {
    struck(|_| (), |world| drop(world.apply(ONE)), ONE, |world, place| only(world, ONE, place));
}

#[test]
fn a_replacement_survives_the_death_of_its_run() {
    let check = |world: &World, place: &str| only(world, OTHER, place);
    struck(|world| drop(world.apply(ONE)), |world| drop(world.apply(OTHER)), OTHER, check);
}

#[test]
fn the_file_may_change_after_the_death_of_a_run() {
    struck(|_| (), |world| drop(world.apply(OTHER)), ONE, |world, place| only(world, OTHER, place));
    let removed = |world: &World| {
        world.write("");
        world.apply(ONE);
    };
    struck(
        |_| (),
        removed,
        ONE,
        |world, place| {
            assert_eq!(world.subscriptions(), BTreeMap::new(), "{place}");
            world.in_sync(ONE);
            world.write(PHONE);
        },
    );
}

#[test]
fn a_subscription_is_made_anew_on_request() {
    let world = World::with(PHONE);
    world.apply(ONE);
    let arn = world.subscriptions().into_keys().next().unwrap();
    world.run(&["apply", "-y", "--replace", "mobile"], ONE).code(0).has("1 added, 0 changed, 1 destroyed");
    only(&world, ONE, "replaced");
    assert!(!world.subscriptions().contains_key(&arn));
}

#[test]
fn mail_may_be_confirmed_between_two_runs() {
    let world = World::with(MAIL);
    world.apply(ONE);
    world.in_sync(ONE);
    let mark = world.tags("news").into_iter().find(|(key, _)| key.starts_with(MARK)).unwrap().1;
    let arn = format!("{}:{}", World::topic("news"), mark.split(':').next().unwrap());
    world.run(&["show"], ONE).code(0).has("pending confirmation").has(&arn);
    // The local cloud sends this to the endpoint.
    let token = URL_SAFE_NO_PAD.encode(Sha256::digest(&arn));
    let confirm = world.account.aws.sns().confirm_subscription().topic_arn(World::topic("news")).token(token);
    world.account.call(confirm.send());
    world.in_sync(ONE);
    world.run(&["show"], ONE).code(0).lacks("pending confirmation").has(&arn);
    world.write("");
    world.apply(ONE).has("1 destroyed");
    assert_eq!((world.subscriptions().len(), world.marked().len()), (0, 0));
}

#[test]
fn a_mark_that_fits_two_is_no_reason_to_unsubscribe_either() {
    let world = World::with("");
    world.apply(ONE);
    let digest = |phone: &str| hex(&format!("{}|sms|{}", World::topic("news"), &phone[1..]))[..4].to_owned();
    let twin =
        (0..9_999_999).map(|number| format!("+7000{number:07}")).find(|other| digest(other) == digest(ONE)).unwrap();
    world.mark("mobile:1", &format!("sms.{}:", digest(ONE)));
    world.subscribe(ONE);
    world.subscribe(&twin);
    for command in [["apply", "-y"], ["destroy", "-y"]] {
        world
            .run(&command, ONE)
            .code(1)
            .has("fit the unfinished mark `stackctl:sub:mobile:1`")
            .has("--adopt")
            .lacks("7999");
        assert_eq!(world.subscriptions().len(), 2);
    }
    // The file says which one it is.
    world.write(PHONE);
    world.run(&["apply", "-y", "--target", "mobile"], ONE).code(0).has("0 added, 1 changed, 0 destroyed");
    assert_eq!((world.marked(), world.digests()), (vec![ONE.to_owned()], 0));
    world.in_sync(ONE);
}

#[test]
fn a_subscription_is_taken_over_by_its_arn_and_let_go() {
    let world = World::with("");
    world.apply(ONE);
    world.subscribe(ONE);
    world.write(PHONE);
    world.run(&["plan"], ONE).code(1).has("--adopt mobile");
    let arn = world.subscriptions().into_keys().next().unwrap();
    world
        .run(&["apply", "-y", "--adopt", &format!("mobile={arn}")], ONE)
        .code(0)
        .has("0 added, 1 changed, 0 destroyed");
    only(&world, ONE, "adopted");
    let kept = PHONE.replace("protocol: sms", "protocol: sms, retain: true");
    world.write(&kept);
    world.apply(ONE);
    world.write("");
    // Without a check for drift, which finds a subscription that nobody says is his.
    world.run(&["apply", "-y", "--exclude", "news"], ONE).code(0).has("1 left in AWS");
    world.in_sync(ONE);
    assert_eq!(
        (world.subscriptions().len(), world.marked().len()),
        (1, 0),
        "it stays, and nothing says that it is ours"
    );
}
