//! Rules of security groups, one source each, in one form however they are written (`facts/aws.md` 12a.2).

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::kind::Fault;

/// Traffic that a group lets through: a protocol, its ports, and one source or destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, another protocol by its number, or `-1` for all.
    pub ip_protocol: String,
    /// First port; for ICMP the type. None for all protocols.
    pub from_port: Option<i32>,
    /// Last port, the first one when unset; for ICMP the code.
    pub to_port: Option<i32>,
    /// IPv4 addresses, such as `203.0.113.7/32`.
    pub cidr_ip: Option<String>,
    /// IPv6 addresses, such as `2001:db8::/32`.
    pub cidr_ipv6: Option<String>,
    /// Group of the other side; `self` for this one, `<account>/<id>` for one of another account.
    #[schemars(extend("x-pins" = "ec2_security_group"))]
    pub source_security_group_id: Option<String>,
    /// Prefix list of the other side.
    pub prefix_list_id: Option<String>,
    /// Description; at most 255 letters.
    pub description: Option<String>,
}

/// What leads from one list of rules to another.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Edits {
    pub(super) added: Vec<Rule>,
    pub(super) removed: Vec<Rule>,
    /// Rules of which only the description differs.
    pub(super) described: Vec<Rule>,
}

/// A rule as people write it; what is given and null is told from what is not given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    ip_protocol: Value,
    #[serde(default)]
    from_port: Option<i32>,
    #[serde(default)]
    to_port: Option<i32>,
    #[serde(default)]
    cidr_ip: Source,
    #[serde(default)]
    cidr_ipv6: Source,
    #[serde(default)]
    source_security_group_id: Source,
    #[serde(default)]
    prefix_list_id: Source,
    #[serde(default)]
    description: Option<String>,
}

/// A source of a rule.
#[derive(Default)]
enum Source {
    #[default]
    NotGiven,
    Null,
    Given(String),
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
        Ok(text.map_or(Self::Null, Self::Given))
    }
}

impl Source {
    fn text(self) -> Option<String> {
        match self {
            Self::Given(text) => Some(text),
            Self::NotGiven | Self::Null => None,
        }
    }
}

/// Reads a list of rules: one source each, sorted, without doubles and without rules whose sources are null.
///
/// # Errors
/// Returns what is no rule.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    let written = Vec::<Written>::deserialize(deserializer)?;
    let mut rules = Vec::new();
    for each in written {
        rules.extend(atoms(each).map_err(de::Error::custom)?);
    }
    Ok(sorted(rules))
}

fn sorted(mut rules: Vec<Rule>) -> Vec<Rule> {
    rules.sort();
    rules.dedup_by(|one, other| one.same_traffic(other));
    rules
}

fn atoms(written: Written) -> Result<Vec<Rule>, String> {
    let sources = [&written.cidr_ip, &written.cidr_ipv6, &written.source_security_group_id, &written.prefix_list_id];
    if sources.iter().all(|source| matches!(source, Source::NotGiven)) {
        let names = "cidr_ip, cidr_ipv6, source_security_group_id or prefix_list_id";
        return Err(format!("a rule needs one of {names}; 0.0.0.0/0 is everybody"));
    }
    let ip_protocol = protocol(&written.ip_protocol)?;
    let (from_port, to_port) = ports(&ip_protocol, written.from_port, written.to_port);
    let description = written.description.filter(|text| !text.is_empty());
    let base = Rule { ip_protocol, from_port, to_port, description, ..Rule::default() };
    let atoms = [
        written.cidr_ip.text().map(|cidr| Rule { cidr_ip: Some(cidr_v4(&cidr).unwrap_or(cidr)), ..base.clone() }),
        written.cidr_ipv6.text().map(|cidr| Rule { cidr_ipv6: Some(cidr_v6(&cidr).unwrap_or(cidr)), ..base.clone() }),
        written
            .source_security_group_id
            .text()
            .map(|group| Rule { source_security_group_id: Some(group), ..base.clone() }),
        written.prefix_list_id.text().map(|list| Rule { prefix_list_id: Some(list), ..base.clone() }),
    ];
    Ok(atoms.into_iter().flatten().collect())
}

/// Returns a protocol by the name that EC2 shows.
fn protocol(written: &Value) -> Result<String, String> {
    let text = match written {
        Value::String(text) => text.to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        other => return Err(format!("ip_protocol is a name or a number, not {other}")),
    };
    Ok(match text.as_str() {
        "all" => "-1".to_owned(),
        "1" => "icmp".to_owned(),
        "6" => "tcp".to_owned(),
        "17" => "udp".to_owned(),
        "58" => "icmpv6".to_owned(),
        _ => text,
    })
}

/// Only TCP, UDP and ICMP have ports, or what stands in their place.
fn ports(protocol: &str, from: Option<i32>, to: Option<i32>) -> (Option<i32>, Option<i32>) {
    match protocol {
        "tcp" | "udp" => (from, to.or(from)),
        "icmp" | "icmpv6" => (Some(from.unwrap_or(-1)), Some(to.unwrap_or(-1))),
        _ => (None, None),
    }
}

/// Writes a range with its host bits zeroed, as EC2 does; none when it is no range.
fn cidr_v4(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
    Some(format!("{}/{length}", Ipv4Addr::from(u32::from(address) & mask)))
}

fn cidr_v6(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (Ipv6Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let mask = u128::MAX.checked_shl(128_u32.checked_sub(length)?).unwrap_or(0);
    Some(format!("{}/{length}", Ipv6Addr::from(u128::from(address) & mask)))
}

impl Rule {
    /// Everything to anywhere over IPv4: what AWS gives a new group.
    pub(super) fn everything_out() -> Self {
        Self { ip_protocol: "-1".to_owned(), cidr_ip: Some("0.0.0.0/0".to_owned()), ..Self::default() }
    }

    fn same_traffic(&self, other: &Self) -> bool {
        let bare = |rule: &Self| Self { description: None, ..rule.clone() };
        bare(self) == bare(other)
    }
}

/// Lists what is wrong with rules.
pub(super) fn faults(field: &str, rules: &[Rule]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let mut fault = |name: &str, message: String, help: &str| {
            faults.push(Fault::new(format!("{field}.{at}.{name}"), message).help(help));
        };
        let known = ["tcp", "udp", "icmp", "icmpv6", "-1"].contains(&rule.ip_protocol.as_str());
        if !known && rule.ip_protocol.parse::<u8>().is_err() && !rule.ip_protocol.contains("${") {
            let help = "tcp, udp, icmp, icmpv6, a number from 0 to 255, or -1 for all";
            fault("ip_protocol", format!("{} is no protocol", rule.ip_protocol), help);
        }
        if ["tcp", "udp"].contains(&rule.ip_protocol.as_str()) {
            match (rule.from_port, rule.to_port) {
                (Some(from), Some(to)) if 0 <= from && from <= to && to <= 65535 => {}
                (None, _) => fault("from_port", "tcp and udp rules need ports".to_owned(), "0 to 65535 are all"),
                _ => fault("to_port", "ports go up, from 0 to 65535".to_owned(), "give from_port <= to_port"),
            }
        }
        let wrong = |text: &Option<String>, right: fn(&str) -> Option<String>| {
            text.clone().filter(|text| !text.contains("${") && right(text).is_none())
        };
        if let Some(text) = wrong(&rule.cidr_ip, cidr_v4) {
            fault("cidr_ip", format!("{text} is no range of IPv4 addresses"), "such as 203.0.113.7/32");
        }
        if let Some(text) = wrong(&rule.cidr_ipv6, cidr_v6) {
            fault("cidr_ipv6", format!("{text} is no range of IPv6 addresses"), "such as 2001:db8::/32");
        }
        if rule.description.as_ref().is_some_and(|text| text.len() > 255 && !text.contains("${")) {
            fault("description", "a description has at most 255 letters".to_owned(), "shorten it");
        }
    }
    faults
}

/// Tells what to add, remove and describe anew.
pub(super) fn edits(want: &[Rule], found: &[Rule]) -> Edits {
    let mut edits = Edits::default();
    for rule in want {
        match found.iter().find(|each| each.same_traffic(rule)) {
            None => edits.added.push(rule.clone()),
            Some(each) if each.description != rule.description => edits.described.push(rule.clone()),
            Some(_) => {}
        }
    }
    edits.removed = found.iter().filter(|rule| !want.iter().any(|each| each.same_traffic(rule))).cloned().collect();
    edits
}

/// Reads the rules of a group; its own id is `self`.
pub(super) fn read(permissions: &[IpPermission], own: &str, account: &str) -> Vec<Rule> {
    sorted(permissions.iter().flat_map(|permission| read_one(permission, own, account)).collect())
}

fn read_one(permission: &IpPermission, own: &str, account: &str) -> Vec<Rule> {
    let name = Value::from(permission.ip_protocol.clone().unwrap_or_default());
    let ip_protocol = protocol(&name).unwrap_or_default();
    let (from_port, to_port) = ports(&ip_protocol, permission.from_port, permission.to_port);
    let base = Rule { ip_protocol, from_port, to_port, ..Rule::default() };
    let with = |description: &Option<String>| Rule {
        description: description.clone().filter(|text| !text.is_empty()),
        ..base.clone()
    };
    let mut rules = Vec::new();
    for range in permission.ip_ranges.iter().flatten() {
        rules.push(Rule { cidr_ip: range.cidr_ip.clone(), ..with(&range.description) });
    }
    for range in permission.ipv6_ranges.iter().flatten() {
        let cidr = range.cidr_ipv6.as_ref().map(|cidr| cidr_v6(cidr).unwrap_or_else(|| cidr.clone()));
        rules.push(Rule { cidr_ipv6: cidr, ..with(&range.description) });
    }
    for pair in permission.user_id_group_pairs.iter().flatten() {
        let group = pair.group_id.clone().unwrap_or_default();
        let foreign = pair.user_id.as_ref().filter(|user| *user != account);
        let source = match foreign {
            _ if group == own => "self".to_owned(),
            Some(user) => format!("{user}/{group}"),
            None => group,
        };
        rules.push(Rule { source_security_group_id: Some(source), ..with(&pair.description) });
    }
    for list in permission.prefix_list_ids.iter().flatten() {
        rules.push(Rule { prefix_list_id: list.prefix_list_id.clone(), ..with(&list.description) });
    }
    rules
}

/// Writes rules for a call about the group with this id.
pub(super) fn write(rules: &[Rule], own: &str) -> Vec<IpPermission> {
    rules.iter().map(|rule| write_one(rule, own)).collect()
}

fn write_one(rule: &Rule, own: &str) -> IpPermission {
    let described = rule.description.clone();
    let range = |cidr: &String| IpRange::builder().cidr_ip(cidr).set_description(described.clone()).build();
    let range_v6 = |cidr: &String| Ipv6Range::builder().cidr_ipv6(cidr).set_description(described.clone()).build();
    let list = |id: &String| PrefixListId::builder().prefix_list_id(id).set_description(described.clone()).build();
    let pair = |source: &String| {
        let (user, group) = match source.split_once('/') {
            Some((user, group)) => (Some(user.to_owned()), group),
            None => (None, source.as_str()),
        };
        let group = if group == "self" { own } else { group };
        UserIdGroupPair::builder().set_user_id(user).group_id(group).set_description(described.clone()).build()
    };
    IpPermission::builder()
        .ip_protocol(&rule.ip_protocol)
        .set_from_port(rule.from_port)
        .set_to_port(rule.to_port)
        .set_ip_ranges(rule.cidr_ip.as_ref().map(|cidr| vec![range(cidr)]))
        .set_ipv6_ranges(rule.cidr_ipv6.as_ref().map(|cidr| vec![range_v6(cidr)]))
        .set_prefix_list_ids(rule.prefix_list_id.as_ref().map(|id| vec![list(id)]))
        .set_user_id_group_pairs(rule.source_security_group_id.as_ref().map(|source| vec![pair(source)]))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read_list(value: Value) -> Result<Vec<Rule>, String> {
        list(value).map_err(|error| error.to_string())
    }

    fn rule(value: &Value) -> Rule {
        read_list(json!([value])).unwrap().remove(0)
    }

    #[test]
    fn ways_of_writing_meet() {
        let ssh = rule(&json!({"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ip": "203.0.113.0/24"}));
        assert_eq!(rule(&json!({"ip_protocol": 6, "from_port": 22, "cidr_ip": "203.0.113.7/24"})), ssh);
        let all = rule(&json!({"ip_protocol": "-1", "cidr_ip": "0.0.0.0/0"}));
        assert_eq!(rule(&json!({"ip_protocol": "all", "from_port": 0, "to_port": 0, "cidr_ip": "0.0.0.0/0"})), all);
        assert_eq!(all, Rule::everything_out());
        let six = rule(&json!({"ip_protocol": "tcp", "from_port": 1, "cidr_ipv6": "2001:DB8:0::1/32"}));
        assert_eq!(six.cidr_ipv6.unwrap(), "2001:db8::/32");
    }

    #[test]
    fn a_null_source_drops_the_rule_and_a_missing_one_is_an_error() {
        let null = json!([{"ip_protocol": "tcp", "from_port": 22, "cidr_ip": null}]);
        assert_eq!(read_list(null).unwrap(), []);
        let none = json!([{"ip_protocol": "tcp", "from_port": 22}]);
        assert!(read_list(none).unwrap_err().contains("a rule needs one of"));
    }

    #[test]
    fn several_sources_are_several_rules() {
        let both = json!([{"ip_protocol": "tcp", "from_port": 22, "cidr_ip": "10.0.0.0/8", "cidr_ipv6": "::/0"}]);
        assert_eq!(read_list(both).unwrap().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        let rules = read_list(json!([
            {"ip_protocol": "tcp", "cidr_ip": "10.0.0.0/8"},
            {"ip_protocol": "tcp", "from_port": 5, "to_port": 4, "cidr_ip": "10.0.0.0/33"},
            {"ip_protocol": "ftp", "cidr_ip": "${x.cidr}"},
        ]));
        let mut paths: Vec<_> = faults("ingress", &rules.unwrap()).into_iter().map(|fault| fault.path).collect();
        paths.sort();
        let wanted = ["ingress.0.ip_protocol", "ingress.1.from_port", "ingress.2.cidr_ip", "ingress.2.to_port"];
        assert_eq!(paths, wanted);
    }

    #[test]
    fn only_a_description_is_not_a_new_rule() {
        let ssh = |text: &str| {
            rule(&json!({"ip_protocol": "tcp", "from_port": 22, "cidr_ip": "10.0.0.0/8", "description": text}))
        };
        let edits = edits(&[ssh("new")], &[ssh("old")]);
        assert_eq!(edits, Edits { described: vec![ssh("new")], ..Edits::default() });
    }

    fn any_rule() -> impl Strategy<Value = Value> {
        let source = prop_oneof![
            (any::<u32>(), 0..=32_u32)
                .prop_map(|(bits, length)| json!({"cidr_ip": format!("{}/{length}", Ipv4Addr::from(bits))})),
            (any::<u128>(), 0..=128_u32)
                .prop_map(|(bits, length)| json!({"cidr_ipv6": format!("{}/{length}", Ipv6Addr::from(bits))})),
            prop_oneof![Just("self"), Just("sg-1"), Just("210987654321/sg-2")]
                .prop_map(|group| json!({"source_security_group_id": group})),
            Just(json!({"prefix_list_id": "pl-1"})),
        ];
        let protocol = prop_oneof![Just("tcp"), Just("17"), Just("icmp"), Just("-1"), Just("50")];
        (protocol, 0..100_i32, 0..100_i32, source, "[a-b]?").prop_map(|(protocol, from, more, source, text)| {
            let mut rule =
                json!({"ip_protocol": protocol, "from_port": from, "to_port": from + more, "description": text});
            rule.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
            rule
        })
    }

    proptest! {
        #[test]
        fn normal_form_is_idempotent_and_survives_the_wire(rules in prop::collection::vec(any_rule(), 0..6)) {
            let normal = read_list(Value::from(rules)).unwrap();
            prop_assert_eq!(&read_list(serde_json::to_value(&normal).unwrap()).unwrap(), &normal);
            prop_assert_eq!(&read(&write(&normal, "sg-0"), "sg-0", "123456789012"), &normal);
            prop_assert_eq!(faults("ingress", &normal), []);
        }

        #[test]
        fn edits_lead_from_one_list_to_the_other(
            want in prop::collection::vec(any_rule(), 0..6), found in prop::collection::vec(any_rule(), 0..6)
        ) {
            let (want, found) = (read_list(Value::from(want)).unwrap(), read_list(Value::from(found)).unwrap());
            let edits = edits(&want, &found);
            let gone = |rule: &Rule| edits.removed.contains(rule) || edits.described.iter().any(|each| each.same_traffic(rule));
            let mut after: Vec<Rule> = found.into_iter().filter(|rule| !gone(rule)).collect();
            after.extend(edits.added.iter().chain(&edits.described).cloned());
            prop_assert_eq!(sorted(after), want);
        }
    }
}
