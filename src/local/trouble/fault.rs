//! How each service words the faults that are injected (`facts/aws.md` 0.1, 0.4 and the services' own sections).

use super::rule::What;
use super::seen;
use crate::local::registry::Entry;
use crate::local::{Call, Fault, access};

/// Makes the fault of a service.
pub(super) fn of(what: What, entry: &Entry, call: &Call) -> Fault {
    let operation = seen::operation(entry, call);
    match what {
        What::Throttle => throttle(entry.signing, &operation, call),
        What::Quota => quota(entry.signing, &operation, call),
        What::Denied => access::denied(entry, call, &operation),
        What::Unavailable => unavailable(entry.signing),
        _ => internal(entry.signing),
    }
}

/// `facts/aws.md` 0.1, 1, 9, 10, 11, 12b.6, 13, 17.
fn throttle(service: &str, operation: &str, call: &Call) -> Fault {
    let rate = "Rate exceeded";
    match service {
        "kinesis" if is_data(operation) => {
            let text =
                format!("Rate exceeded for shard shardId-000000000000 in stream under account {}.", call.account);
            Fault::new("ProvisionedThroughputExceededException", text)
        }
        "kinesis" => {
            let name = call.json()["StreamName"].as_str().unwrap_or_default();
            Fault::new(
                "LimitExceededException",
                format!("Rate exceeded for stream {name} under account {}.", call.account),
            )
        }
        "dynamodb" if is_data(operation) => {
            let text = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.";
            Fault::new("ProvisionedThroughputExceededException", text)
        }
        "dynamodb" => Fault::new("ThrottlingException", "Rate of requests exceeds the allowed throughput."),
        "iam" | "sts" => Fault::new("Throttling", rate),
        "sns" => Fault::with_status(429, "Throttled", rate),
        "lambda" => Fault::with_status(429, "TooManyRequestsException", rate),
        "ec2" => Fault::with_status(503, "RequestLimitExceeded", "Request limit exceeded."),
        "tagging" => Fault::new("ThrottledException", rate),
        _ => Fault::new("ThrottlingException", rate),
    }
}

fn is_data(operation: &str) -> bool {
    matches!(operation, "PutRecord" | "PutRecords" | "GetRecords" | "Query" | "Scan") || operation.ends_with("Item")
}

fn internal(service: &str) -> Fault {
    let (code, text) = match service {
        "ec2" => ("InternalError", "An internal error has occurred"),
        "dynamodb" => ("InternalServerError", "Internal server error"),
        "lambda" => ("ServiceException", "An error occurred and the request cannot be processed."),
        "iam" => ("ServiceFailure", "The request processing has failed because of an unknown error."),
        _ => {
            ("InternalFailure", "The request processing has failed because of an unknown error, exception or failure.")
        }
    };
    Fault::with_status(500, code, text)
}

fn unavailable(service: &str) -> Fault {
    let (code, text) = match service {
        "ec2" => ("Unavailable", "The service is unavailable. Please try again shortly."),
        "logs" | "kinesisanalytics" => ("ServiceUnavailableException", "The service is currently unavailable."),
        _ => ("ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
    };
    Fault::with_status(503, code, text)
}

/// `facts/aws.md` 0.1, 1, 2, 4, 9, 10, 11, 12.
fn quota(service: &str, operation: &str, call: &Call) -> Fault {
    match service {
        "kinesis" => {
            let text = format!(
                "This request would exceed the shard limit for the account {} in {}. Current shard count for the account: 200. Limit: 200. Number of additional shards that would have resulted from this request: 1.",
                call.account, call.region
            );
            Fault::new("LimitExceededException", text)
        }
        "dynamodb" => Fault::new(
            "LimitExceededException",
            "Subscriber limit exceeded: There is a limit of 2500 tables per subscriber",
        ),
        "iam" => Fault::with_status(409, "LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000"),
        "sns" if operation == "Subscribe" => Fault::with_status(
            403,
            "SubscriptionLimitExceeded",
            "The account already owns the maximum number of allowed subscriptions.",
        ),
        "sns" => Fault::with_status(
            403,
            "TopicLimitExceeded",
            "The account already owns the maximum number of allowed topics.",
        ),
        "ssm" => {
            Fault::new("ParameterLimitExceeded", "You have exceeded the number of parameters for this AWS account.")
        }
        "lambda" => Fault::new("CodeStorageExceededException", "Code storage limit exceeded."),
        "ec2" if operation.contains("SecurityGroup") => {
            Fault::new("SecurityGroupLimitExceeded", "The maximum number of security groups has been reached.")
        }
        "ec2" if operation == "RequestSpotInstances" => {
            Fault::new("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        }
        "ec2" => Fault::new(
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        ),
        _ => Fault::new("LimitExceededException", "Resource limit exceeded."),
    }
}
