//! Text message preferences of the account in one region: `facts/aws.md` 10c.

use std::collections::BTreeMap;

use crate::local::store::Table;
use crate::local::{Call, Fault, Tx, Xml, iam};

use super::{Operation, entries, invalid, map};

const PREFERENCES: Table = Table::regional("sns.sms");

/// Spending limit of a new account in US dollars a month.
const MOST_SPENDING: u32 = 1;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("SetSMSAttributes", set),
    ("GetSMSAttributes", get),
    ("GetSMSSandboxAccountStatus", |_, _| Ok(Xml::new().text("IsInSandbox", false))),
    ("CheckIfPhoneNumberIsOptedOut", |_, _| Ok(Xml::new().text("isOptedOut", false))),
];

fn set(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut kept = read(tx)?;
    for (name, value) in entries(call, "attributes") {
        check(tx, &name, &value)?;
        if value.is_empty() {
            kept.remove(&name);
        } else {
            kept.insert(name, value);
        }
    }
    tx.put(PREFERENCES, "all", &kept)?;
    Ok(Xml::new())
}

fn read(tx: &Tx<'_>) -> Result<BTreeMap<String, String>, Fault> {
    Ok(tx.get(PREFERENCES, "all")?.unwrap_or_default())
}

fn check(tx: &Tx<'_>, name: &str, value: &str) -> Result<(), Fault> {
    let known = [
        "MonthlySpendLimit",
        "DeliveryStatusIAMRole",
        "DeliveryStatusSuccessSamplingRate",
        "DefaultSenderID",
        "DefaultSMSType",
        "UsageReportS3Bucket",
    ];
    if !known.contains(&name) {
        return Err(invalid(format!("{name} is not a valid attribute name")));
    }
    let good = value.is_empty()
        || match name {
            "MonthlySpendLimit" => value.parse::<u32>().is_ok_and(|limit| limit <= MOST_SPENDING),
            "DeliveryStatusIAMRole" => iam::role_trusts(tx, value, "sns.amazonaws.com")?,
            "DeliveryStatusSuccessSamplingRate" => value.parse::<u32>().is_ok_and(|rate| rate <= 100),
            "DefaultSenderID" => is_sender(value),
            "DefaultSMSType" => value == "Promotional" || value == "Transactional",
            _ => true,
        };
    if good { Ok(()) } else { Err(invalid(format!("{name} Reason: '{value}' is not allowed"))) }
}

fn is_sender(value: &str) -> bool {
    value.len() <= 11
        && value.chars().all(|letter| letter.is_ascii_alphanumeric())
        && value.chars().any(|letter| letter.is_ascii_alphabetic())
}

fn get(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let wanted = call.params().texts("attributes");
    let mut kept = read(tx)?;
    kept.retain(|name, _| wanted.is_empty() || wanted.contains(name));
    Ok(map("attributes", &kept))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, value};

    fn set(bench: &Bench, name: &str, value: &str) -> Result<String, String> {
        let fields = [("attributes.entry.1.key", name), ("attributes.entry.1.value", value)];
        bench.run("SetSMSAttributes", &fields).map_err(|fault| fault.code)
    }

    #[test]
    fn preferences_merge_and_reset() {
        let bench = Bench::new();
        set(&bench, "DefaultSMSType", "Promotional").unwrap();
        set(&bench, "MonthlySpendLimit", "1").unwrap();
        let all = bench.ok("GetSMSAttributes", &[]);
        assert_eq!(value(&all, "DefaultSMSType").as_deref(), Some("Promotional"));
        assert_eq!(value(&all, "MonthlySpendLimit").as_deref(), Some("1"));
        set(&bench, "DefaultSMSType", "").unwrap();
        assert_eq!(value(&bench.ok("GetSMSAttributes", &[]), "DefaultSMSType"), None);
        let one = bench.ok("GetSMSAttributes", &[("attributes.member.1", "UsageReportS3Bucket")]);
        assert_eq!(value(&one, "MonthlySpendLimit"), None);
    }

    #[test]
    fn wrong_values_are_refused() {
        let bench = Bench::new();
        for (name, value) in [
            ("DefaultSMSType", "Loud"),
            ("MonthlySpendLimit", "2"),
            ("DefaultSenderID", "12345"),
            ("DefaultSenderID", "TwelveLetter"),
            ("DeliveryStatusSuccessSamplingRate", "101"),
            ("DeliveryStatusIAMRole", "arn:aws:iam::000000000000:role/none"),
            ("Colour", "red"),
        ] {
            assert_eq!(set(&bench, name, value), Err("InvalidParameter".to_owned()), "{name}");
        }
    }
}
