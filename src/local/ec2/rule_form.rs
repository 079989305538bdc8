//! Reads permissions of a request into single rules: one protocol, one span of ports, one source.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::super::{Call, Fault, Params, Tx};
use super::{group, invalid};

/// Returns the rules that `IpPermissions` (or the old single-rule parameters) describe.
pub(super) fn parse(tx: &Tx<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let permissions = call.params().list("IpPermissions");
    let mut rules = Vec::new();
    for permission in &permissions {
        parse_permission(tx, call, permission, &mut rules)?;
    }
    if permissions.is_empty() && call.params().get("IpProtocol").is_some() {
        rules.push(rule_with(
            base(call.params())?,
            "cidrIpv4",
            ipv4(call.params().get("CidrIp").unwrap_or_default())?,
            None,
        )?);
    }
    if permissions.is_empty() && rules.is_empty() {
        return Err(super::missing("ipPermissions"));
    }
    Ok(rules)
}

fn parse_permission(tx: &Tx<'_>, call: &Call, permission: &Params, rules: &mut Vec<Value>) -> Result<(), Fault> {
    let base = base(permission)?;
    let before = rules.len();
    for range in permission.list("IpRanges") {
        let cidr = ipv4(range.get("CidrIp").unwrap_or_default())?;
        rules.push(rule_with(base.clone(), "cidrIpv4", cidr, range.get("Description"))?);
    }
    for range in permission.list("Ipv6Ranges") {
        let cidr = ipv6(range.get("CidrIpv6").unwrap_or_default())?;
        rules.push(rule_with(base.clone(), "cidrIpv6", cidr, range.get("Description"))?);
    }
    for list in permission.list("PrefixListIds") {
        let id = list.get("PrefixListId").unwrap_or_default();
        rules.push(rule_with(base.clone(), "prefixListId", id.to_owned(), list.get("Description"))?);
    }
    for peer in permission.list("Groups") {
        let row = match (peer.get("GroupId"), peer.get("GroupName")) {
            (Some(id), _) => group::load(tx, id)?,
            (None, name) => group::by_name(tx, name.unwrap_or_default())?,
        };
        rules.push(rule_for_peer(call, base.clone(), row.text("groupId"), peer.get("Description"))?);
    }
    if rules.len() == before {
        return Err(super::missing("source or destination of the rule"));
    }
    Ok(())
}

/// Reads a `SecurityGroupRuleRequest`, as `ModifySecurityGroupRules` sends it.
pub(super) fn parse_request(tx: &Tx<'_>, call: &Call, request: &Params) -> Result<Value, Fault> {
    let base = base(request)?;
    let description = request.get("Description");
    if let Some(cidr) = request.get("CidrIpv4") {
        return rule_with(base, "cidrIpv4", ipv4(cidr)?, description);
    }
    if let Some(cidr) = request.get("CidrIpv6") {
        return rule_with(base, "cidrIpv6", ipv6(cidr)?, description);
    }
    if let Some(id) = request.get("PrefixListId") {
        return rule_with(base, "prefixListId", id.to_owned(), description);
    }
    let peer = request.get("ReferencedGroupId").ok_or_else(|| super::missing("CidrIpv4"))?;
    rule_for_peer(call, base, group::load(tx, peer)?.text("groupId"), description)
}

fn rule_with(mut base: Value, field: &str, source: String, description: Option<&str>) -> Result<Value, Fault> {
    base[field] = Value::String(source);
    described(base, description)
}

fn rule_for_peer(call: &Call, mut base: Value, id: &str, description: Option<&str>) -> Result<Value, Fault> {
    base["referencedGroupInfo"] = json!({ "groupId": id, "userId": call.account });
    described(base, description)
}

fn described(mut rule: Value, description: Option<&str>) -> Result<Value, Fault> {
    if let Some(description) = description.filter(|text| !text.is_empty()) {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(letter);
        if description.chars().count() > 255 || !description.chars().all(allowed) {
            return Err(invalid(format!(
                "Invalid rule description '{description}': at most 255 characters of a limited set"
            )));
        }
        rule["description"] = json!(description);
    }
    Ok(rule)
}

/// Reads protocol and ports; numbers become names and "-1" has no ports (`facts/aws.md` 12a.2).
fn base(permission: &Params) -> Result<Value, Fault> {
    let protocol = protocol(permission.get("IpProtocol").ok_or_else(|| super::missing("ipProtocol"))?)?;
    let port = |field: &str| -> Result<Option<i64>, Fault> {
        let parse = |text: &str| text.parse().map_err(|_| invalid(format!("Invalid value '{text}' for {field}")));
        permission.get(field).map(parse).transpose()
    };
    let (from, to) = match protocol.as_str() {
        "tcp" | "udp" => span(port("FromPort")?, port("ToPort")?, &protocol)?,
        "icmp" | "icmpv6" => (port("FromPort")?.unwrap_or(-1), port("ToPort")?.unwrap_or(-1)),
        _ => (-1, -1),
    };
    Ok(json!({ "ipProtocol": protocol, "fromPort": from, "toPort": to }))
}

fn protocol(text: &str) -> Result<String, Fault> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "6" | "tcp" => "tcp".to_owned(),
        "17" | "udp" => "udp".to_owned(),
        "1" | "icmp" => "icmp".to_owned(),
        "58" | "icmpv6" => "icmpv6".to_owned(),
        "all" | "-1" => "-1".to_owned(),
        other if other.parse::<u8>().is_ok() => other.to_owned(),
        other => return Err(invalid(format!("Invalid value '{other}' for IP protocol. Unknown protocol."))),
    })
}

fn span(from: Option<i64>, to: Option<i64>, protocol: &str) -> Result<(i64, i64), Fault> {
    let (Some(from), Some(to)) = (from, to) else {
        return Err(invalid(format!(
            "Invalid value 'Must specify both from and to ports with {}.' for portRange.",
            protocol.to_uppercase()
        )));
    };
    let valid = 0..=65535;
    if !valid.contains(&from) || !valid.contains(&to) || from > to {
        return Err(invalid(format!("Invalid TCP/UDP port range ({from}:{to})")));
    }
    Ok((from, to))
}

fn bad_cidr(text: &str) -> Fault {
    invalid(format!("CIDR block {text} is malformed"))
}

fn ipv4(text: &str) -> Result<String, Fault> {
    let (address, bits) = text.split_once('/').ok_or_else(|| bad_cidr(text))?;
    let address: Ipv4Addr = address.parse().map_err(|_| bad_cidr(text))?;
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32).ok_or_else(|| bad_cidr(text))?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    Ok(format!("{}/{bits}", Ipv4Addr::from(u32::from(address) & mask)))
}

fn ipv6(text: &str) -> Result<String, Fault> {
    let (address, bits) = text.split_once('/').ok_or_else(|| bad_cidr(text))?;
    let address: Ipv6Addr = address.parse().map_err(|_| bad_cidr(text))?;
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 128).ok_or_else(|| bad_cidr(text))?;
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    Ok(format!("{}/{bits}", Ipv6Addr::from(u128::from(address) & mask)))
}

/// Tells whether two rules are the same but for their descriptions.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    ["ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "prefixListId", "referencedGroupInfo"]
        .iter()
        .all(|field| one.get(field) == other.get(field))
}

/// Writes a rule as EC2's texts do.
pub(super) fn words(rule: &Value) -> String {
    let text = |field: &str| rule.get(field).and_then(Value::as_str);
    let peer = text("cidrIpv4").or_else(|| text("cidrIpv6")).or_else(|| text("prefixListId"));
    let peer =
        peer.or_else(|| rule.pointer("/referencedGroupInfo/groupId").and_then(Value::as_str)).unwrap_or_default();
    match text("ipProtocol") {
        Some("-1") | None => format!("peer: {peer}, ALL, ALLOW"),
        Some(protocol) => {
            let (from, to) = (&rule["fromPort"], &rule["toPort"]);
            format!("peer: {peer}, {}, from port: {from}, to port: {to}, ALLOW", protocol.to_uppercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_of_a_source_are_zeroed() {
        assert_eq!(ipv4("10.1.2.3/8").unwrap(), "10.0.0.0/8");
        assert_eq!(ipv4("1.2.3.4/0").unwrap(), "0.0.0.0/0");
        assert_eq!(ipv6("2001:DB8::1/32").unwrap(), "2001:db8::/32");
        assert!(ipv4("10.1.2.3").is_err() && ipv4("10.1.2/8").is_err() && ipv6("::/129").is_err());
    }

    #[test]
    fn protocols_have_names_and_ports_a_range() {
        assert_eq!(protocol("6").unwrap(), "tcp");
        assert!(protocol("carrier pigeon").is_err());
        assert!(span(Some(22), Some(21), "tcp").is_err() && span(Some(22), None, "tcp").is_err());
        assert!(span(Some(0), Some(65535), "tcp").is_ok() && span(Some(0), Some(65536), "udp").is_err());
    }
}
