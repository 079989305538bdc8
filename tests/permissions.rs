//! The roles of the ticket stack: what their grants let them do is what the functions, the pollers and the
//! application do, and not more. Every call goes through the policies that the stack made.

use aws_credential_types::Credentials;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use stackctl::aws::Aws;

use crate::support::account::{self, ACCOUNT, Account, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::Sandbox;

/// The applied stack.
struct World {
    listener: Listener,
    account: Account,
    _sandbox: Sandbox,
}

impl World {
    fn new() -> Self {
        let home = Sandbox::with_stacks();
        let listener = Listener::start(&home);
        let sandbox = home.remote(listener.url());
        sandbox.ok(&["apply", "-y", "stacks/airline_tickets.yaml"]);
        Self { account: Account::at(listener.url(), ACCOUNT, REGION), listener, _sandbox: sandbox }
    }

    /// Returns the clients of a session of a role, whose trust policy then lets the account in as well.
    fn session(&self, role: &str) -> Aws {
        let iam = self.account.aws.iam();
        let arn = self.account.call(iam.get_role().role_name(role).send()).role.unwrap().arn;
        let statement = format!(
            r#"{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}}}"#
        );
        let trust = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        self.account.call(iam.update_assume_role_policy().role_name(role).policy_document(trust).send());
        let keys = Credentials::from_keys(ACCOUNT, "none", None);
        let sts = aws_sdk_sts::Client::new(&account::config(self.listener.url(), keys, REGION));
        let session = self.account.call(sts.assume_role().role_arn(arn).role_session_name("test").send());
        let given = session.credentials.unwrap();
        let token = Some(given.session_token);
        Account::with(
            self.listener.url(),
            Credentials::from_keys(given.access_key_id, given.secret_access_key, token),
            ACCOUNT,
            REGION,
        )
        .aws
    }

    fn may<T, E: std::fmt::Debug>(&self, call: impl Future<Output = Result<T, E>>) -> T {
        self.account.call(call)
    }

    #[track_caller]
    fn may_not<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) {
        let error = self.account.fails(call);
        let known = ["AccessDeniedException", "AuthorizationError"];
        assert!(error.code().is_some_and(|code| known.contains(&code)), "{error:?}");
    }

    /// Reads a stream as the pollers of Lambda and Analytics do.
    fn reads(&self, aws: &Aws, stream: &str) {
        let kinesis = aws.kinesis();
        self.may(kinesis.describe_stream().stream_name(stream).send());
        self.may(kinesis.describe_stream_summary().stream_name(stream).send());
        let shards = self.may(kinesis.list_shards().stream_name(stream).send()).shards.unwrap();
        let iterator = kinesis.get_shard_iterator().stream_name(stream).shard_id(shards[0].shard_id());
        let iterator = self.may(iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send());
        self.may(kinesis.get_records().set_shard_iterator(iterator.shard_iterator).send());
    }

    fn logs(&self, aws: &Aws, group: &str) {
        let logs = aws.logs();
        self.may(logs.create_log_stream().log_group_name(group).log_stream_name("s").send());
        let event = InputLogEvent::builder().timestamp(1_790_000_000_000).message("m").build().unwrap();
        self.may(logs.put_log_events().log_group_name(group).log_stream_name("s").log_events(event).send());
        self.may_not(logs.create_log_group().log_group_name("other").send());
    }
}

fn put(aws: &Aws, stream: &str) -> aws_sdk_kinesis::operation::put_records::builders::PutRecordsFluentBuilder {
    let entry = PutRecordsRequestEntry::builder().data(Blob::new("{}")).partition_key("k").build().unwrap();
    aws.kinesis().put_records().stream_name(stream).records(entry)
}

#[test]
fn the_roles_of_the_ticket_stack_may_do_what_they_must_and_no_more() {
    let world = World::new();
    collector(&world);
    notifier(&world);
    application(&world);
    producer(&world);
}

fn collector(world: &World) {
    let aws = world.session("Lambda-TicketsProcessingRole");
    world.reads(&aws, "airline_tickets");
    let item = PutRequest::builder().item("record_id", AttributeValue::S("r".to_owned())).build().unwrap();
    let write = WriteRequest::builder().put_request(item).build();
    world.may(aws.dynamodb().batch_write_item().request_items("airline_tickets", vec![write.clone()]).send());
    world.may_not(aws.dynamodb().batch_write_item().request_items("other_table", vec![write]).send());
    world.may_not(aws.dynamodb().scan().table_name("airline_tickets").send());
    world.logs(&aws, "/aws/lambda/airline_collector");
    world.may_not(put(&aws, "airline_tickets").send());
    world.may_not(aws.kinesis().list_shards().stream_name("special_stream").send());
}

fn notifier(world: &World) {
    let aws = world.session("Lambda-AlarmNotifierRole");
    world.reads(&aws, "special_stream");
    let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:Airlines");
    world.may(aws.sns().publish().topic_arn(topic).message("m").send());
    world.may_not(aws.sns().publish().phone_number("+79990001122").message("m").send());
    world.logs(&aws, "/aws/lambda/alarm_notifier");
    world.may_not(aws.kinesis().list_shards().stream_name("airline_tickets").send());
}

fn application(world: &World) {
    let aws = world.session("KinesisAnalytics-AirlinesRole");
    world.reads(&aws, "airline_tickets");
    world.may(put(&aws, "special_stream").send());
    world.may_not(put(&aws, "airline_tickets").send());
}

fn producer(world: &World) {
    let aws = world.session("EC2-TicketsProducerRole");
    world.may(put(&aws, "airline_tickets").send());
    let name = "/airline_tickets/token";
    let parameter = world.account.aws.ssm().put_parameter().name(name).value("t");
    world.may(parameter.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send());
    world.may(aws.ssm().get_parameter().name(name).with_decryption(true).send());
    world.may_not(aws.ssm().get_parameters().names(name).send());
    world.may_not(put(&aws, "special_stream").send());
}
