//! Security groups in Terraform: `aws_security_group` with the rules that stand by themselves.

use serde_json::{Map, Value};

use crate::kind::{
    Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, pascal, properties,
};

const RULE: &str = "aws_security_group_rule";
const INGRESS: &str = "aws_vpc_security_group_ingress_rule";
const EGRESS: &str = "aws_vpc_security_group_egress_rule";

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_security_group"],
        parts: &[(RULE, "security_group_id"), (INGRESS, "security_group_id"), (EGRESS, "security_group_id")],
        name: "name",
        outputs: &[("id", "id"), ("arn", "arn"), ("name", "name")],
        names: &[],
        physical: &["id"],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::EC2::SecurityGroup",
        identifier: ("Id", "id"),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, pieces: &[Piece<'_>], draft: &mut Draft) {
    draft.copy(from, &[("description", "description"), ("vpc_id", "vpc_id")]);
    let own = from.text("id").unwrap_or_default();
    for (side, kind) in [("ingress", INGRESS), ("egress", EGRESS)] {
        let inside = from.blocks(side).into_iter();
        let outside = pieces.iter().filter(|piece| is_of_side(piece, side, kind)).map(|piece| piece.attributes);
        let rules = distinct(inside.chain(outside).flat_map(|rule| atoms(rule, own)));
        // No rule at all is something to say: unset stands for everything that goes out.
        draft.fields.insert(side.to_owned(), rules.into());
    }
}

fn is_of_side(piece: &Piece<'_>, side: &str, kind: &str) -> bool {
    piece.kind == kind || (piece.kind == RULE && piece.attributes.text("type") == Some(side))
}

/// Splits a rule into one for each source.
fn atoms(rule: Attributes<'_>, own: &str) -> Vec<Value> {
    let lists = [
        ("cidr_blocks", "cidr_ip"),
        ("ipv6_cidr_blocks", "cidr_ipv6"),
        ("prefix_list_ids", "prefix_list_id"),
        ("security_groups", "source_security_group_id"),
    ];
    let singles = [
        ("cidr_ipv4", "cidr_ip"),
        ("cidr_ipv6", "cidr_ipv6"),
        ("prefix_list_id", "prefix_list_id"),
        ("source_security_group_id", "source_security_group_id"),
        ("referenced_security_group_id", "source_security_group_id"),
    ];
    let many = lists.iter().flat_map(|(from, to)| rule.texts(from).into_iter().map(|source| (*to, source)));
    let one = singles.iter().filter_map(|(from, to)| Some((*to, rule.text(from)?)));
    let itself = rule.flag("self").then_some(("source_security_group_id", "self"));
    let sources = many.chain(one).chain(itself);
    sources.map(|(field, source)| atom(rule, field, if source == own { "self" } else { source })).collect()
}

fn atom(rule: Attributes<'_>, field: &str, source: &str) -> Value {
    let protocol = rule.value("protocol").or_else(|| rule.value("ip_protocol")).cloned().unwrap_or_default();
    let mut fields = Map::new();
    let ports = !["-1", "all"].contains(&protocol.as_str().unwrap_or_default());
    fields.insert("ip_protocol".to_owned(), protocol);
    for name in ["from_port", "to_port"] {
        fields.extend(rule.value(name).filter(|_| ports).map(|port| (name.to_owned(), port.clone())));
    }
    fields.insert(field.to_owned(), source.into());
    fields.extend(rule.value("description").map(|text| ("description".to_owned(), text.clone())));
    fields.into()
}

/// Drops what a state file tells twice: with the group, once it was refreshed, and as a rule of its own.
fn distinct(rules: impl Iterator<Item = Value>) -> Vec<Value> {
    let traffic = |rule: &Value| {
        let mut rule = rule.clone();
        rule.as_object_mut().map(|rule| rule.remove("description"));
        rule
    };
    let mut kept: Vec<Value> = Vec::new();
    for rule in rules {
        if !kept.iter().any(|known| traffic(known) == traffic(&rule)) {
            kept.push(rule);
        }
    }
    kept
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_security_group", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let mut all = properties(found, &[("description", "GroupDescription"), ("vpc_id", "VpcId")]);
    all.insert("GroupName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    let own = found.outputs.get("id").cloned().unwrap_or_default();
    for (field, property, other) in [
        ("ingress", "SecurityGroupIngress", "SourceSecurityGroupId"),
        ("egress", "SecurityGroupEgress", "DestinationSecurityGroupId"),
    ] {
        let rules = found.spec.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(pascal);
        let rules: Vec<Value> = rules.map(|rule| for_side(rule, other, &own)).collect();
        if !rules.is_empty() {
            all.insert(property.to_owned(), rules.into());
        }
    }
    all
}

/// Writes a rule for its direction.
fn for_side(mut rule: Value, other: &str, own: &Value) -> Value {
    let Some(fields) = rule.as_object_mut() else { return rule };
    if let Some(group) = fields.remove("SourceSecurityGroupId") {
        fields.insert(other.to_owned(), if group == "self" { own.clone() } else { group });
    }
    if let Some(list) = fields.remove("PrefixListId") {
        fields.insert(other.replace("SecurityGroupId", "PrefixListId"), list);
    }
    rule
}
