//! The list of services: how each is addressed, how it is spoken to, who answers, and what it tags.
//!
//! A new service is one file and one entry here. It does not know what the operations of a service are.

use super::Service;
use super::store::Table;

/// Wire protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// AWS JSON: the operation is in `X-Amz-Target`.
    Json,
    /// AWS Query with this XML namespace: the operation is the field `Action`.
    Query(&'static str),
    /// EC2's own form of Query.
    Ec2,
    /// REST-JSON: method and path are the operation.
    Rest,
}

/// Who answers the calls of a service.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// A function of the stored rows.
    Rows(&'static dyn Service),
    /// Kinesis: the engine for streams, and the log of records.
    Streams,
    /// The DynamoDB engine, and rows for what it lacks.
    Tables,
    /// Lambda: rows, and the functions' processes.
    Functions,
}

/// One service.
pub(crate) struct Entry {
    /// Name in the credential scope of signed requests.
    pub(crate) signing: &'static str,
    /// Prefix of `X-Amz-Target` before the dot; empty for services without targets.
    pub(crate) target: &'static str,
    /// API version, by which unsigned Query requests and REST paths are told apart.
    pub(crate) version: &'static str,
    pub(crate) wire: Wire,
    pub(crate) handler: Handler,
    /// Tables whose rows carry `arn` and `tags` at their top level and show in the tagging API.
    pub(crate) taggable: &'static [Table],
}

/// All services of the local cloud.
pub(crate) static SERVICES: &[Entry] = &[
    Entry {
        signing: "kinesis",
        target: "Kinesis_20131202",
        version: "2013-12-02",
        wire: Wire::Json,
        handler: Handler::Streams,
        taggable: &[super::kinesis::STREAMS],
    },
    Entry {
        signing: "dynamodb",
        target: "DynamoDB_20120810",
        version: "2012-08-10",
        wire: Wire::Json,
        handler: Handler::Tables,
        taggable: &[super::dynamodb::TABLES],
    },
    Entry {
        signing: "dynamodb",
        target: "DynamoDBStreams_20120810",
        version: "2012-08-10",
        wire: Wire::Json,
        handler: Handler::Tables,
        taggable: &[],
    },
    Entry {
        signing: "iam",
        target: "",
        version: "2010-05-08",
        wire: Wire::Query("https://iam.amazonaws.com/doc/2010-05-08/"),
        handler: Handler::Rows(&super::iam::Iam),
        taggable: &[],
    },
    Entry {
        signing: "sns",
        target: "",
        version: "2010-03-31",
        wire: Wire::Query("http://sns.amazonaws.com/doc/2010-03-31/"),
        handler: Handler::Rows(&super::sns::Sns),
        taggable: &[super::sns::TOPICS],
    },
    Entry {
        signing: "ssm",
        target: "AmazonSSM",
        version: "2014-11-06",
        wire: Wire::Json,
        handler: Handler::Rows(&super::ssm::Ssm),
        taggable: &[super::ssm::PARAMETERS],
    },
    Entry {
        signing: "logs",
        target: "Logs_20140328",
        version: "2014-03-28",
        wire: Wire::Json,
        handler: Handler::Rows(&super::logs::Logs),
        taggable: &[super::logs::GROUPS],
    },
    Entry {
        signing: "sts",
        target: "",
        version: "2011-06-15",
        wire: Wire::Query("https://sts.amazonaws.com/doc/2011-06-15/"),
        handler: Handler::Rows(&super::sts::Sts),
        taggable: &[],
    },
    Entry {
        signing: "tagging",
        target: "ResourceGroupsTaggingAPI_20170126",
        version: "2017-01-26",
        wire: Wire::Json,
        handler: Handler::Rows(&super::tagging::Tagging),
        taggable: &[],
    },
    Entry {
        signing: "cloudtrail",
        target: "CloudTrail_20131101",
        version: "2013-11-01",
        wire: Wire::Json,
        handler: Handler::Rows(&super::cloudtrail::CloudTrail),
        taggable: &[],
    },
    Entry {
        signing: "lambda",
        target: "",
        version: "2015-03-31",
        wire: Wire::Rest,
        handler: Handler::Functions,
        taggable: super::lambda::TAGGABLE,
    },
    Entry {
        signing: "ec2",
        target: "",
        version: "2016-11-15",
        wire: Wire::Ec2,
        handler: Handler::Rows(&super::ec2::Ec2),
        taggable: super::ec2::TAGGABLE,
    },
    Entry {
        signing: "kinesisanalytics",
        target: "KinesisAnalytics_20150814",
        version: "2015-08-14",
        wire: Wire::Json,
        handler: Handler::Rows(&super::analytics::Analytics),
        taggable: super::analytics::TAGGABLE,
    },
    Entry {
        signing: "kinesisanalytics",
        target: "KinesisAnalytics_20180523",
        version: "2018-05-23",
        wire: Wire::Json,
        handler: Handler::Rows(&super::analytics::Second),
        taggable: &[],
    },
];
